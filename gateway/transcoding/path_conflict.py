"""What the URL says stays: refuses a body that would change a value bound by the path.

The URL's values are appended to the body's wire bytes and win by protobuf's merge rule. A body that
says something else about them is refused rather than silently overruled, and so is one that sets a
sibling of a oneof member the URL has chosen.

Most bodies never name such a field, and one scan of the JSON text tells. Only a body that does is
looked at on the wire.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from gateway.status import invalid_argument
from gateway.transcoding.fields import FieldPath
from gateway.transcoding.wire import last_value

ClashCheck = Callable[[bytes | None, bytes, Sequence[bytes]], Sequence[bytes]]
"""Takes a body's JSON, if it is JSON, its wire bytes and each capture's.

Returns what of each capture is still to be said; raises `StatusError` on a clash.
"""


@dataclass(frozen=True, slots=True)
class _Bound:
    """A path variable whose field a body could also set."""

    index: int
    path: FieldPath
    siblings: tuple[tuple[tuple[int, ...], str], ...]
    """Field numbers and JSON path of each other member of a oneof along the path."""


def path_conflict_check(
    variables: Sequence[FieldPath], body: FieldDescriptor | None
) -> ClashCheck | None:
    """The check for these path variables, or None if no body can touch them.

    `body` is the field the body fills, or None where it is the whole message.
    """
    bound = [
        _Bound(index, path, tuple(_siblings(path)))
        for index, path in enumerate(variables)
        if body is None or path.fields[0].number == body.number
    ]
    if not bound:
        return None
    names_a_bound_field = _mention(bound).search

    def check(json_body: bytes | None, wire: bytes, captures: Sequence[bytes]) -> Sequence[bytes]:
        if json_body is None or names_a_bound_field(json_body):
            captures = list(captures)
            for variable in bound:
                if _is_said(variable, wire, captures[variable.index]):
                    captures[variable.index] = b""
        return captures

    return check


def _mention(bound: Sequence[_Bound]) -> re.Pattern[bytes]:
    """A pattern for every body that may name a bound field, or spells a key with an escape."""
    names = {
        re.escape(name)
        for variable in bound
        for field in (variable.path.fields[-1], *_sibling_fields(variable.path))
        for name in (field.name, field.json_name)
    }
    return re.compile(rf'"(?:{"|".join(sorted(names))})"|\\u'.encode())


def _is_said(variable: _Bound, wire: bytes, capture: bytes) -> bool:
    """Whether the body says the same; once more would double what is a list, as in a FieldMask."""
    numbers = variable.path.numbers
    said = last_value(wire, numbers)
    if said is not None and not _same(variable.path.leaf, said, last_value(capture, numbers)):
        raise invalid_argument(
            variable.path.json, "the body says otherwise than the URL, which decides"
        )
    for sibling, name in variable.siblings:
        if last_value(wire, sibling) is not None:
            raise invalid_argument(
                name, f"cannot be set beside {variable.path.json}, which the URL sets"
            )
    return said is not None


def _same(leaf: FieldDescriptor, one: bytes, other: bytes | None) -> bool:
    """Whether two raw values of a field mean the same: a message has several encodings."""
    if one == other or other is None:
        return one == other
    if leaf.message_type is None:
        return False
    kind = GetMessageClass(leaf.message_type)
    return bool(kind.FromString(one) == kind.FromString(other))


def _sibling_fields(path: FieldPath) -> Iterator[FieldDescriptor]:
    for field in path.fields:
        oneof = field.containing_oneof
        if oneof is not None:
            yield from (member for member in oneof.fields if member.number != field.number)


def _siblings(path: FieldPath) -> Iterator[tuple[tuple[int, ...], str]]:
    for depth, field in enumerate(path.fields):
        oneof = field.containing_oneof
        for member in () if oneof is None else oneof.fields:
            if member.number != field.number:
                names = [step.json_name for step in path.fields[:depth]] + [member.json_name]
                yield (*path.numbers[:depth], member.number), ".".join(names)

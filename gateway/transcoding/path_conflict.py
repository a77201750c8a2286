"""Rejects a body that contradicts a path variable.

The URL's values are appended to the body's wire bytes and win by protobuf's merge rule. A body with
another value for them is rejected, not silently overruled, and so is one that sets a sibling of
a oneof member that the URL has chosen.

Most bodies do not name such a field: one search in the JSON text shows it. Only other bodies are
compared on the wire.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from gateway.transcoding.fields import FieldPath
from gateway.transcoding.wire import invalid_argument, last_value

ConflictCheck = Callable[[bytes | None, bytes, Sequence[bytes]], Sequence[bytes]]
"""Compares a body (its JSON, if it is JSON, and its wire bytes) with the wire bytes of captures.

Returns the captures that must still be appended; raises `StatusError` on a conflict.
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
) -> ConflictCheck | None:
    """Makes the check for these path variables, or None if no body can set them.

    `body` is the field that the body fills, or None if it is the whole message.
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
                if _is_in_body(variable, wire, captures[variable.index]):
                    captures[variable.index] = b""
        return captures

    return check


def _mention(bound: Sequence[_Bound]) -> re.Pattern[bytes]:
    """The pattern of bodies that may name a bound field, or that spell a key with an escape."""
    names = {
        re.escape(name)
        for variable in bound
        for field in (variable.path.fields[-1], *_sibling_fields(variable.path))
        for name in (field.name, field.json_name)
    }
    return re.compile(rf'"(?:{"|".join(sorted(names))})"|\\u'.encode())


def _is_in_body(variable: _Bound, wire: bytes, capture: bytes) -> bool:
    """True if the body has the same value; appending it would double a FieldMask's list."""
    numbers = variable.path.numbers
    value = last_value(wire, numbers)
    if value is not None and not _same(variable.path.leaf, value, last_value(capture, numbers)):
        raise invalid_argument(
            variable.path.json, "the value in the body differs from the one in the URL"
        )
    for sibling, name in variable.siblings:
        if last_value(wire, sibling) is not None:
            raise invalid_argument(
                name, f"cannot be set together with {variable.path.json}, which the URL sets"
            )
    return value is not None


def _same(leaf: FieldDescriptor, one: bytes, other: bytes | None) -> bool:
    """True if two raw values of a field are equal; a message can have several encodings."""
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

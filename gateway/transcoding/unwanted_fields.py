"""Removes fields that their sender may not set from encoded messages (AIP-203).

Works on wire bytes, so that it serves JSON, protobuf and queries alike. Types in which no such
field occurs, at any depth, have no remover, and cost nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.transcoding.wire import (
    GROUP,
    LENGTH,
    invalid_argument,
    length_delimited,
    read_size,
    read_tag,
    skip,
    tag,
)

IsUnwanted = Callable[[FieldDescriptor], bool]
"""Selects the fields to remove."""
Remove = Callable[[bytes], bytes]
"""Returns an encoded message without the unwanted fields; raises `StatusError` to refuse it."""

_REASON: Final = "is set by the service only (field_behavior OUTPUT_ONLY): leave it out"


class _Type:
    """The fields of one message type that are removed, and those that are looked into."""

    __slots__ = ("inner", "names", "unwanted")

    def __init__(self) -> None:
        self.unwanted: set[int] = set()
        self.inner: dict[int, _Type] = {}
        self.names: dict[int, str] = {}
        """The JSON names of these fields."""


def remover(
    message: Descriptor, is_unwanted: IsUnwanted, *, refuses: bool = False
) -> Remove | None:
    """Makes the remover for a message type; None if no such field is in it or in its fields.

    Messages in lists and maps are looked into, those in a `google.protobuf.Any` are not. With
    `refuses`, it raises INVALID_ARGUMENT with the JSON path of the field instead, without indexes.
    """
    top = _types(message, is_unwanted).get(message.full_name)
    if top is None:
        return None
    found: _Type = top

    def remove(wire: bytes) -> bytes:
        kept = _kept(found, wire, 0, len(wire), "" if refuses else None)
        return wire if kept is None else kept

    return remove


def _types(message: Descriptor, is_unwanted: IsUnwanted) -> Mapping[str, _Type]:
    """The types from `message` on in which an unwanted field is, or is reached, by their names."""
    seen: dict[str, Descriptor] = {message.full_name: message}
    waiting = [message]
    users: dict[str, list[tuple[Descriptor, FieldDescriptor]]] = {}
    found: dict[str, _Type] = {}
    reaching: list[Descriptor] = []
    while waiting:
        one = waiting.pop()
        unwanted = [field for field in one.fields if is_unwanted(field)]
        if unwanted:
            _type_of(found, one, unwanted, reaching).unwanted = {f.number for f in unwanted}
        for field in one.fields:
            inner = field.message_type
            if inner is None or field in unwanted:
                continue
            users.setdefault(inner.full_name, []).append((one, field))
            if inner.full_name not in seen:
                seen[inner.full_name] = inner
                waiting.append(inner)
    while reaching:
        reached = reaching.pop()
        for user, field in users.get(reached.full_name, ()):
            kind = _type_of(found, user, [field], reaching)
            kind.inner[field.number] = found[reached.full_name]
    return found


def _type_of(
    found: dict[str, _Type],
    message: Descriptor,
    fields: Iterable[FieldDescriptor],
    reaching: list[Descriptor],
) -> _Type:
    """Returns the entry of a type, with the names of `fields`; a new one is noted in `reaching`."""
    kind = found.get(message.full_name)
    if kind is None:
        kind = found[message.full_name] = _Type()
        reaching.append(message)
    for field in fields:
        kind.names[field.number] = field.json_name
    return kind


def _kept(kind: _Type, wire: bytes, at: int, end: int, path: str | None) -> bytes | None:
    """Returns the fields to keep of the message from `at` to `end`; None if these are all.

    With a `path`, that of the message, an unwanted field is refused.
    """
    parts: list[bytes] = []
    copied = at
    while at < end:
        begin = at
        head, start = read_tag(wire, at, end)
        at = skip(wire, start, end, head)
        number = head >> 3
        if number in kind.unwanted:
            if path is not None:
                raise invalid_argument(path + kind.names[number], _REASON)
            parts.append(wire[copied:begin])
            copied = at
            continue
        inner = kind.inner.get(number)
        if inner is None:
            continue
        below = None if path is None else f"{path}{kind.names[number]}."
        replaced = _replaced(inner, wire, start, at, head, below)
        if replaced is not None:
            parts += (wire[copied:begin], replaced)
            copied = at
    if not parts:
        return None
    parts.append(wire[copied:end])
    return b"".join(parts)


def _replaced(  # noqa: PLR0917 - a place in a message
    kind: _Type, wire: bytes, start: int, end: int, head: int, path: str | None
) -> bytes | None:
    """Returns the field of a message with its tag, changed; None if nothing is removed from it.

    The value, with its length or the end tag of its group, is from `start` to `end`.
    """
    number = head >> 3
    if head & 7 == LENGTH:
        first, stop = read_size(wire, start, end)
        kept = _kept(kind, wire, first, stop, path)
        return None if kept is None else length_delimited(number, kept)
    if head & 7 == GROUP:
        last = tag(number, GROUP + 1)
        kept = _kept(kind, wire, start, end - len(last), path)
        return None if kept is None else tag(number, GROUP) + kept + last
    return None  # of another wire type than that of a message: an unknown field

"""The protobuf wire format, as far as values are put into messages and looked up in them.

Concatenating two encoded messages merges them: the later singular value wins, nested messages join,
repeated ones add up (protobuf encoding guide, "Last One Wins"). All that the URL carries is added
to a request that way.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final

from gateway.status import UnreadableReplyError

VARINT, FIXED64, LENGTH, GROUP, END_GROUP, FIXED32 = range(6)
ALL: Final = (VARINT, FIXED64, LENGTH, GROUP, FIXED32)
"""The wire types of values."""
MESSAGES: Final = (LENGTH, GROUP)
"""The wire types that a message as a field's value can have."""
MAX_DEPTH: Final = 100
"""How deep messages may be nested: what the protobuf libraries allow by default."""

_MAX_NUMBER: Final = (1 << 29) - 1
_VARINT_BITS: Final = 70

_SMALL: Final = [bytes([i]) for i in range(128)]


class MalformedError(UnreadableReplyError):
    """Bytes that are no protobuf message. Requests are checked before they are looked into."""

    def __init__(self) -> None:
        super().__init__("the back end's reply is malformed: its bytes are no protobuf message")


def varint(value: int) -> bytes:
    """An unsigned number below 2^64 as a varint."""
    if value < 128:
        return _SMALL[value]
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed_varint(value: int) -> bytes:
    """A signed 64-bit number as a varint: negative ones take ten bytes."""
    return varint(value & 0xFFFFFFFFFFFFFFFF)


def zigzag(value: int) -> bytes:
    """A signed number as sint32 and sint64 write it."""
    return varint(value * 2 if value >= 0 else -value * 2 - 1)


def tag(number: int, wire_type: int) -> bytes:
    """What precedes a field's value."""
    return varint(number << 3 | wire_type)


def length_delimited(number: int, payload: bytes) -> bytes:
    """A string, bytes or message field."""
    return tag(number, LENGTH) + varint(len(payload)) + payload


def fixed(layout: str, value: Any) -> bytes:
    """A number of a fixed size; `layout` is the struct module's, and says which kind it is."""
    return struct.pack(layout, value)


def fields(wire: bytes, kinds: Sequence[int] = ALL) -> Iterator[tuple[int, bytes]]:
    """Each field of a message whose wire type is among `kinds`: its number and its raw value.

    A length-delimited value comes without its length, a group without its end.

    Raises:
        MalformedError: the bytes are no message; raised behind the fields that came before.
    """
    at, end = 0, len(wire)
    while at < end:
        key, at = _read_varint(wire, at)
        number, wire_type = key >> 3, key & 7
        start = at
        if wire_type == LENGTH:
            size, start = _read_varint(wire, at)
            over = at = start + size
        elif wire_type == GROUP:
            over, at = _skip_group(wire, at, number)
        else:
            over = at = _skip(wire, at, wire_type)
        if at > end or not 0 < number <= _MAX_NUMBER:
            raise MalformedError
        if wire_type in kinds:
            yield number, wire[start:over]


def last_value(wire: bytes, path: Sequence[int]) -> bytes | None:
    """The raw value that counts at a path of field numbers, or None where it is not set.

    Raises:
        MalformedError: the bytes, or what they hold on the way, are no message.
    """
    *parents, leaf = path
    for parent in parents:
        wire = merged(wire, parent)
    found: bytes | None = None
    for number, value in fields(wire):
        if number == leaf:
            found = value
    return found


def merged(wire: bytes, number: int) -> bytes:
    """The message in a field; one that comes in parts is the parts joined (encoding guide).

    Raises:
        MalformedError: the bytes are no message.
    """
    return b"".join([value for found, value in fields(wire, MESSAGES) if found == number])


def _read_varint(wire: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and where it is over."""
    end = len(wire)
    if at < end and wire[at] < 128:
        return wire[at], at + 1
    value = shift = 0
    # Ten bytes hold 64 bits; without that bound each further byte costs as much as all before it.
    while shift < _VARINT_BITS and at < end:
        byte = wire[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
        shift += 7
    raise MalformedError


def _skip(wire: bytes, at: int, wire_type: int) -> int:
    """Where a value that is neither a group nor has a length is over."""
    if wire_type == VARINT:
        return _read_varint(wire, at)[1]
    if wire_type == FIXED64:
        return at + 8
    if wire_type == FIXED32:
        return at + 4
    raise MalformedError  # the end of a group that has not begun, or a type there is not


def _skip_group(wire: bytes, at: int, number: int) -> tuple[int, int]:
    """Where the content of the group that starts at `at` is over, and where its end tag is."""
    open_groups = [number]
    while True:
        before = at
        key, at = _read_varint(wire, at)
        number, wire_type = key >> 3, key & 7
        if not 0 < number <= _MAX_NUMBER:
            raise MalformedError
        if wire_type == GROUP:
            open_groups.append(number)
            if len(open_groups) > MAX_DEPTH:
                raise MalformedError
        elif wire_type == END_GROUP:
            if open_groups.pop() != number:
                raise MalformedError
            if not open_groups:
                return before, at
        elif wire_type == LENGTH:
            size, at = _read_varint(wire, at)
            at += size
        else:
            at = _skip(wire, at, wire_type)

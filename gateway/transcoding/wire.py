"""The protobuf wire format: writes values into messages and finds values in them.

Concatenating two encoded messages merges them: the later singular value wins, nested messages
merge, repeated fields append (protobuf encoding guide, "Last One Wins"). The values of the URL are
added to a request this way.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final

from gateway.status import UnreadableReplyError

VARINT, FIXED64, LENGTH, GROUP, END_GROUP, FIXED32 = range(6)
ALL: Final = (VARINT, FIXED64, LENGTH, GROUP, FIXED32)
"""The wire types of values."""
MESSAGES: Final = (LENGTH, GROUP)
"""The wire types of a message in a field."""
MAX_DEPTH: Final = 100
"""The nesting limit of messages: the default of the protobuf libraries."""

_MAX_NUMBER: Final = (1 << 29) - 1
_VARINT_BITS: Final = 70

_SMALL: Final = [bytes([i]) for i in range(128)]
_MEDIUM: Final = [bytes([i & 127 | 128, i >> 7]) for i in range(2048)]
"""The varints of two bytes that are usual as lengths; the first 128 are not used."""


class MalformedError(UnreadableReplyError):
    """The bytes of a reply are not a protobuf message. Requests are checked before."""

    def __init__(self) -> None:
        super().__init__("the back end's reply is malformed: its bytes are not a protobuf message")


def varint(value: int) -> bytes:
    """Encodes an unsigned number below 2^64 as a varint."""
    if value < 128:
        return _SMALL[value]
    if value < 2048:
        return _MEDIUM[value]
    out = []
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed_varint(value: int) -> bytes:
    """Encodes a signed 64-bit number as a varint: negative ones take ten bytes."""
    return varint(value & 0xFFFFFFFFFFFFFFFF)


def zigzag(value: int) -> bytes:
    """Encodes a signed number as sint32 and sint64 do."""
    return varint(value * 2 if value >= 0 else -value * 2 - 1)


def tag(number: int, wire_type: int) -> bytes:
    """Encodes the tag before a field's value."""
    return varint(number << 3 | wire_type)


def length_delimited(number: int, payload: bytes) -> bytes:
    """Encodes a string, bytes or message field."""
    return length_prefix(number, len(payload)) + payload


def length_prefix(number: int, size: int) -> bytes:
    """Encodes all of a string, bytes or message field but its payload of this size."""
    return tag(number, LENGTH) + varint(size)


def time_message(parts: tuple[int, int]) -> bytes:
    """Encodes a google.protobuf.Timestamp or Duration of these seconds and nanoseconds."""
    seconds, nanos = parts
    first = b"\x08" + signed_varint(seconds) if seconds else b""
    return first + b"\x10" + signed_varint(nanos) if nanos else first


def fixed(layout: str, value: Any) -> bytes:
    """Encodes a number of fixed size; `layout` is a format of the struct module."""
    return struct.pack(layout, value)


def fields(wire: bytes, kinds: Sequence[int] = ALL) -> Iterator[tuple[int, bytes]]:
    """Yields each field of a message whose wire type is in `kinds`: its number and raw value.

    A length-delimited value has no length, a group no end tag.

    Raises:
        MalformedError: the bytes are not a message; raised after the valid fields before.
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
    """Returns the last raw value at a path of field numbers, or None if it is not set.

    Raises:
        MalformedError: the bytes, or those of a parent on the path, are not a message.
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
    """Returns the message in a field; several parts are joined (encoding guide).

    Raises:
        MalformedError: the bytes are not a message.
    """
    return b"".join([value for found, value in fields(wire, MESSAGES) if found == number])


def _read_varint(wire: bytes, at: int) -> tuple[int, int]:
    """Returns the number at `at`, and its end."""
    end = len(wire)
    if at < end and wire[at] < 128:
        return wire[at], at + 1
    value = shift = 0
    # Stop after ten bytes (64 bits): without this limit the loop takes quadratic time.
    while shift < _VARINT_BITS and at < end:
        byte = wire[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
        shift += 7
    raise MalformedError


def _skip(wire: bytes, at: int, wire_type: int) -> int:
    """Returns the end of a value that is neither a group nor length-delimited."""
    if wire_type == VARINT:
        return _read_varint(wire, at)[1]
    if wire_type == FIXED64:
        return at + 8
    if wire_type == FIXED32:
        return at + 4
    raise MalformedError  # the end of a group that has not begun, or an unknown wire type


def _skip_group(wire: bytes, at: int, number: int) -> tuple[int, int]:
    """Returns the end of the content of the group at `at`, and the end of its end tag."""
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

"""The protobuf wire format: writes values into messages and finds values in them.

Concatenating two encoded messages merges them: the later singular value wins, nested messages
merge, repeated fields append (protobuf encoding guide, "Last One Wins"). The values of the URL are
added to a request this way.

Its users fail with `UnreadableReplyError` for a reply, and with `invalid_argument` for a request.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import FieldDescriptor

from gateway.status import Code, StatusError, UnreadableReplyError, invalid_argument

__all__ = ["Code", "StatusError", "UnreadableReplyError", "invalid_argument"]
__all__ += ["ALL", "END_GROUP", "FIXED", "FIXED32", "FIXED64", "GROUP", "INTEGERS", "LENGTH"]
__all__ += ["MAX_DEPTH", "MESSAGES", "SIGNED", "UNSIGNED", "VARINT", "ZIGZAG", "IntegerType"]
__all__ += ["MalformedError", "fields", "fixed", "last_value", "length_delimited", "length_prefix"]
__all__ += ["merged", "read_size", "read_tag", "read_varint", "short_heads", "signed_varint"]
__all__ += ["skip", "tag", "time_message", "varint", "wire_type_of", "zigzag"]

VARINT, FIXED64, LENGTH, GROUP, END_GROUP, FIXED32 = range(6)
ALL: Final = (VARINT, FIXED64, LENGTH, GROUP, FIXED32)
"""The wire types of values."""
MESSAGES: Final = (LENGTH, GROUP)
"""The wire types of a message in a field."""
MAX_DEPTH: Final = 100
"""The nesting limit of messages: the default of the protobuf libraries."""

UNSIGNED, SIGNED, ZIGZAG, FIXED = range(4)
"""The encodings of integers: three varints, and a fixed size."""


class IntegerType(NamedTuple):
    """An integer type: its values, how they are encoded, and the struct format of a fixed size."""

    low: int
    high: int
    encoding: int
    layout: str = ""


_F = FieldDescriptor
_INT32: Final = (-(1 << 31), (1 << 31) - 1)
_INT64: Final = (-(1 << 63), (1 << 63) - 1)
_UINT32: Final = (0, (1 << 32) - 1)
_UINT64: Final = (0, (1 << 64) - 1)
INTEGERS: Final = {
    _F.TYPE_INT32: IntegerType(*_INT32, SIGNED),
    _F.TYPE_INT64: IntegerType(*_INT64, SIGNED),
    _F.TYPE_UINT32: IntegerType(*_UINT32, UNSIGNED),
    _F.TYPE_UINT64: IntegerType(*_UINT64, UNSIGNED),
    _F.TYPE_SINT32: IntegerType(*_INT32, ZIGZAG),
    _F.TYPE_SINT64: IntegerType(*_INT64, ZIGZAG),
    _F.TYPE_FIXED32: IntegerType(*_UINT32, FIXED, "<I"),
    _F.TYPE_FIXED64: IntegerType(*_UINT64, FIXED, "<Q"),
    _F.TYPE_SFIXED32: IntegerType(*_INT32, FIXED, "<i"),
    _F.TYPE_SFIXED64: IntegerType(*_INT64, FIXED, "<q"),
}
"""By field type, for JSON and for the texts of URLs."""
_WIRE_TYPES: Final = {
    **dict.fromkeys((_F.TYPE_FIXED32, _F.TYPE_SFIXED32, _F.TYPE_FLOAT), FIXED32),
    **dict.fromkeys((_F.TYPE_FIXED64, _F.TYPE_SFIXED64, _F.TYPE_DOUBLE), FIXED64),
    **dict.fromkeys((_F.TYPE_STRING, _F.TYPE_BYTES, _F.TYPE_MESSAGE), LENGTH),
    _F.TYPE_GROUP: GROUP,
}

_64_BITS: Final = (1 << 64) - 1
_LAST_SHIFT: Final = 63
"""The shift of the tenth byte, the last one that a varint may have."""
_MOST_TAG: Final = (1 << 32) - 1

_SMALL: Final = [bytes([i]) for i in range(128)]
_MEDIUM: Final = [bytes([i & 127 | 128, i >> 7]) for i in range(2048)]
"""The varints of two bytes that are usual as lengths; the first 128 are not used."""


class MalformedError(UnreadableReplyError):
    """The bytes of a reply are not a protobuf message. Requests are checked before."""

    def __init__(self) -> None:
        super().__init__("the back end's reply is malformed: its bytes are not a protobuf message")


def wire_type_of(field: FieldDescriptor) -> int:
    """Returns the wire type of one value of a field."""
    return _WIRE_TYPES.get(field.type, VARINT)


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
    return varint(value if value >= 0 else value & 0xFFFFFFFFFFFFFFFF)


def zigzag(value: int) -> bytes:
    """Encodes a signed number as sint32 and sint64 do."""
    return varint(value * 2 if value >= 0 else -value * 2 - 1)


def tag(number: int, wire_type: int) -> bytes:
    """Encodes the tag before a field's value."""
    return varint(number << 3 | wire_type)


_SHORT: Final[dict[bytes, list[bytes]]] = {b"": _SMALL}


def short_heads(head: bytes) -> list[bytes]:
    """Returns a tag of one byte, or of none, with each number below 128 behind it as a varint.

    All callers share the list, to be read only. Of longer tags there are many: it is empty.
    """
    if len(head) > 1:
        return []
    found = _SHORT.get(head)
    if found is None:
        found = _SHORT[head] = [head + number for number in _SMALL]
    return found


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
        key, at = read_tag(wire, at, end)
        start, wire_type = at, key & 7
        if wire_type == LENGTH:
            start, at = read_size(wire, at, end)
            over = at
        elif wire_type == GROUP:
            over, at = _skip_group(wire, at, end, key >> 3)
        else:
            over = at = _skip_one(wire, at, end, wire_type)
        if wire_type in kinds:
            yield key >> 3, wire[start:over]


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


def read_varint(wire: bytes, at: int, end: int) -> tuple[int, int]:
    """Reads an unsigned number of at most 64 bits; returns it and its end.

    Raises:
        MalformedError: the message ends before the number, or it has more than ten bytes.
    """
    if at < end and wire[at] < 128:  # nearly all
        return wire[at], at + 1
    value = 0
    shift = 0
    while at < end and shift <= _LAST_SHIFT:
        byte = wire[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return (value & _64_BITS if shift == _LAST_SHIFT else value), at
        shift += 7
    raise MalformedError


def read_tag(wire: bytes, at: int, end: int) -> tuple[int, int]:
    """Reads a tag: field number times 8 plus wire type; returns it and its end.

    Raises:
        MalformedError: the tag breaks off, or its field number is out of range.
    """
    if at < end and 8 <= wire[at] < 128:  # nearly all, without another call
        return wire[at], at + 1
    tag, at = read_varint(wire, at, end)
    if not 8 <= tag <= _MOST_TAG:
        raise MalformedError
    return tag, at


def read_size(wire: bytes, at: int, end: int) -> tuple[int, int]:
    """Reads the length before a length-delimited value; returns the value's start and end.

    Raises:
        MalformedError: the value would end after the message.
    """
    if at < end and wire[at] < 128:  # nearly all, without another call
        size = wire[at]
        at += 1
    else:
        size, at = read_varint(wire, at, end)
    stop = at + size
    if stop > end:
        raise MalformedError
    return at, stop


def skip(wire: bytes, at: int, end: int, tag: int) -> int:
    """Skips the value after a tag; returns its end. Groups are skipped with their end tag.

    Raises:
        MalformedError: the value is incomplete, of no wire type, or a group nested too deep.
    """
    if tag & 7 == GROUP:
        return _skip_group(wire, at, end, tag >> 3)[1]
    return _skip_one(wire, at, end, tag & 7)


def _skip_group(wire: bytes, at: int, end: int, number: int) -> tuple[int, int]:
    """Returns the end of the content of the group at `at`, and the end of its end tag."""
    groups = [number]
    while True:
        before = at
        tag, at = read_tag(wire, at, end)
        if tag & 7 == GROUP:
            groups.append(tag >> 3)
            if len(groups) > MAX_DEPTH:
                raise MalformedError
        elif tag & 7 == END_GROUP:
            if groups.pop() != tag >> 3:
                raise MalformedError
            if not groups:
                return before, at
        else:
            at = _skip_one(wire, at, end, tag & 7)


def _skip_one(wire: bytes, at: int, end: int, wire_type: int) -> int:
    if wire_type == LENGTH:
        return read_size(wire, at, end)[1]
    if wire_type == VARINT:
        return read_varint(wire, at, end)[1]
    if wire_type == FIXED32:
        at += 4
    elif wire_type == FIXED64:
        at += 8
    else:
        raise MalformedError
    if at > end:
        raise MalformedError
    return at

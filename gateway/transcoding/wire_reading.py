"""Reads values of the protobuf wire format at a position, within bounds (protobuf.dev, "Encoding").

Each function takes the bytes, the position to read at and the position at which the message ends;
it returns the position after what it has read. A value never reaches beyond the end.
"""

from typing import Final

from gateway.transcoding.wire import (
    END_GROUP,
    FIXED32,
    FIXED64,
    GROUP,
    LENGTH,
    MAX_DEPTH,
    VARINT,
    MalformedError,
)

_64_BITS: Final = (1 << 64) - 1
_LAST_SHIFT: Final = 63
"""The shift of the tenth byte, the last one that a varint may have."""
_MOST_TAG: Final = (1 << 32) - 1


def read_varint(wire: bytes, at: int, end: int) -> tuple[int, int]:
    """Reads an unsigned number of at most 64 bits; returns it and its end.

    Raises:
        MalformedError: the message ends before the number, or it has more than ten bytes.
    """
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
    tag, at = read_varint(wire, at, end)
    if not 8 <= tag <= _MOST_TAG:
        raise MalformedError
    return tag, at


def read_size(wire: bytes, at: int, end: int) -> tuple[int, int]:
    """Reads the length before a length-delimited value; returns the value's start and end.

    Raises:
        MalformedError: the value would end after the message.
    """
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
    if tag & 7 != GROUP:
        return _skip_one(wire, at, end, tag & 7)
    groups = [tag >> 3]
    while groups:
        tag, at = read_tag(wire, at, end)
        if tag & 7 == GROUP:
            groups.append(tag >> 3)
            if len(groups) > MAX_DEPTH:
                raise MalformedError
        elif tag & 7 == END_GROUP:
            if groups.pop() != tag >> 3:
                raise MalformedError
        else:
            at = _skip_one(wire, at, end, tag & 7)
    return at


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

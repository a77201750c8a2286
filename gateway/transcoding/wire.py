"""The protobuf wire format, as far as values are put into messages and looked up in them.

Concatenating two encoded messages merges them: the later singular value wins, nested messages join,
repeated ones add up (protobuf encoding guide, "Last One Wins"). All that the URL carries is added
to a request that way.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final

VARINT, FIXED64, LENGTH, GROUP, END_GROUP, FIXED32 = range(6)

_SMALL: Final = [bytes([i]) for i in range(128)]


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


def fields(wire: bytes) -> Iterator[tuple[int, bytes]]:
    """Each field of a well-formed message: its number and the raw bytes of its value.

    A length-delimited value comes without its length, a group without its end.
    """
    at, end = 0, len(wire)
    while at < end:
        key, at = _read_varint(wire, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == LENGTH:
            size, at = _read_varint(wire, at)
            yield number, wire[at : at + size]
            at += size
        elif wire_type == GROUP:
            after = _skip_group(wire, at)
            over = after - len(tag(number, END_GROUP))
            yield number, wire[at:over]
            at = after
        else:
            after = _skip(wire, at, wire_type)
            yield number, wire[at:after]
            at = after


def last_value(wire: bytes, path: Sequence[int]) -> bytes | None:
    """The raw value that counts at a path of field numbers, or None where it is not set."""
    *parents, leaf = path
    for parent in parents:
        wire = b"".join([value for number, value in fields(wire) if number == parent])
    found: bytes | None = None
    for number, value in fields(wire):
        if number == leaf:
            found = value
    return found


def _read_varint(wire: bytes, at: int) -> tuple[int, int]:
    byte = wire[at]
    if byte < 128:
        return byte, at + 1
    value, shift = byte & 127, 7
    while True:
        at += 1
        byte = wire[at]
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at + 1
        shift += 7


def _skip(wire: bytes, at: int, wire_type: int) -> int:
    if wire_type == VARINT:
        return _read_varint(wire, at)[1]
    return at + (8 if wire_type == FIXED64 else 4)


def _skip_group(wire: bytes, at: int) -> int:
    """Where the group that starts at `at` is over, its end tag included."""
    depth = 1
    while depth:
        key, at = _read_varint(wire, at)
        wire_type = key & 7
        if wire_type == GROUP:
            depth += 1
        elif wire_type == END_GROUP:
            depth -= 1
        elif wire_type == LENGTH:
            size, at = _read_varint(wire, at)
            at += size
        else:
            at = _skip(wire, at, wire_type)
    return at

"""Random messages of any type, and random damage to their bytes."""

import random
import struct
from collections.abc import Callable

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.transcoding.json.message_fields import entry_fields, parts_of
from gateway.transcoding.wire import (
    END_GROUP,
    FIXED32,
    FIXED64,
    GROUP,
    VARINT,
    length_delimited,
    signed_varint,
    tag,
    zigzag,
)

Find = Callable[[str], Descriptor]
"""Returns the type of this full name."""

F = FieldDescriptor
INTEGERS = [0, 1, -1, 2, 127, 128, 300, (1 << 31) - 1, -(1 << 31), (1 << 32) - 1, -(1 << 63)]
DOUBLES = [0.0, -0.0, 1.0, 0.1, 1.5, 1e16, 1e-7, 1e300, float("inf"), float("-inf"), float("nan")]
FLOATS = [0.0, -0.0, 0.1, 16777216.0, 3.4028234663852886e38, 1e-45, 123456.78, float("inf")]
TEXTS = ["", "a", "é\u2028😀", '"\\\n\x00\x7f', "x" * 200]
URLS = ["rich.Author", "rich.Plain", "old.Job", "google.protobuf.Duration", "google.protobuf.Empty"]


def _seconds(chance: random.Random) -> bytes:
    number = chance.choice([0, 1, -1, 1 << 33, -62135596800, 253402300799, 951827696])
    return tag(1, VARINT) + signed_varint(number)


def _nanos(chance: random.Random) -> bytes:
    return tag(2, VARINT) + signed_varint(chance.choice([0, 1, 1000, 500_000_000, 999_999_999]))


def _mask(chance: random.Random) -> bytes:
    paths = chance.choices([b"a", b"a_b", b"a.b_c", b"title", b"some_long_name.x1"], k=2)
    return b"".join(length_delimited(1, path) for path in paths)


def random_wire(chance: random.Random, message: Descriptor, find: Find, depth: int = 3) -> bytes:
    """The bytes of a message, whose fields come in any order and more than once."""
    name = message.full_name
    if name == "google.protobuf.Timestamp":
        return _seconds(chance) + (_nanos(chance) if chance.random() < 0.5 else b"")
    if name == "google.protobuf.Duration":
        return tag(1, VARINT) + signed_varint(chance.randint(0, 9)) + _nanos(chance)
    if name == "google.protobuf.FieldMask":
        return _mask(chance)
    if name == "google.protobuf.Any":
        held = chance.choice(URLS)
        inner = random_wire(chance, find(held), find, depth - 1) if depth > 0 else b""
        return length_delimited(1, b"x/" + held.encode()) + length_delimited(2, inner)
    fields = sorted(parts_of(message), key=lambda field: field.number)
    if name == "google.protobuf.Value":
        if depth <= 0:
            return length_delimited(3, b"deep")
        (field,) = chance.sample(fields, 1)
        if field.number == 2:
            return tag(2, FIXED64) + struct.pack("<d", chance.choice([5.0, 1.5, -0.0, 1e30]))
        return _field(chance, field, find, depth)
    count = chance.choice([0, 1, 2, 3, 8]) if fields else 0
    return b"".join(_field(chance, field, find, depth) for field in chance.choices(fields, k=count))


def _field(chance: random.Random, field: FieldDescriptor, find: Find, depth: int) -> bytes:
    number = field.number
    entry = entry_fields(field)
    if entry is not None:
        content = b"".join(_field(chance, part, find, depth - 1) for part in entry)
        return length_delimited(number, content)
    if field.message_type is not None:
        if depth <= 0 and not field.message_type.full_name.startswith("google.protobuf."):
            return b""
        inner = random_wire(chance, field.message_type, find, depth - 1)
        if field.type == F.TYPE_GROUP:
            return tag(number, GROUP) + inner + tag(number, END_GROUP)
        return length_delimited(number, inner)
    if field.type in (F.TYPE_STRING, F.TYPE_BYTES):
        return length_delimited(number, chance.choice(TEXTS).encode())
    kind, _ = _scalar(chance, field)
    if field.is_repeated and chance.random() < 0.5:
        packed = b"".join(_scalar(chance, field)[1] for _ in range(chance.randint(0, 3)))
        return length_delimited(number, packed)
    return tag(number, kind) + _scalar(chance, field)[1]


def _scalar(chance: random.Random, field: FieldDescriptor) -> tuple[int, bytes]:
    """The wire type and a value of a field that is a number."""
    kind, whole = field.type, chance.choice(INTEGERS)
    if kind == F.TYPE_DOUBLE:
        return FIXED64, struct.pack("<d", chance.choice(DOUBLES))
    if kind == F.TYPE_FLOAT:
        return FIXED32, struct.pack("<f", chance.choice(FLOATS))
    if kind in (F.TYPE_FIXED64, F.TYPE_SFIXED64):
        return FIXED64, struct.pack("<Q", whole & ((1 << 64) - 1))
    if kind in (F.TYPE_FIXED32, F.TYPE_SFIXED32):
        return FIXED32, struct.pack("<I", whole & ((1 << 32) - 1))
    if kind in (F.TYPE_SINT32, F.TYPE_SINT64):
        return VARINT, zigzag(chance.choice([0, 1, -1, (1 << 31) - 1, -(1 << 31)]))
    if kind == F.TYPE_BOOL:
        return VARINT, chance.choice([b"\x00", b"\x01", b"\x80\x01"])
    if kind == F.TYPE_ENUM:
        return VARINT, signed_varint(chance.choice([0, 1, 2, 9, -1]))
    return VARINT, signed_varint(whole)


def damaged(chance: random.Random, wire: bytes) -> bytes:
    """The bytes with a few of them changed, left out or put in."""
    changed = bytearray(wire)
    for _ in range(chance.randint(1, 3)):
        at = chance.randint(0, len(changed))
        step = chance.randint(0, 3)
        if step == 0:
            changed[at : at + 1] = bytes([chance.randrange(256)])
        elif step == 1:
            del changed[at : at + chance.randint(1, 4)]
        elif step == 2:
            changed[at:at] = chance.randbytes(chance.randint(1, 12))
        else:
            del changed[at:]
    return bytes(changed)

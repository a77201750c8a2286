"""The writer against google's json_format, which holds messages as objects, and on broken bytes."""

import json
import random
import struct
import subprocess
import sys
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.json import JsonOptions
from gateway.status import Code, StatusError
from gateway.transcoding.json.message_fields import entry_fields, parts_of
from gateway.transcoding.json.writing.plans import WritePlans
from gateway.transcoding.wire import length_delimited
from tests.support import rich
from tests.support.random_messages import damaged, random_wire

TYPES = [
    *("rich.Book", "rich.Author", "rich.Holder", "old.Job", "modern.Node"),
    *("google.protobuf.Value", "google.protobuf.Struct", "google.protobuf.Any"),
]
OPTIONS = [
    JsonOptions(emit_unset=unset, enums_as_numbers=numbers, proto_names=names)
    for unset in (False, True)
    for numbers in (False, True)
    for names in (False, True)
]
seeded = settings(max_examples=300, deadline=None, derandomize=True)
SEEDS = st.integers(0, (1 << 32) - 1)


def find(name: str) -> Descriptor:
    found = rich.codec().find(name)
    assert found is not None
    return found


def theirs(name: str, wire: bytes, options: JsonOptions) -> Any:
    """The document that json_format makes of a message; None if it makes none."""
    message = GetMessageClass(find(name))()
    try:
        message.MergeFromString(wire)
        return json_format.MessageToDict(
            message,
            always_print_fields_with_no_presence=options.emit_unset,
            use_integers_for_enums=options.enums_as_numbers,
            preserving_proto_field_name=options.proto_names,
            descriptor_pool=rich.pool(),
        )
    except (DecodeError, ValueError, json_format.Error, TypeError):
        return None


def ours(name: str, wire: bytes, options: JsonOptions) -> Any:
    """The document that the writer makes of a message; None if it refuses it."""
    try:
        return parsed(rich.codec(options).writer(find(name))(wire))
    except StatusError as error:
        return None if error.code is Code.INTERNAL else error


def parsed(text: bytes) -> Any:
    """The document of a text; minus zero stays what it is, which `int` would lose."""
    return json.loads(text, parse_int=lambda digits: -0.0 if digits == "-0" else int(digits))


PLANS = WritePlans(rich.codec().find, JsonOptions())


def has_own_form(message: Descriptor) -> bool:
    """True if the JSON of a message is not an object of its fields."""
    return PLANS.of(message).has_own_form


def same(message: Descriptor | None, left: Any, right: Any) -> bool:
    """True for equal documents of a message type, the first one ours; None for any JSON.

    The known differences: NullValue is null here with every number, and unset if it has no
    presence; an extension that is an empty packed list is not written.
    """
    if message is None or not (isinstance(left, dict) and isinstance(right, dict)):
        return identical(left, right)
    name = message.full_name
    if name == "google.protobuf.Any" and "@type" in left and "@type" in right:
        held = find(left["@type"].rpartition("/")[2])
        if has_own_form(held):
            members = left.keys() == right.keys() and left["@type"] == right["@type"]
            return members and same(held, left.get("value"), right.get("value"))
        return same_members({"@type": None}, held, left, right)
    return (
        identical(left, right) if has_own_form(message) else same_members({}, message, left, right)
    )


def same_members(
    others: dict[str, None], message: Descriptor, left: dict[str, Any], right: dict[str, Any]
) -> bool:
    """True for equal objects of a message's fields, and members named in `others`."""
    fields: dict[str, FieldDescriptor | None] = dict(others)
    for field in parts_of(message):
        names = [f"[{field.full_name}]"] if field.is_extension else [field.name, field.json_name]
        fields |= dict.fromkeys(names, field)
    for name in left.keys() | right.keys():
        known = fields[name]
        if known is None:
            if left.get(name) != right.get(name):
                return False
        elif name not in left:
            if not (right[name] == [] if known.is_extension else is_implicit_null(known)):
                return False
        elif name not in right or not same_value(known, left[name], right[name]):
            return False
    return True


def is_null(field: FieldDescriptor) -> bool:
    """True for a field of NullValue."""
    enum = field.enum_type
    return enum is not None and enum.full_name == "google.protobuf.NullValue"


def is_implicit_null(field: FieldDescriptor) -> bool:
    """True for a NullValue without presence: with each number, it counts as unset here."""
    return is_null(field) and not field.has_presence and not field.is_repeated


def same_value(field: FieldDescriptor, left: Any, right: Any) -> bool:
    """True for equal values of a field."""
    entry = entry_fields(field)
    if entry is not None:
        is_object = isinstance(left, dict) and isinstance(right, dict)
        if not is_object or left.keys() != right.keys():
            return False
        return all(same_single(entry[1], left[key], right[key]) for key in left)
    if field.is_repeated:
        is_list = isinstance(left, list) and isinstance(right, list)
        if not is_list or len(left) != len(right):
            return False
        return all(same_single(field, one, other) for one, other in zip(left, right, strict=True))
    return same_single(field, left, right)


def same_single(field: FieldDescriptor, left: Any, right: Any) -> bool:
    """True for equal values of a field, of which a list or a map may have several."""
    if field.message_type is not None:
        wrapped = field.message_type.full_name == "google.protobuf.FloatValue"
        return same_float(left, right) if wrapped else same(field.message_type, left, right)
    if is_null(field):
        return left is None
    return same_float(left, right) if field.type == field.TYPE_FLOAT else identical(left, right)


def same_float(left: Any, right: Any) -> bool:
    """True for two spellings of one 32-bit float."""
    if isinstance(left, int | float) and isinstance(right, int | float):
        return struct.pack("<f", left) == struct.pack("<f", right)
    return identical(left, right)


def identical(left: Any, right: Any) -> bool:
    """True for equal JSON, bit by bit: 1 and true differ, as 0.0 and -0.0 do; 1 and 1.0 do not."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(identical(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(identical, left, right))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, float) or isinstance(right, float):
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        return numbers and struct.pack("<d", left) == struct.pack("<d", right)
    return bool(left == right)


@seeded
@given(st.sampled_from(TYPES), st.sampled_from(OPTIONS), SEEDS)
def test_random_messages_are_written_as_google_writes_them(
    name: str, options: JsonOptions, seed: int
) -> None:
    wire = random_wire(random.Random(seed), find(name), find)
    expected = theirs(name, wire, options)
    found = ours(name, wire, options)
    assert same(find(name), found, expected), (found, expected)


@seeded
@given(st.sampled_from(TYPES), SEEDS)
def test_messages_after_each_other_merge(name: str, seed: int) -> None:
    chance = random.Random(seed)
    wire = b"".join(random_wire(chance, find(name), find) for _ in range(3))
    expected = theirs(name, wire, OPTIONS[0])
    assert same(find(name), ours(name, wire, OPTIONS[0]), expected), expected


@seeded
@given(st.sampled_from([field.name for field in rich.message("rich.Book").fields]), SEEDS)
def test_a_field_alone_is_written_as_in_its_message(field: str, seed: int) -> None:
    book = rich.message("rich.Book")
    described = book.fields_by_name[field]
    wire = random_wire(random.Random(seed), book, find)
    whole = theirs("rich.Book", wire, OPTIONS[0])
    if whole is not None and described.json_name in whole:
        alone = parsed(rich.codec().field_writer(described)(wire))
        assert same_value(described, alone, whole[described.json_name])


def fuzz(seed: int, rounds: int) -> None:
    """Writes broken bytes; fails if json_format makes another document of them."""
    chance = random.Random(seed)
    for _ in range(rounds):
        name = chance.choice(TYPES)
        wire = damaged(chance, random_wire(chance, find(name), find))
        found = ours(name, wire, OPTIONS[0])
        expected = theirs(name, wire, OPTIONS[0])
        if found is not None and expected is not None and not same(find(name), found, expected):
            sys.stdout.write(f"{name} {wire.hex()}\n  ours {found}\n  theirs {expected}\n")


def test_broken_bytes_end_in_an_answer_or_an_error() -> None:
    code = "from tests.property.test_writer import fuzz; fuzz(7, 500)"
    child = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=50
    )
    assert (child.returncode, child.stdout) == (0, ""), child.stdout + child.stderr[-2000:]


@pytest.mark.parametrize("levels", [1, 20, 100])
def test_pieces_of_pieces_merge_in_linear_time(levels: int) -> None:
    wire = length_delimited(1, b"A") + length_delimited(1, b"B")
    for level in range(levels):
        # Each level comes in two pieces, of which the second adds a field.
        wire = length_delimited(3, wire) + length_delimited(3, b"\x10" + bytes([level]))
    document = json.loads(rich.write(wire, "rich.Author"))
    for level in reversed(range(levels)):
        document = document["mentor"]
        assert document.get("birthYear", 0) == level
    assert document["name"] == "B"

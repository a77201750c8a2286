"""The writer against google's json_format, which holds messages as objects, and on broken bytes."""

import json
import math
import random
import subprocess
import sys
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.json import JsonOptions
from gateway.status import Code, StatusError
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
        return json.loads(rich.codec(options).writer(find(name))(wire))
    except StatusError as error:
        return None if error.code is Code.INTERNAL else error


def same(left: Any, right: Any) -> bool:
    """True for equal documents; a null of an enum's number may be that number there.

    In the member `null`, a NullValue, every number counts as its zero value here. An extension
    that is an empty packed list is not written here.
    """
    if isinstance(left, dict) and isinstance(right, dict):
        left, right = (
            {key: value for key, value in one.items() if key != "null" and value != []}
            for one in (left, right)
        )
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) and isinstance(right, float):
        return left == right or math.isclose(left, right, rel_tol=1e-7)
    return bool(left == right) or (left is None and right == 0)


@seeded
@given(st.sampled_from(TYPES), st.sampled_from(OPTIONS), SEEDS)
def test_random_messages_are_written_as_google_writes_them(
    name: str, options: JsonOptions, seed: int
) -> None:
    wire = random_wire(random.Random(seed), find(name), find)
    expected = theirs(name, wire, options)
    found = ours(name, wire, options)
    assert same(found, expected), (found, expected)


@seeded
@given(st.sampled_from(TYPES), SEEDS)
def test_messages_after_each_other_merge(name: str, seed: int) -> None:
    chance = random.Random(seed)
    wire = b"".join(random_wire(chance, find(name), find) for _ in range(3))
    expected = theirs(name, wire, OPTIONS[0])
    assert same(ours(name, wire, OPTIONS[0]), expected), expected


@seeded
@given(st.sampled_from([field.name for field in rich.message("rich.Book").fields]), SEEDS)
def test_a_field_alone_is_written_as_in_its_message(field: str, seed: int) -> None:
    book = rich.message("rich.Book")
    described = book.fields_by_name[field]
    wire = random_wire(random.Random(seed), book, find)
    whole = theirs("rich.Book", wire, OPTIONS[0])
    if whole is not None and described.json_name in whole:
        alone = json.loads(rich.codec().field_writer(described)(wire))
        assert same(alone, whole[described.json_name])


def fuzz(seed: int, rounds: int) -> None:
    """Writes broken bytes; fails if json_format makes another document of them."""
    chance = random.Random(seed)
    for _ in range(rounds):
        name = chance.choice(TYPES)
        wire = damaged(chance, random_wire(chance, find(name), find))
        found = ours(name, wire, OPTIONS[0])
        expected = theirs(name, wire, OPTIONS[0])
        if found is not None and expected is not None and not same(found, expected):
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

"""The native writer against its definition in Python: the same bytes, the same words of errors.

A longer run: `python -m tests.property.test_native_writer SEED ROUNDS`.
"""

import gc
import os
import random
import struct
import sys
import threading
import weakref
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.json import JsonOptions
from gateway.status import StartUpError, StatusError
from gateway.transcoding.json.message_fields import parts_of
from gateway.transcoding.json.native import VARIABLE, codec_name, native_module
from gateway.transcoding.json.writing.drafts import ANY_NUMBER
from gateway.transcoding.json.writing.native import NativeWriter, native_writer
from gateway.transcoding.json.writing.scalars import double_json, float_json
from gateway.transcoding.json.writing.writer import JsonWriter, Write
from gateway.transcoding.wire import FIXED32, FIXED64, length_delimited, tag, varint
from tests.support import rich
from tests.support.random_messages import damaged, random_wire

TYPES = [
    *(
        "rich.Book",
        "rich.Shelf",
        "rich.Author",
        "rich.Holder",
        "rich.Plain",
        "old.Job",
        "modern.Node",
    ),
    *("other.Task", "google.protobuf.Value", "google.protobuf.Struct", "google.protobuf.Any"),
    *("google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask"),
]
OPTIONS = [
    JsonOptions(emit_unset=unset, enums_as_numbers=numbers, proto_names=names, pretty=pretty)
    for unset, numbers, names, pretty in product((False, True), repeat=4)
]
MOST_VALUES = [ANY_NUMBER, ANY_NUMBER, 1, 5, 20, 100]
SEEDS = st.integers(0, (1 << 32) - 1)
seeded = settings(max_examples=300, deadline=None, derandomize=True)


@pytest.fixture(autouse=True)
def chosen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if native_module() is None and "without" not in request.node.name:
        pytest.skip("the native codec is not built: make native")


def find(name: str) -> Descriptor:
    found = rich.codec().find(name)
    assert found is not None
    return found


@cache
def makers(options: JsonOptions, most: int) -> tuple[JsonWriter, NativeWriter]:
    definition = JsonWriter(rich.codec().find, options, most)
    native = native_writer(definition.plans, most, pretty=options.pretty)
    assert native is not None
    return definition, native


@cache
def pair(
    options: JsonOptions, name: str, field: str = "", most: int = ANY_NUMBER
) -> tuple[Write, Write]:
    """The definition's writer and the native one of a message type, or of one of its fields."""
    kind = find(name)
    one, other = makers(options, most)
    if not field:
        return one.message(kind), other.message(kind)
    (described,) = [part for part in parts_of(kind) if part.full_name == field]
    return one.field(described), other.field(described)


def fresh_pair(options: JsonOptions, name: str, most: int = ANY_NUMBER) -> tuple[Write, Write]:
    """A pair whose native writer has not seen a message yet, so that it takes it for ordered."""
    native = native_writer(makers(options, most)[0].plans, most, pretty=options.pretty)
    assert native is not None
    return pair(options, name, most=most)[0], native.message(find(name))


def in_order(name: str, wire: bytes) -> bytes:
    """The bytes of the same message as a serializer writes them, by number."""
    return GetMessageClass(find(name)).FromString(wire).SerializePartialToString()


def outcome(write: Write, wire: bytes) -> tuple[str, object]:
    """The JSON, or the words of the error."""
    try:
        return "json", write(wire)
    except StatusError as error:
        return type(error).__name__, error.message


def assert_same(writers: tuple[Write, Write], wire: bytes) -> None:
    expected, found = [outcome(write, wire) for write in writers]
    assert found == expected, wire.hex()


def check(chance: random.Random) -> None:
    """Compares one random document: as it is, merged of several, or with broken bytes."""
    options, name = chance.choice(OPTIONS), chance.choice(TYPES)
    wire = b"".join(random_wire(chance, find(name), find) for _ in range(chance.choice([1, 1, 3])))
    if chance.random() < 0.5:
        wire = damaged(chance, wire)
    fields = ["", "", *(part.full_name for part in parts_of(find(name)))]
    assert_same(pair(options, name, chance.choice(fields), chance.choice(MOST_VALUES)), wire)


@seeded
@given(SEEDS)
def test_random_messages_are_written_alike(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(10):
        check(chance)


@seeded
@given(SEEDS)
def test_messages_in_order_are_written_alike(seed: int) -> None:
    chance = random.Random(seed)
    options, name = chance.choice(OPTIONS), chance.choice(TYPES)
    wire = b"".join(random_wire(chance, find(name), find) for _ in range(3))
    ordered = in_order(name, wire)
    for most in MOST_VALUES:
        assert_same(fresh_pair(options, name, most), ordered)
    for _ in range(3):
        assert_same(fresh_pair(options, name), damaged(chance, ordered))
    # The first one tells that the others may come in any order.
    writers = fresh_pair(options, name)
    for one in (wire, ordered, wire):
        assert_same(writers, one)


NAME = length_delimited(1, b"a")
ORDERS = {
    "a number that is taken back": ("rich.Book", b"\x08\x05\x08\x00"),
    "a number that comes after its zero": ("rich.Book", b"\x08\x00\x08\x05"),
    "a number that comes again": ("rich.Book", b"\x08\x05\x08\x06"),
    "an earlier field": ("rich.Plain", b"\x10\x05" + NAME),
    "an earlier field without a value": ("rich.Plain", b"\x10\x05" + length_delimited(1, b"")),
    "another member of a oneof": (
        "rich.Book",
        length_delimited(31, b"u") + tag(32, 0) + b"\x05" + length_delimited(33, NAME),
    ),
    "members of two oneofs": ("rich.Book", length_delimited(31, b"u") + length_delimited(35, b"p")),
    "a list in two parts": (
        "rich.Book",
        (tag(19, 0) + b"\x01" + length_delimited(19, b"\x02\x03") + length_delimited(21, b"t")) * 2,
    ),
    "packed and single numbers": (
        "rich.Book",
        tag(19, 0) + b"\x01" + length_delimited(19, b"\x02"),
    ),
    "a list without items": ("rich.Book", length_delimited(19, b"")),
    "a list of another field between": (
        "rich.Book",
        (length_delimited(21, b"a") + length_delimited(24, b"b")) * 2,
    ),
    "a map in two parts": (
        "rich.Book",
        (length_delimited(25, NAME) + length_delimited(21, b"t")) * 2,
    ),
    "two maps": (
        "rich.Book",
        length_delimited(25, NAME) + length_delimited(28, NAME + b"\x10\x05"),
    ),
    "a map without entries": ("old.Job", length_delimited(11, NAME + b"\x10\x63")),
    "a map without entries, then a field": (
        "old.Job",
        length_delimited(11, NAME + b"\x10\x63") + tag(100, 0) + b"\x05",
    ),
    "an unknown number of a closed enum": ("old.Job", b"\x18\x63\x20\x63\x20\x01\x38\x05"),
    "a message in two parts": (
        "rich.Author",
        length_delimited(3, NAME) + length_delimited(3, b"\x10\x05"),
    ),
    "an unknown field": ("rich.Plain", NAME + tag(9, 0) + b"\x05" + b"\x10\x05"),
    "the end of a group": ("rich.Plain", NAME + b"\x0c"),
    "messages of another order in a list": (
        "rich.Shelf",
        length_delimited(1, b"\x10\x05\x08\x05") + length_delimited(1, b"\x08\x05\x10\x05"),
    ),
    "a malformed text": ("rich.Author", length_delimited(1, b"\xff")),
    "a value without JSON, then malformed bytes": (
        "rich.Book",
        length_delimited(43, b"") + length_delimited(59, b"\xff"),
    ),
}


@pytest.mark.parametrize("case", ORDERS)
def test_fields_in_another_order_are_written_alike(case: str) -> None:
    name, wire = ORDERS[case]
    for options in OPTIONS:
        writers = fresh_pair(options, name)
        for _ in range(2):  # the second is not taken for ordered
            assert_same(writers, wire)


def test_an_item_shows_nothing_of_the_one_before() -> None:
    chance = random.Random(2)
    for _ in range(50):
        books = [random_wire(chance, find("rich.Book"), find), b"", b"\x08\x07"]
        wire = b"".join(length_delimited(1, book) for book in (*books, *reversed(books)))
        assert_same(pair(chance.choice(OPTIONS), "rich.Shelf"), wire)
    text = length_delimited(56, length_delimited(3, b"text"))
    assert_same(pair(OPTIONS[0], "rich.Book"), text + length_delimited(56, b""))  # has no value


@pytest.mark.parametrize("size", [4, 8])
def test_numbers_have_the_same_digits(size: int) -> None:
    chance = random.Random(size)
    layout, kind, number = ("<f", FIXED32, 12) if size == 4 else ("<d", FIXED64, 11)
    spell = float_json if size == 4 else double_json
    write = pair(JsonOptions(emit_unset=False), "rich.Book")[1]
    name = "weight" if size == 4 else "ratio"
    near = [1e16, 1e15, 1e-4, 1e-5, 1e22, 1e23, 1048576.25, 3.4028235e38, 1e-45, 9007199254740993.0]
    for places in range(8):
        near += [round(10 ** chance.uniform(-6, 17), places) for _ in range(1_000)]
    values = [struct.pack(layout, value) for value in near]
    for value in [*values, *(chance.randbytes(size) for _ in range(20_000))]:
        expected = f'{{"{name}":{spell(struct.unpack(layout, value)[0])}}}'
        found = write(tag(number, kind) + value)
        assert found in (expected.encode(), b"{}"), value.hex()


@pytest.mark.parametrize(
    "text", [bytes(range(128)), "é\u2028😀".encode() * 9, b"\xff", b"\xed\xa0"]
)
def test_strings_are_escaped_alike(text: bytes) -> None:
    for size in range(len(text) + 1):
        assert_same(pair(OPTIONS[0], "rich.Author"), length_delimited(1, text[:size]))


@pytest.mark.parametrize("count", [7, 8, 9, 24, 25, 1000, 40_000])
@pytest.mark.parametrize("value", ["", "v" * 300])
def test_the_last_value_of_a_key_counts_among_many(count: int, value: str) -> None:
    chance = random.Random(count)
    keys = [chance.choice(["", '"', "a" * 99, "\u00e9"]) + str(key) for key in range(count)]
    again = [*chance.choices(keys, k=count // 2), keys[0], keys[-1]]
    entries = [length_delimited(1, key.encode()) + length_delimited(2, b"x") for key in keys]
    entries += [
        length_delimited(1, key.encode()) + length_delimited(2, f"{value}{place}".encode())
        for place, key in enumerate(again)
    ]
    wire = b"".join(length_delimited(25, entry) for entry in entries)  # Book.labels
    assert_same(pair(OPTIONS[0], "rich.Book"), wire)


PATHS = [
    "a_b.c1",
    "_a",
    "a__b",
    "a_1",
    "A",
    "a.`x y`",
    "*",
    "a.*",
    'm."k"',
    "a\u0301",
    "",
    "é" * 60,
]


@pytest.mark.parametrize("path", PATHS)
def test_paths_of_a_mask_are_spelled_alike(path: str) -> None:
    wire = length_delimited(1, b"ok_path") + length_delimited(1, path.encode())
    assert_same(pair(OPTIONS[0], "google.protobuf.FieldMask"), wire)


def test_a_mask_of_many_paths_is_written_alike() -> None:
    many = length_delimited(1, b"a") * 10_000
    for last in (b"a_b", b"*"):
        assert_same(pair(OPTIONS[0], "google.protobuf.FieldMask"), many + length_delimited(1, last))


@pytest.mark.parametrize("seconds", [-62135596800, -1, 0, 951782400, 4107542399, 253402300799])
@pytest.mark.parametrize("nanos", [0, 1, 1_000, 1_000_000, 999_999_999, 1_000_000_000, -1])
def test_times_are_written_alike(seconds: int, nanos: int) -> None:
    for name, step in product(("Timestamp", "Duration"), (-1, 0, 1)):
        wire = b"\x08" + varint(seconds + step & (1 << 64) - 1)
        wire += b"\x10" + varint(nanos & (1 << 64) - 1)
        assert_same(pair(OPTIONS[0], f"google.protobuf.{name}"), wire)


@pytest.mark.parametrize(
    "url", ["", "x/rich.Author", "rich.Author", "x/none\n" * 20, "x/rich.Book"]
)
def test_messages_in_an_any_are_written_alike(url: str) -> None:
    for inner in (b"", b"\x0a\x01a", b"\xff", b"\x0a\x01\xff"):
        wire = length_delimited(1, url.encode()) + length_delimited(2, inner)
        assert_same(pair(OPTIONS[0], "google.protobuf.Any"), wire)
        assert_same(pair(OPTIONS[-1], "google.protobuf.Any"), wire)


@pytest.mark.parametrize("levels", [98, 99, 100, 101, 102, 3_000])
def test_depth_is_limited_alike(levels: int) -> None:
    mentor = parts = held = group = b""
    for _ in range(levels):
        mentor = length_delimited(3, mentor)
        parts = length_delimited(63, length_delimited(2, parts))
        url = length_delimited(1, b"x/google.protobuf.Any")
        held = url + length_delimited(2, held)
        group = b"\x1b" + group + b"\x1c"
    assert_same(pair(OPTIONS[0], "rich.Author"), mentor)
    assert_same(pair(OPTIONS[0], "rich.Book"), parts)
    assert_same(pair(OPTIONS[0], "google.protobuf.Any"), held)
    assert_same(pair(OPTIONS[0], "modern.Node"), group)
    assert_same(pair(OPTIONS[0], "modern.Node"), group.replace(b"\x1b", b"\x7b"))


def test_entries_of_a_map_that_come_again_are_written_alike() -> None:
    chance = random.Random(1)
    keys = [f"{number}".encode() for number in range(30)]
    for count in (1, 7, 8, 9, 10, 30):
        entries = [
            length_delimited(1, chance.choice(keys[:count])) + length_delimited(2, b"v" * size)
            for size in (chance.choice([1, 3_000]) for _ in range(300))
        ]
        wire = b"".join(length_delimited(25, entry) for entry in entries)
        assert_same(pair(OPTIONS[0], "rich.Book"), wire)


def test_other_threads_go_on_while_a_large_message_is_written() -> None:
    wire = length_delimited(3, b"some text" * 7) * 300_000
    write = pair(OPTIONS[0], "rich.Plain")[1]
    steps = 0
    ends = threading.Event()

    def count() -> None:
        nonlocal steps
        while not ends.wait(0.0005):
            steps += 1

    thread = threading.Thread(target=count)
    thread.start()
    write(wire)
    ends.set()
    thread.join()
    assert steps > 0


def test_the_plans_of_a_schema_go_with_it() -> None:
    definition = JsonWriter(rich.codec().find, JsonOptions())
    native = native_writer(definition.plans, pretty=False)
    assert native is not None
    native.message(find("rich.Book"))(b"")
    left = weakref.ref(native)
    del definition, native
    gc.collect()
    assert left() is None


def test_the_definition_runs_without_the_native_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "python")
    assert codec_name() == "Python"
    assert native_writer(JsonWriter(rich.codec().find, JsonOptions()).plans, pretty=False) is None


@pytest.mark.parametrize(("wish", "word"), [("fast", "expected python or native")])
def test_without_a_codec_of_that_name_nothing_starts(
    wish: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, wish)
    with pytest.raises(StartUpError, match=word):
        codec_name()


def test_without_the_codec_that_is_asked_for_nothing_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "native")
    modules: Any = sys.modules
    monkeypatch.setitem(modules, "gateway_native", None)
    with pytest.raises(StartUpError, match="make native"):
        codec_name()


def documents(seed: int, rounds: int) -> Iterator[int]:
    chance = random.Random(seed)
    for number in range(rounds):
        check(chance)
        yield number


if __name__ == "__main__":
    os.environ.pop(VARIABLE, None)
    total = sum(1 for _ in documents(int(sys.argv[1]), int(sys.argv[2])))
    sys.stdout.write(f"{total} documents, no difference\n")

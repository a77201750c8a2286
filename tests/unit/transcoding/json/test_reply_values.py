"""A reply of few bytes and very many values is refused as soon as its values are too many."""

import json
import struct
import time

import pytest

from gateway.config.json import JsonOptions
from gateway.status import Code, StatusError
from gateway.transcoding.json.native import VARIABLE, native_module
from gateway.transcoding.json.writing.native import native_writer
from gateway.transcoding.json.writing.scalars import float_json
from gateway.transcoding.json.writing.writer import JsonWriter, Write
from gateway.transcoding.wire import FIXED32, fixed, length_delimited, tag
from tests.support import rich

MOST = 1_000
BOOK = rich.message("rich.Book")
TEXT = b"type.googleapis.com/google.protobuf.StringValue"
AUTHORS = b"type.googleapis.com/rich.Book"


@pytest.fixture(params=["definition", "native"])
def codec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv(VARIABLE, raising=False)
    if request.param == "native" and native_module() is None:
        pytest.skip("the native codec is not built: make native")
    return str(request.param)


def writer(codec: str, *, unset: bool = True) -> Write:
    """The writer of books of at most a thousand values."""
    definition = JsonWriter(rich.codec().find, JsonOptions(emit_unset=unset), MOST)
    if codec == "definition":
        return definition.message(BOOK)
    native = native_writer(definition.plans, MOST, pretty=False)
    assert native is not None
    return native.message(BOOK)


def held(url: bytes, value: bytes) -> bytes:
    return length_delimited(46, length_delimited(1, url) + length_delimited(2, value))


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(length_delimited(18, b"") * 400, id="messages whose unset fields are written"),
        pytest.param(length_delimited(63, length_delimited(2, b"")) * 30, id="messages in a map"),
        pytest.param(
            b"".join(length_delimited(63, length_delimited(1, b"%d" % key)) for key in range(30)),
            id="messages that are missing in a map",
        ),
        pytest.param(length_delimited(21, b"") * 1_100, id="texts"),
        pytest.param(length_delimited(19, b"\x01" * 1_100), id="packed numbers"),
        pytest.param(length_delimited(20, b"\x80\x01" * 1_100), id="packed numbers of two bytes"),
        pytest.param(length_delimited(23, bytes(4_400)), id="packed floats"),
        pytest.param((tag(23, FIXED32) + fixed("<f", 0.1)) * 1_100, id="floats one by one"),
        pytest.param(length_delimited(22, b"\x01" * 1_100), id="packed enums"),
        pytest.param(length_delimited(25, length_delimited(1, b"a")) * 600, id="a map"),
        pytest.param(
            length_delimited(44, length_delimited(1, b"\x08\x00") * 600), id="a ListValue"
        ),
        pytest.param(
            length_delimited(41, length_delimited(1, b"a" + b".a" * 1_100)), id="steps of a path"
        ),
        pytest.param(length_delimited(41, length_delimited(1, b"a") * 1_100), id="paths"),
        pytest.param(held(AUTHORS, length_delimited(21, b"") * 1_100), id="in an Any"),
        pytest.param(
            held(AUTHORS, held(AUTHORS, length_delimited(18, b"") * 400)), id="in an Any in an Any"
        ),
        pytest.param(
            length_delimited(
                46,
                length_delimited(2, length_delimited(21, b"") * 1_100)
                + length_delimited(1, AUTHORS),
            ),
            id="in an Any whose type comes last",
        ),
    ],
)
def test_too_many_values_are_refused(codec: str, wire: bytes) -> None:
    with pytest.raises(StatusError) as caught:
        writer(codec)(wire)
    assert (caught.value.code, caught.value.http_status) == (Code.RESOURCE_EXHAUSTED, 500)
    assert "more than 1000 values" in caught.value.message


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(length_delimited(14, b"x" * 100_000), id="a long text"),
        pytest.param(length_delimited(15, b"\x01" * 100_000), id="long bytes"),
        pytest.param(length_delimited(21, b"") * 900, id="texts"),
        pytest.param(length_delimited(23, bytes(3_600)), id="packed floats"),
        pytest.param(held(TEXT, length_delimited(1, b"x" * 50_000)), id="a long text in an Any"),
        pytest.param(length_delimited(99, b"\x01" * 900) * 3, id="unknown fields"),
    ],
)
def test_large_replies_of_few_values_are_not(codec: str, wire: bytes) -> None:
    json.loads(writer(codec, unset=False)(wire))


def test_the_last_value_is_the_one_of_the_limit(codec: str) -> None:
    write = writer(codec, unset=False)
    most = length_delimited(21, b"") * MOST
    assert len(json.loads(write(most))["tags"]) == MOST
    with pytest.raises(StatusError, match="more than 1000 values"):
        write(most + length_delimited(21, b""))


def test_unset_fields_count_only_if_they_are_written(codec: str) -> None:
    wire = length_delimited(18, b"") * 400
    writer(codec, unset=False)(wire)
    with pytest.raises(StatusError):
        writer(codec, unset=True)(wire)


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(length_delimited(18, b"") * 400 + b"\xff", id="messages"),
        pytest.param(length_delimited(19, b"\x01" * 1_100 + b"\xff"), id="packed numbers"),
        pytest.param(length_delimited(25, b"\x0a\x00" * 1_100 + b"\xff"), id="an entry of a map"),
        pytest.param(held(AUTHORS, length_delimited(21, b"") * 1_100 + b"\xff"), id="in an Any"),
    ],
)
def test_nothing_is_read_behind_the_limit(codec: str, wire: bytes) -> None:
    with pytest.raises(StatusError, match="more than 1000 values"):
        writer(codec)(wire)  # it is malformed there


def test_each_message_has_a_limit_of_its_own(codec: str) -> None:
    write = writer(codec, unset=False)
    for _ in range(3):
        write(length_delimited(21, b"") * 900)


def test_a_choice_of_members_counts_too() -> None:
    field = BOOK.fields_by_name["pages"]
    writes = JsonWriter(rich.codec().find, JsonOptions(), MOST)
    with pytest.raises(StatusError, match="more than 1000 values"):
        writes.field(field)(length_delimited(19, b"\x01" * 1_100))


def test_the_writer_of_a_mask_of_many_odd_paths_gives_up_at_once() -> None:
    wire = length_delimited(41, length_delimited(1, b"a.*") * 200_000)
    begun_s = time.process_time()
    with pytest.raises(StatusError, match="more than 10000 paths"):
        rich.codec(JsonOptions()).writer(BOOK)(wire)
    assert time.process_time() - begun_s < 1.5


@pytest.mark.parametrize(
    "mask", ["a" + ".a" * 40_000, "a," * 40_000 + "a", "a" * 70_000, "a" + ".*" * 40_000]
)
def test_a_mask_that_is_too_long_is_refused_before_the_library_reads_it(mask: str) -> None:
    mask_field = BOOK.fields_by_name["mask"]
    for read, body in [
        (rich.codec().reader(BOOK), json.dumps({"mask": mask})),
        (rich.codec().reader(BOOK), json.dumps({"masks": ["a", mask]})),
        (rich.codec().field_reader(mask_field), json.dumps(mask)),
    ]:
        with pytest.raises(StatusError, match="at most 65536 characters") as caught:
            read(body.encode())
        assert caught.value.code is Code.INVALID_ARGUMENT


def test_a_long_text_beside_a_mask_is_read() -> None:
    text = "a" * 70_000
    wire = rich.codec().reader(BOOK)(json.dumps({"title": text, "mask": "a.b"}).encode())
    assert wire == length_delimited(14, text.encode()) + length_delimited(
        41, length_delimited(1, b"a.b")
    )


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("0.10000000149011612", "0.1"),
        ("1.2345678806304932", "1.2345679"),
        ("16777216.0", "16777216"),
        ("3.4028234663852886e+38", "3.4028235e+38"),
        ("0.30000001192092896", "0.3"),
        ("123456.78125", "123456.78"),
        ("8589973504.0", "8589974000"),
    ],
)
def test_a_float_has_its_shortest_spelling(text: str, short: str) -> None:
    value: float = struct.unpack("<f", struct.pack("<f", float(text)))[0]
    assert float_json(value) == short

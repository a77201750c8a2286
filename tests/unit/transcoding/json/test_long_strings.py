"""A long string that is parsed in pieces is what the standard library makes of it at once."""

import json
import random
from json import decoder

import pytest

from gateway.status import StatusError
from gateway.transcoding.json.long_strings import PIECE_BYTES, long_string
from gateway.transcoding.json.reading.plans import Plans
from gateway.transcoding.json.reading.reader import MessageReader
from gateway.transcoding.json.text import lone_surrogate
from tests.support import rich

RIGHT = [
    *("a", "bc" * 9, "é", "😀", r"\n", r"\\", r"\"", r"\/", r"\u0041", r"\ud83d\ude00"),
    r"\u20ac",
]
WRONG = ["\\", r"\x", r"\u12", r"\u1\\", "\\u1\\", "\x01", r"\u12g4", "\n"]
ENDS = ['"', "", '",1]', '"😀']


def expected(text: str, start: int) -> tuple[str | bytes | None, int]:
    """What the standard library makes of the string at an index, with its offset in bytes.

    What is not ASCII is UTF-8.
    """
    try:
        found, end = decoder.scanstring(text, start + 1, True)  # type: ignore[attr-defined]
    except json.JSONDecodeError as error:
        return None, len(text[: error.pos].encode())
    told = found if found.isascii() else found.encode("utf-8", "surrogatepass")
    return told, len(text[:end].encode())


@pytest.mark.parametrize("seed", range(8))
def test_pieces_give_the_same_text_and_the_same_faults(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(2_000):
        units = chance.choices(RIGHT, k=chance.randint(0, 40))
        if chance.random() < 0.4:
            units.insert(chance.randint(0, len(units)), chance.choice(WRONG))
        text = "".join(["[é", '"', *units, chance.choice(ENDS)])
        found = long_string(text.encode(), 3, piece_bytes=chance.randint(16, 60))
        assert found == expected(text, 2), text


@pytest.mark.parametrize("unit", ["a", r"\u0001", r"\ud83d\ude00", "😀", r"\\"])
def test_a_long_string_is_read(unit: str) -> None:
    text = '"' + "x" + unit * (PIECE_BYTES // 2) + '"'
    wire = rich.codec().reader(rich.message("rich.Plain"))(f'{{"name":{text}}}'.encode())
    assert wire.endswith(json.loads(text).encode())


LONG = "x" * 3_000 + "😀"
FIELDS = [
    *("i32", "u64", "f32", "ratio", "on", "title", "data", "color", "author", "tags", "labels"),
    *("byYear", "byFlag", "printed", "loan", "mask", "extra", "value", "list", "null", "any"),
    *("empty", "wWide", "wString", "wBytes", "wBool", "wDouble", "masks", "loans", "nothing"),
]


def answer(body: str, *, ignores: bool, in_pieces: bool) -> bytes | list[object]:
    """The message of a Book, or all that is wrong in its body, which is read at once or not."""
    plans = Plans(rich.codec().find, None if ignores else ())
    window = 1024 if in_pieces else len(body) * 4
    read = MessageReader(plans.message(rich.message("rich.Book")), 100, window).read
    try:
        return read(body.encode())
    except StatusError as error:
        return [error.message, *error.details]


@pytest.mark.parametrize("ignores", [False, True], ids=["strict", "lax"])
@pytest.mark.parametrize("field", FIELDS)
def test_a_long_string_is_the_same_in_every_place(field: str, *, ignores: bool) -> None:
    url = "x" * 3_000 + "😀/google.protobuf.Duration"
    for value in (
        f'"{LONG}"',
        f'["{LONG}"]',
        f'{{"{LONG}":"{LONG}"}}',
        f'{{"{LONG}":"a", "{LONG[:-1]}\\ud83d\\ude00":"b"}}',
        f'{{"@type":"{LONG}"}}',
        f'{{"@type":"{url}","value":"1s","{LONG}":1}}',
        f'{{"@type":"{url}","value":"{LONG}"}}',
        f'"a.`{"😀" * 1_000}`"',
    ):
        body = f'{{"{field}":{value},"{LONG}":1}}'
        at_once = answer(body, ignores=ignores, in_pieces=False)
        assert answer(body, ignores=ignores, in_pieces=True) == at_once, value[:60]


def test_a_long_key_in_two_spellings_is_there_twice() -> None:
    """One of them fits into what is parsed at once, the other does not."""
    plain = "😀" + "x" * 16_370
    again = plain.replace("😀", r"\ud83d\ude00")
    for field in ("labels", "extra"):
        body = f'{{"{field}":{{"{plain}":"a", "{again}":"b"}},"title":"{"x" * 70_000}"}}'
        with pytest.raises(StatusError) as caught:
            rich.codec().reader(rich.message("rich.Book"))(body.encode())
        assert "set twice" in str(caught.value.details)


@pytest.mark.parametrize("fault", ["\x01", r"\x", ""], ids=repr)
def test_the_fault_of_a_long_string_is_where_it_is(fault: str) -> None:
    body = '{"name":"' + "x" * 3_000_000 + fault
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads(body)
    column = caught.value.colno
    with pytest.raises(StatusError, match=f"line 1 column {column}"):
        rich.codec().reader(rich.message("rich.Plain"))(body.encode())


@pytest.mark.parametrize("escape", [r"\ud83d", r"\uDE00"])
def test_half_of_a_surrogate_pair_is_found_in_every_piece(escape: str) -> None:
    for offset in (0, 65_533, 65_534, 65_535, 65_536, 131_072, 200_000):
        text = b"\\n" * (offset // 2) + b"x" * (offset % 2)
        assert lone_surrogate(text + escape.encode() + b'"') == offset
    assert lone_surrogate(rb"\n\\ud83d" + rb"\ud83d\ude00" * 9_000) == -1

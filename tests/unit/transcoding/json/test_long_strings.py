"""A long string that is parsed in pieces is what the standard library makes of it at once."""

import json
import random
from json import decoder

import pytest

from gateway.status import StatusError
from gateway.transcoding.json.long_strings import PIECE_BYTES, long_string
from gateway.transcoding.json.text import lone_surrogate
from tests.support import rich

RIGHT = [
    *("a", "bc" * 9, "é", "😀", r"\n", r"\\", r"\"", r"\/", r"\u0041", r"\ud83d\ude00"),
    r"\u20ac",
]
WRONG = ["\\", r"\x", r"\u12", r"\u1\\", "\\u1\\", "\x01", r"\u12g4", "\n"]
ENDS = ['"', "", '",1]', '"😀']


def expected(text: str, start: int) -> tuple[str | None, int]:
    """What the standard library makes of the string at an index, with its offset in bytes."""
    try:
        found, end = decoder.scanstring(text, start + 1, True)  # type: ignore[attr-defined]
    except json.JSONDecodeError as error:
        return None, len(text[: error.pos].encode())
    return found, len(text[:end].encode())


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

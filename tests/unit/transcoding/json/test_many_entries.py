"""Maps of many entries: the last value of each key is written, in its first place."""

import json
import random

import pytest

from gateway.config.json import JsonOptions
from gateway.transcoding.json.writing.writer import JsonWriter
from gateway.transcoding.wire import length_delimited
from tests.support import rich


def written(pairs: list[tuple[str, str]]) -> bytes:
    """The JSON of `labels` with these entries."""
    wire = b"".join(
        [
            length_delimited(
                25, length_delimited(1, key.encode()) + length_delimited(2, value.encode())
            )
            for key, value in pairs
        ]
    )
    codec = rich.codec()
    return JsonWriter(codec.find, JsonOptions(emit_unset=False)).message(rich.message("rich.Book"))(
        wire
    )


def expected(pairs: list[tuple[str, str]]) -> bytes:
    """The same by a dictionary."""
    return json.dumps({"labels": dict(pairs)}, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.parametrize("count", [1, 511, 512, 513, 1024, 1025, 5000])
def test_all_entries_are_written_in_their_order(count: int) -> None:
    pairs = [(f'k"{number}\x01', f"é\x00{number}") for number in range(count)]
    assert written(pairs) == expected(pairs)


@pytest.mark.parametrize("seed", range(5))
def test_the_last_value_of_a_key_counts(seed: int) -> None:
    chance = random.Random(seed)
    pairs = [(str(number), "a") for number in range(6000)]
    for _ in range(chance.choice([1, 10, 6000])):
        pairs.insert(chance.randint(0, len(pairs)), (str(chance.randrange(6000)), "b"))
    assert written(pairs) == expected(pairs)


def test_a_block_of_repeated_keys_leaves_no_gap() -> None:
    pairs = [(str(number), "a") for number in range(3000)]
    pairs += [(str(number), "b") for number in range(512, 3000)] * 2
    assert written(pairs) == expected(pairs)

"""What reading costs: time in step with the size, and memory within a few times of it.

Sizes differ eightfold, and time may then differ by half of what a square would make of that.
"""

import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import pytest

from gateway.exchange.ring import cors
from gateway.status import StatusError
from gateway.telemetry.masking import mask_credentials
from gateway.transcoding.json import values as json_values
from gateway.transcoding.json.lax_spellings import lax_spelling_test, message_contents
from gateway.transcoding.json.text import check_depth, deeper_than
from gateway.transcoding.json.writer import indented
from gateway.transcoding.streams import deframing
from gateway.transcoding.text_values import read_field_mask
from tests.support import rich
from tests.support.growth import check_growth

SMALL, LARGE = 64 * 1024, 512 * 1024
TIME = 8 * 4
MEMORY = 4

doubt = lax_spelling_test(message_contents(rich.message("rich.Book")))


def elements(data: bytes) -> int:
    return sum(1 for _ in deframing.ArrayItems(1 << 30).feed(data))


def depth(body: bytes) -> None:
    with suppress(StatusError):
        check_depth(body, 100)


def full(pattern: re.Pattern[str]) -> Callable[[str], object]:
    return pattern.fullmatch


TEXTS = [
    pytest.param(full(json_values._MASK), "a", ",a", "", id="a mask of many paths"),
    pytest.param(full(json_values._MASK), "a", ".a", "", id="a mask of one long path"),
    pytest.param(full(json_values._MASK), "a", "a", "", id="a mask of one long name"),
    pytest.param(full(json_values._NUMBER), "1", "1", "x", id="a number with a bad end"),
    pytest.param(full(cors._NAMES), "a", " ,\ta", "", id="names of headers"),
    pytest.param(full(cors._NAMES), "a", " ", "x", id="blanks between names of headers"),
    pytest.param(read_field_mask, "a", ".a", "", id="a mask in a query"),
    pytest.param(mask_credentials, "", "eyJ", "", id="beginnings of JWTs"),
    pytest.param(mask_credentials, "", "eyJaaaaaaaa.", "", id="JWTs without a rest"),
    pytest.param(mask_credentials, "", "gwk_", "", id="beginnings of keys"),
    pytest.param(indented, '"', '\\"', '"', id="text to be indented"),
]
BODIES = [
    pytest.param(depth, b'"' + b"[" * 120, b"\n", b"", id="a string of line feeds"),
    pytest.param(depth, b"[" * 101 + b'"', b"\\", b"", id="a string of backslashes"),
    pytest.param(depth, b"[" * 101 + b'"', b'\\"', b"", id="a string of escapes"),
    pytest.param(depth, b"[", b'"[[', b"", id="brackets in and out of strings"),
    pytest.param(depth, b"[", b'"abcdef",', b"[]" * 101, id="small strings and brackets"),
    pytest.param(depth, b"", b"[", b"", id="brackets that open"),
    pytest.param(depth, b"[", b"[],", b"]", id="many lists"),
    pytest.param(depth, b"[", b"[" * 99 + b"]" * 99 + b",", b"]", id="many deep lists"),
    pytest.param(depth, b"[", b"[" * 12 + b"]" * 12 + b",", b"]", id="many less deep lists"),
    pytest.param(elements, b'["', b"ab ", b'",1]', id="an array of long text"),
    pytest.param(elements, b'["', b'\\"', b'",1]', id="an array of escapes"),
    pytest.param(elements, b"[[", b"[1],", b"1]]", id="an array of small arrays"),
    pytest.param(elements, b"[[", b'{"a":"b"},', b"1]]", id="an array of small objects"),
    pytest.param(doubt, b'{"title":"', b"a" + b"1" * 299, b'"}', id="runs of digits"),
    pytest.param(doubt, b'{"pages":[1', b",1", b"]}", id="a list of integers"),
    pytest.param(doubt, b'{"weights":[1', b",1.5", b"]}", id="a list of numbers"),
    pytest.param(doubt, b'{"blobs":["', b"abcd", b'"]}', id="bytes"),
    pytest.param(doubt, b'{"mask":"a', b",a", b'"}', id="a mask"),
    pytest.param(doubt, b'{"counts":{"a":1', b',"a":1', b"}}", id="a map"),
    pytest.param(doubt, b"{", b'"tags":["counts"],', b'"on":true}', id="names as values"),
    pytest.param(doubt, b"{", b'"[', b"}", id="names that open a bracket"),
    pytest.param(doubt, b'{"url"', b" ", b'"url":1}', id="blanks behind a name"),
    pytest.param(doubt, b"{", b'"url":"",', b'"on":true}', id="a member again and again"),
]


def peak(read: Callable[[object], object], text: object) -> int:
    tracemalloc.start()
    try:
        read(text)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("read", "begin", "again", "end"), [*TEXTS, *BODIES])
def test_cost_is_in_step_with_size(
    read: Callable[[object], object], begin: str, again: str, end: str
) -> None:
    small, large = (begin + again * (size // len(again)) + end for size in (SMALL, LARGE))
    read(small)  # what is made once is made now
    check_growth(read, small, large, times=TIME)
    for text in (small, large):
        assert peak(read, text) <= MEMORY * len(text)


def test_depth_of_long_runs_is_found() -> None:
    assert deeper_than(b"[" * 200_000, 100)
    assert not deeper_than((b"[" * 99 + b"]" * 99) * 1000, 100)
    assert deeper_than((b"[" * 99 + b"]" * 99) * 1000 + b"[" * 101, 100)
    # Strings that begin in one piece of the text and end in another.
    assert not deeper_than((b'"[[[",' * 50_000 + b'"]"') * 3, 100)
    assert deeper_than(b'"[[[",' * 50_000 + b"[" * 101, 100)


def test_a_whole_process_stays_small() -> None:
    child = subprocess.run(
        [sys.executable, "-m", "tests.support.footprint"],
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (child.returncode, child.stdout) == (0, ""), child.stdout + child.stderr[-2000:]

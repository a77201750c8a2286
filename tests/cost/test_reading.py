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
from gateway.transcoding import text_forms
from gateway.transcoding.json.native import VARIABLE, native_module
from gateway.transcoding.json.text import check_depth, deeper_than
from gateway.transcoding.json.writing.writer import indented
from gateway.transcoding.streams import deframing
from gateway.transcoding.text_values import read_field_mask
from tests.support import rich
from tests.support.growth import check_growth

SMALL, LARGE = 64 * 1024, 512 * 1024
TIME = 8 * 4
MEMORY = 4
BYTES_A_VALUE = 700

read_book = rich.codec().reader(rich.message("rich.Book"))


def elements(data: bytes) -> int:
    return sum(1 for _ in deframing.ArrayItems(1 << 30).feed(data))


def depth(body: bytes) -> None:
    with suppress(StatusError):
        check_depth(body, 100)


def book(body: object) -> None:
    assert isinstance(body, bytes)
    with suppress(StatusError):
        read_book(body)


def full(pattern: re.Pattern[str]) -> Callable[[str], object]:
    return pattern.fullmatch


TEXTS = [
    pytest.param(full(text_forms._NUMBER), "1", "1", "x", id="a number with a bad end"),
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
    pytest.param(book, b'{"title":"', b"a" + b"1" * 299, b'"}', id="runs of digits"),
    pytest.param(book, b'{"title":"', b"\\u00e9", b'"}', id="escapes"),
    pytest.param(book, b'{"ratio":1.', b"1", b"}", id="a number of many digits"),
    pytest.param(book, b'{"i64":1', b"0", b"}", id="a long integer"),
    pytest.param(book, b'{"i64":0.', b"0", b"1}", id="a long fraction"),
    pytest.param(book, b'{"i64":1e', b"0", b"1}", id="a long exponent"),
    pytest.param(book, b'{"i64":"1', b"0", b'"}', id="a long integer in quotes"),
    pytest.param(book, b'{"data":"', b"abcd", b'"}', id="bytes"),
    pytest.param(book, b'{"data":"', b"=", b'"}', id="padding of base64"),
    pytest.param(book, b'{"printed":"', b"2", b'"}', id="a time"),
    pytest.param(book, b'{"loan":"', b"2", b's"}', id="a duration"),
    pytest.param(book, b'{"mask":"a', b",a", b'"}', id="a mask"),
    pytest.param(book, b'{"mask":"a', b".a", b'"}', id="a mask of one long path"),
]
VALUES = [
    pytest.param(book, b'{"on":true', b',"on":true', b"}", id="a member again and again"),
    pytest.param(book, b'{"pages":[1', b",1", b"]}", id="a list of integers"),
    pytest.param(book, b'{"weights":[1', b",1.5", b"]}", id="a list of numbers"),
    pytest.param(book, b'{"tags":["a"', b',"ab"', b"]}", id="a list of strings"),
    pytest.param(book, b'{"coAuthors":[{}', b',{"name":"A"}', b"]}", id="a list of messages"),
    pytest.param(book, b'{"values":[1', b',{"a":[1]}', b"]}", id="a list of values"),
    pytest.param(book, b'{"list":[1', b',"ab"', b"]}", id="a list value"),
    pytest.param(
        book,
        b'{"reprints":["2024-01-01T00:00:00Z"',
        b',"2024-01-01T00:00:00Z"',
        b"]}",
        id="a list of times",
    ),
    pytest.param(book, b'{"counts":{"a":1', b',"a":1', b"}}", id="one key of a map, often"),
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


@pytest.mark.parametrize(("read", "begin", "again", "end"), VALUES)
def test_cost_of_values_is_in_step_with_their_number(
    read: Callable[[object], object], begin: bytes, again: bytes, end: bytes
) -> None:
    """A value of a few bytes takes a few hundred: `limits.json_values` bounds their number."""
    small, large = (begin + again * times + end for times in (2_500, 20_000))
    read(small)
    check_growth(read, small, large, times=TIME)
    assert peak(read, large) <= 20_000 * BYTES_A_VALUE


def test_many_keys_of_a_map_take_time_in_step_with_their_number() -> None:
    small, large = (
        b'{"labels":{%b}}' % b",".join(b'"%d":"x"' % key for key in range(times))
        for times in (2_500, 20_000)
    )
    book(small)
    check_growth(book, small, large, times=TIME)


def test_depth_of_long_runs_is_found() -> None:
    assert deeper_than(b"[" * 200_000, 100)
    assert not deeper_than((b"[" * 99 + b"]" * 99) * 1000, 100)
    assert deeper_than((b"[" * 99 + b"]" * 99) * 1000 + b"[" * 101, 100)
    # Strings that begin in one piece of the text and end in another.
    assert not deeper_than((b'"[[[",' * 50_000 + b'"]"') * 3, 100)
    assert deeper_than(b'"[[[",' * 50_000 + b"[" * 101, 100)


@pytest.mark.slow
@pytest.mark.parametrize(
    "measure", [["footprint"], ["codec_footprint", "python"], ["codec_footprint", "native"]]
)
def test_a_whole_process_stays_small(measure: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if len(measure) > 1 and sys.platform != "linux":
        pytest.skip("the growth of memory is measured on Linux only")
    if measure[-1] == "native" and native_module() is None:
        pytest.skip("the native codec is not built (make native)")
    module, *arguments = measure
    child = subprocess.run(
        [sys.executable, "-m", f"tests.support.{module}", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert (child.returncode, child.stdout) == (0, ""), child.stdout + child.stderr[-2000:]

"""Messages in google.protobuf.Any cost a few times their size, however they are nested."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import any_pb2, wrappers_pb2

from gateway.status import Code, StatusError
from gateway.transcoding.wire import length_delimited
from tests.support import rich
from tests.support.hostile_backend import nested

ROOT = Path(__file__).parents[4]
BOOK = rich.message("rich.Book")
CHILD = """
import resource, sys
from gateway.status import StatusError
from gateway.transcoding.wire import length_delimited
from tests.support import rich
from tests.support.hostile_backend import ANY, nested
levels, size, what = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
codec = rich.codec()
write = codec.writer(rich.message("rich.Book"))
write(length_delimited(46, nested(1)))
wire = nested(levels, size)
kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    if what == "reply":
        write(length_delimited(46, wire))
    else:
        codec.any_to_json(ANY.decode(), wire)
except StatusError as error:
    print(error.code.name)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - kib) * 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("levels", "what"), [(101, "reply"), (90, "reply"), (101, "details")])
def test_a_large_any_costs_a_few_times_its_size(levels: int, what: str) -> None:
    size = 4_000_000
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(levels), str(size), what],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    *told, grown = child.stdout.split()
    assert told == (["INTERNAL"] if (levels, what) == (101, "reply") else [])
    assert int(grown) < 6 * size


@pytest.mark.parametrize("levels", [0, 1, 2, 90])
def test_what_is_nested_within_reason_is_shown(levels: int) -> None:
    size = 1_000_000 if levels <= 2 else 1
    wire = length_delimited(46, nested(levels, size))
    assert rich.write(wire).count("@type") == levels + 1


@pytest.mark.parametrize("levels", [101, 150, 3000])
def test_what_is_nested_deeper_is_refused(levels: int) -> None:
    wire = length_delimited(46, nested(levels, 20_000))
    with pytest.raises(StatusError, match="nested") as refused:
        rich.codec().writer(BOOK)(wire)
    assert refused.value.code is Code.INTERNAL


def test_many_beside_each_other_are_not_nested() -> None:
    part = nested(1)
    books = [
        length_delimited(1, b"%d" % i) + length_delimited(2, length_delimited(46, part))
        for i in range(2000)
    ]
    wire = b"".join(length_delimited(63, book) for book in books)
    assert rich.write(wire).count("@type") == 4000


def test_what_breaks_off_is_for_the_printer_to_tell() -> None:
    wire = length_delimited(46, nested(3, 20_000)[:-5])
    with pytest.raises(StatusError, match="malformed"):
        rich.codec().writer(BOOK)(wire)


def test_details_beyond_a_bound_stay_as_they_are() -> None:
    detail = any_pb2.Any()
    detail.Pack(wrappers_pb2.StringValue(value="x" * 400_000))
    shown = rich.codec().details_to_json([detail] * 4)
    assert [len(one["value"]) for one in shown[:2]] == [400_000] * 2
    assert all(len(one["value"]) > 400_000 for one in shown[2:])


def test_of_very_many_details_the_last_stay_as_they_are() -> None:
    detail = any_pb2.Any()
    detail.Pack(wrappers_pb2.StringValue(value="x"))
    shown = rich.codec().details_to_json([detail] * 1002)
    assert [one["value"] for one in shown] == ["x"] * 1000 + ["CgF4"] * 2

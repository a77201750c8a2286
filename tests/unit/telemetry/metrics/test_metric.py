"""Cells of histograms, written by the definition and by the native module."""

import os
from bisect import bisect_left
from collections.abc import Iterator

import pytest

from gateway.telemetry.metrics.cells import CellFile
from gateway.telemetry.metrics.metric import (
    CellWriter,
    Kind,
    Metric,
    OpenChildren,
    bucket,
    increase,
)
from gateway.transcoding.json.native import VARIABLE, native_module

EDGES = [0.005, 0.01, 0.5, 1.0, 10.0]


@pytest.mark.parametrize("count", range(len(EDGES) + 1))
def test_a_bound_belongs_to_its_bucket(count: int) -> None:
    edges = EDGES[:count]
    for value in [-1.0, 0.0, *EDGES, *(edge * 1.01 for edge in EDGES), 1e9, float("inf")]:
        assert bucket(edges, value) == bisect_left(edges, value)


def test_a_cell_is_added_to() -> None:
    file = CellFile()
    at = file.child("a", (), 2)
    increase(file.cells, at + 1, 2.0)
    increase(file.cells, at + 1, 0.25)
    assert [*file.cells[at : at + 2]] == [0.0, 2.25]
    file.close()


SIZES = Metric("sizes", Kind.HISTOGRAM, "Sizes", edges=(1.0, 8.0))
TIMES = Metric("times", Kind.HISTOGRAM, "Times", edges=tuple(EDGES))


@pytest.fixture(params=["python", "native"])
def pair(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[CellFile, OpenChildren]]:
    """A file, and what counts sizes and times in it."""
    monkeypatch.setenv(VARIABLE, "")
    if request.param == "native" and native_module() is None:
        pytest.skip("the native module is not built: `make native`")
    monkeypatch.setenv(VARIABLE, request.param)
    file = CellFile()
    yield file, CellWriter(file).histograms(SIZES, TIMES)
    file.close()


def test_a_value_is_counted_in_each_histogram(pair: tuple[CellFile, OpenChildren]) -> None:
    file, open_children = pair
    places = tuple(file.child(one.name, (), one.slots) for one in (SIZES, TIMES))
    observe = open_children(places)
    values = [-1.0, 0.0, *EDGES, *(edge * 1.01 for edge in EDGES), 1e9]
    for value in values:
        observe(8, value)
    file.flush()
    cells = file.cells
    sizes, times = (cells[at : at + 10].tolist() for at in places)
    # Created, sum, buckets, and an exemplar: a bound belongs to its bucket.
    assert sizes == [0.0, 8.0 * len(values), 0.0, len(values), *([0.0] * 6)]
    assert times[1] == pytest.approx(sum(values))
    found = [bisect_left(EDGES, value) for value in values]
    assert times[2:8] == [found.count(at) for at in range(len(EDGES) + 1)]


@pytest.mark.parametrize(
    ("places", "values"),
    [
        pytest.param((1, 1 << 60), (1.0, 1.0), id="beyond the file"),
        pytest.param((1, 3 * 1024 * 1024 - 3), (1.0, 1.0), id="over its end"),
        pytest.param((1,), (1.0, 1.0), id="a place too few"),
        pytest.param((1, 1), (1.0,), id="a value too few"),
    ],
)
def test_what_is_no_child_is_refused(
    pair: tuple[CellFile, OpenChildren], places: tuple[int, ...], values: tuple[float, ...]
) -> None:
    _, open_children = pair
    with pytest.raises((IndexError, ValueError)):
        open_children(places)(*values)


@pytest.mark.usefixtures("pair")
def test_what_counts_can_outlive_its_file() -> None:
    file = CellFile()
    open_children = CellWriter(file).histograms(SIZES)
    at = file.child(SIZES.name, (), SIZES.slots)
    cells = file.cells
    observe = open_children((at,))
    file.close()
    observe(2.0)
    file.flush()
    assert cells[at + 1] == 2.0


@pytest.mark.usefixtures("pair")
def test_other_readers_see_what_was_flushed_and_all_children_of_a_place_count() -> None:
    file = CellFile()
    other = CellFile(os.dup(file._fd))
    writer = CellWriter(file)
    at = writer.child(SIZES, ())
    for _ in range(2):  # as the generations before and after a reload
        writer.histograms(SIZES)((at,))(2.0)
    assert [cells[1] for _, cells in file.children()] == [4.0]
    writer.histograms(TIMES, SIZES)((writer.child(TIMES, ()), at))(0.5, 3.0)
    file.flush()
    file.flush()  # nothing is counted twice
    assert [cells[1] for _, cells in other.children()] == [7.0, 0.5]
    other.close()
    file.close()

"""Cells of histograms and counters, and what is counted before it reaches them."""

import os
import random
import sys
import threading
import tracemalloc
from bisect import bisect_left
from collections.abc import Iterator

import pytest

from gateway.telemetry.metrics.cells import CellFile
from gateway.telemetry.metrics.counting import Accumulators, CellWriter
from gateway.telemetry.metrics.metric import Kind, Metric, bucket, increase

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
WIDE = Metric("wide", Kind.HISTOGRAM, "Wide", labels=("kind",), edges=tuple(map(float, range(200))))
COUNT = Metric("count", Kind.COUNTER, "Count", labels=("kind",))
TIMES = Metric("times", Kind.HISTOGRAM, "Times", edges=tuple(EDGES))


@pytest.fixture
def file() -> Iterator[CellFile]:
    opened = CellFile()
    yield opened
    opened.close()


def test_each_value_is_counted_in_its_bucket(file: CellFile) -> None:
    times = Accumulators(CellWriter(file)).of(TIMES, ())
    values = [-1.0, 0.0, *EDGES, *(edge * 1.01 for edge in EDGES), 1e9, 0.0, 0.5, float("inf")]
    random.Random(1).shuffle(values)
    for value in values:
        times.add(value)
    times.add(-float("inf"))
    file.flush()
    ((_, cells),) = file.children()
    found = [bisect_left(EDGES, value) for value in [*values, -float("inf")]]
    assert cells[2:8].tolist() == [found.count(at) for at in range(len(EDGES) + 1)]


def test_the_sum_of_the_values_is_kept(file: CellFile) -> None:
    sizes = Accumulators(CellWriter(file)).of(SIZES, ())
    for value in (8.0, 0.25, 3.0):
        sizes.add(value)
    file.flush()
    ((_, cells),) = file.children()
    # After the time of creation; then the buckets, and an exemplar.
    assert cells[1:].tolist() == [11.25, 1.0, 2.0, 0.0, *([0.0] * 5)]


def test_children_take_little_memory_beside_their_counts(file: CellFile) -> None:
    accumulators = Accumulators(CellWriter(file))
    accumulators.of(WIDE, ("0",))
    tracemalloc.start()
    try:
        for number in range(1, 101):
            accumulators.of(WIDE, (str(number),))
        each_bytes = tracemalloc.get_traced_memory()[0] / 100
    finally:
        tracemalloc.stop()
    # A count for each bucket, and what there is once for a child; no bounds of its own.
    assert each_bytes < 8 * len(WIDE.edges) + 1000


def test_a_counter_takes_amounts(file: CellFile) -> None:
    add = Accumulators(CellWriter(file)).adder(COUNT, "a")
    add(2.0)
    add(-0.5)
    file.flush()
    ((_, cells),) = file.children()
    assert cells[1:].tolist() == [1.5]


def test_what_counts_can_outlive_its_file() -> None:
    file = CellFile()
    accumulators = Accumulators(CellWriter(file))
    add, cells = accumulators.adder(SIZES), file.cells
    at = accumulators.writer.child(SIZES, ())
    file.close()
    add(2.0)
    accumulators.flush()
    assert cells[at + 1] == 2.0


def test_other_readers_see_what_was_flushed_and_nothing_is_counted_twice(file: CellFile) -> None:
    other = CellFile(os.dup(file._fd))
    for _ in range(2):  # as the generations before and after a reload
        accumulators = Accumulators(CellWriter(file))
        accumulators.adder(SIZES)(2.0)
        accumulators.adder(SIZES)(1.0)
    assert [cells[1] for _, cells in file.children()] == [6.0]
    accumulators.adder(TIMES)(0.5)
    accumulators.adder(SIZES)(3.0)
    file.flush()
    file.flush()
    assert [cells[1] for _, cells in other.children()] == [9.0, 0.5]
    other.close()


def test_no_value_is_lost_while_another_thread_flushes(file: CellFile) -> None:
    accumulators = Accumulators(CellWriter(file))
    times, is_over = accumulators.of(TIMES, ()), threading.Event()

    def flush() -> None:
        while not is_over.is_set():
            file.flush()

    threads = [threading.Thread(target=flush) for _ in range(2)]
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for number in range(50_000):
            times.add(float(number % 3))
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(before_s)
    ((_, cells),) = file.children()
    assert cells[1] == sum(number % 3 for number in range(50_000))
    assert sum(cells[2:8]) == 50_000

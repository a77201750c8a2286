"""Cells of histograms."""

from bisect import bisect_left

import pytest

from gateway.telemetry.metrics.cells import CellFile
from gateway.telemetry.metrics.metric import bucket, increase

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

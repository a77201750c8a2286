"""Rates and percentiles of `gateway top`."""

from typing import Any

import pytest

from gateway.cli.top.figures import figures, percentile

BOUNDS = [0.01, 0.1, 1.0]


def row(*buckets: int, failures: int = 0, client_errors: int = 0) -> dict[str, Any]:
    counts = {"failures": failures, "client_errors": client_errors}
    return {"requests": sum(buckets), "buckets": list(buckets)} | counts


@pytest.mark.parametrize(
    ("buckets", "part", "seconds"),
    [
        ([0, 0, 0, 0], 0.5, None),
        ([10, 0, 0, 0], 0.5, 0.005),
        ([10, 0, 0, 0], 1.0, 0.01),
        ([0, 10, 0, 0], 0.5, 0.055),
        ([5, 5, 0, 0], 0.5, 0.01),
        ([99, 0, 0, 1], 0.99, 0.01),
        ([99, 0, 0, 1], 1.0, 1.0),  # beyond the last bound, nothing more is known
        ([0, 0, 0, 3], 0.5, 1.0),
    ],
)
def test_a_percentile_is_that_of_prometheus(
    buckets: list[int], part: float, seconds: float | None
) -> None:
    assert percentile(buckets, BOUNDS, part) == pytest.approx(seconds)


def test_figures_are_those_between_two_moments() -> None:
    before = row(100, 0, 0, 0, failures=50)
    after = row(100, 18, 1, 1, failures=55, client_errors=10)

    found = figures(before, after, BOUNDS, over_s=4)

    assert (found.per_second, found.failed, found.client_errors) == (5, 0.25, 0.5)
    assert found.p50_s == pytest.approx(0.06)
    assert found.since_start == 120


def test_a_new_row_counts_from_zero() -> None:
    assert figures(None, row(8, 0, 0, 0), BOUNDS, 2).per_second == 4


def test_a_gateway_that_started_again_counts_from_zero() -> None:
    assert figures(row(900, 0, 0, 0), row(8, 0, 0, 0), BOUNDS, 2).per_second == 4


def test_without_requests_there_are_no_shares() -> None:
    found = figures(row(8, 0, 0, 0), row(8, 0, 0, 0), BOUNDS, 2)

    assert (found.per_second, found.failed, found.p99_s) == (0, None, None)

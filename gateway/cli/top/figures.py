"""Rates and percentiles from two answers of `/traffic`, which has sums since the start."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Figures:
    """The traffic between two moments."""

    per_second: float
    """Requests or calls."""
    failed: float | None
    """The share of failures of the gateway or of a back end; None without requests."""
    client_errors: float | None
    """The share of statuses 400 to 499; None without requests."""
    p50_s: float | None
    """Half of the requests took at most so long; None without requests."""
    p95_s: float | None
    p99_s: float | None
    since_start: int
    """The number since the start of the gateway."""


def figures(before: Row | None, after: Row, bounds_s: Sequence[float], over_s: float) -> Figures:
    """Returns the figures of one row; `before` is None for a row that is new.

    Sums that have fallen are those of a gateway that has started again, so they count from zero.
    """
    if before is None or before["requests"] > after["requests"]:
        before = {"requests": 0, "failures": 0, "client_errors": 0, "buckets": []}
    old = [*before["buckets"], *[0] * len(after["buckets"])]
    buckets = [max(0, new - one) for new, one in zip(after["buckets"], old, strict=False)]
    count = after["requests"] - before["requests"]

    def share(name: str) -> float | None:
        return (after[name] - before[name]) / count if count else None

    return Figures(
        count / over_s,
        share("failures"),
        share("client_errors"),
        percentile(buckets, bounds_s, 0.5),
        percentile(buckets, bounds_s, 0.95),
        percentile(buckets, bounds_s, 0.99),
        after["requests"],
    )


def percentile(buckets: Sequence[int], bounds_s: Sequence[float], part: float) -> float | None:
    """Returns the duration within which this part of the requests ended, as Prometheus' function
    `histogram_quantile` does: linear inside a bucket, at most the last bound. None without any.
    """
    total = sum(buckets)
    if not total:
        return None
    wanted, below, lower_s = part * total, 0, 0.0
    for number, upper_s in zip(buckets, bounds_s, strict=False):
        if number and below + number >= wanted:
            return lower_s + (upper_s - lower_s) * (wanted - below) / number
        below += number
        lower_s = upper_s
    return lower_s


def by_name(rows: Iterable[Row], *names: str) -> dict[tuple[str, ...], Row]:
    """Returns rows by the values of these members."""
    return {tuple(str(row[name]) for name in names): row for row in rows}

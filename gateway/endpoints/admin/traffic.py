"""The traffic as the admin listener shows it: sums since the start, for each route and upstream.

A client that asks twice learns rates and percentiles from the differences, as Prometheus does.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.telemetry.metrics.definitions import CALL_DURATION, REQUEST_DURATION
from gateway.telemetry.metrics.exposition import Exposition
from gateway.telemetry.metrics.metric import Slot

_FRESH_S: Final = 1.0
"""A result is sent again for a second, however many ask."""
_MOST_ROUTES: Final = 500
"""The most routes that are sent: those with the most requests."""
_CANCELLED: Final = "cancelled"
_SERVER_CODES: Final = frozenset(
    ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"]
)
"""The codes of calls that failed by no fault of their caller (OpenTelemetry, "gRPC": server)."""

Row = dict[str, Any]


class Traffic:
    """Adds up the histograms of durations, in a thread, for one request at a time."""

    def __init__(self, find: Callable[[], Exposition | None]) -> None:
        """`find` returns the metrics; None if there are none, and then no traffic is known."""
        self._find = find
        self._kept: tuple[float, Row] | None = None
        self._making = asyncio.Lock()

    async def now(self) -> Row:
        """Returns the sums as JSON values."""
        exposition = self._find()
        if exposition is None:
            return {"is_known": False}
        async with self._making:
            if self._kept is None or time.monotonic() > self._kept[0] + _FRESH_S:
                made = await asyncio.to_thread(traffic, exposition)
                self._kept = time.monotonic(), made
            return self._kept[1]


def traffic(exposition: Exposition) -> Row:
    """Returns the sums of all workers; it takes up to a tenth of a second, so call it in a thread.

    A row counts its `requests`, those that are `failures` of the gateway or of a back end, and
    those that are `client_errors`: status 400 to 499. `buckets` has a number more than `bounds_s`:
    the requests up to each bound that were slower than the bound before, and the slowest.
    """
    bounds_s = exposition.bounds(REQUEST_DURATION)
    total = _row(len(bounds_s))
    routes: dict[tuple[str, str], Row] = {}
    for values, cells in exposition.sums(REQUEST_DURATION).items():
        route, http_method, status, _, error_type, *_ = values
        row = routes.setdefault(
            (http_method, route), _row(len(bounds_s), http_method=http_method, route=route)
        )
        is_failure = error_type not in ("", _CANCELLED)
        for one in (row, total):
            _add(one, cells, is_failure=is_failure, is_client_error=status.startswith("4"))
    upstreams: dict[str, Row] = {}
    for values, cells in exposition.sums(CALL_DURATION).items():
        _, name, code, _ = values
        row = upstreams.setdefault(name, _row(len(bounds_s), name=name))
        _add(row, cells, is_failure=code in _SERVER_CODES, is_client_error=False)
    rows = sorted(routes.values(), key=lambda row: row["requests"], reverse=True)
    return {
        "is_known": True,
        "at_s": round(time.time(), 3),
        "bounds_s": bounds_s,
        "total": total,
        "routes": rows[:_MOST_ROUTES],
        "routes_left_out": len(rows[_MOST_ROUTES:]),
        "upstreams": list(upstreams.values()),
    }


def _row(bounds: int, **names: str) -> Row:
    counts = {"requests": 0, "failures": 0, "client_errors": 0}
    return names | counts | {"buckets": [0] * (bounds + 1)}


def _add(row: Row, cells: Sequence[float], *, is_failure: bool, is_client_error: bool) -> None:
    counts = [int(cells[Slot.BUCKETS + number]) for number in range(len(row["buckets"]))]
    requests = sum(counts)
    row["requests"] += requests
    row["failures"] += requests if is_failure else 0
    row["client_errors"] += requests if is_client_error else 0
    row["buckets"] = [one + more for one, more in zip(row["buckets"], counts, strict=True)]

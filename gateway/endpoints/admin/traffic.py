"""The traffic as the admin listener shows it: sums since the start, for each route and upstream.

A client that asks twice learns rates and percentiles from the differences, as Prometheus does.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.telemetry.metrics.definitions import (
    CALL_DURATION,
    FILTERED,
    RATE_LIMITED,
    REQUEST_DURATION,
    STORE_OPERATIONS,
    STORE_UP,
    UPSTREAM_OPEN,
)
from gateway.telemetry.metrics.exposition import Exposition
from gateway.telemetry.metrics.metric import EXEMPLAR_SLOTS, Slot

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
Sums = Mapping[tuple[str, ...], Sequence[float]]
"""The cells of the children of one metric, by the values of their labels."""


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
    requests, calls, *limits, up, operations = exposition.sums(
        *(REQUEST_DURATION, CALL_DURATION, RATE_LIMITED, FILTERED, UPSTREAM_OPEN),
        *(STORE_UP, STORE_OPERATIONS),
    )
    total = _row(len(bounds_s))
    routes: dict[tuple[str, str], Row] = {}
    for values, cells in requests.items():
        route, http_method, status, _, error_type, *_ = values
        row = routes.setdefault(
            (http_method, route), _row(len(bounds_s), http_method=http_method, route=route)
        )
        is_failure = error_type not in ("", _CANCELLED)
        for one in (row, total):
            _add(one, cells, is_failure=is_failure, is_client_error=status.startswith("4"))
    upstreams: dict[str, Row] = {}
    for values, cells in calls.items():
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
        "limits": list(_limits(*limits)),
        "stores": list(_stores(up, operations)),
    }


def _limits(limited: Sums, filtered: Sums, is_open: Sums) -> Iterator[Row]:
    """Yields the limits and filters that have refused anything, with the number of refusals.

    That is null for limits of upstreams, which are there while they refuse, and 10 s longer.
    """
    for kind, found in (("rate limit", limited), ("filter", filtered)):
        for (name,), cells in found.items():
            if cells[Slot.VALUE]:
                yield {"kind": kind, "name": name, "refused": int(cells[Slot.VALUE])}
    for (upstream, which), cells in is_open.items():
        if cells[Slot.VALUE]:
            yield {"kind": which, "name": upstream, "refused": None}


def _stores(up: Sums, operations: Sums) -> Iterator[Row]:
    """Yields the stores: whether they are asked, and their operations since the start.

    Those of a store in memory are not counted.
    """
    for (name,), state in up.items():
        row: Row = {"name": name, "up": state[Slot.VALUE] == 1.0, "operations": 0, "failures": 0}
        for (store, _, outcome), cells in operations.items():
            if store == name:
                count = int(sum(cells[Slot.BUCKETS : -EXEMPLAR_SLOTS]))
                row["operations"] += count
                row["failures"] += 0 if outcome == "ok" else count
        yield row


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

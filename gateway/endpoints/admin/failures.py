"""The last failed requests as the admin listener shows them, merged over the workers."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from gateway.endpoints.admin.operations import Details, ShownRequest

_MOST: Final = 50


def shown_failures(details: Mapping[int, Details]) -> dict[str, Any]:
    """Returns the last 50 failures as JSON values, the newest one first."""
    found = [(one, worker) for worker, each in details.items() for one in each.failures]
    found.sort(key=lambda pair: pair[0].at_s, reverse=True)
    return {
        "workers_responding": len(details),
        "failures": [shown_row(one, worker) for one, worker in found[:_MOST]],
    }


def shown_row(request: ShownRequest, worker: int) -> dict[str, Any]:
    """Returns one request as JSON values, with the number of its worker."""
    row = asdict(request)
    at_s, duration_s = row.pop("at_s"), round(row.pop("duration_s"), 6)
    return {"time": _instant(at_s), "worker": worker} | row | {"duration_s": duration_s}


def _instant(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")

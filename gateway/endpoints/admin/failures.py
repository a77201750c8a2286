"""The last failed requests as the admin listener shows them, merged over the workers."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from gateway.endpoints.admin.operations import Details

_MOST: Final = 50


def shown_failures(details: Mapping[int, Details]) -> dict[str, Any]:
    """Returns the last 50 failures as JSON values, the newest one first."""
    found = [(one, worker) for worker, each in details.items() for one in each.failures]
    found.sort(key=lambda pair: pair[0].at_s, reverse=True)
    return {
        "workers_responding": len(details),
        "failures": [
            {"time": _instant(one.at_s), "worker": worker} | _without_time(asdict(one))
            for one, worker in found[:_MOST]
        ],
    }


def _without_time(row: dict[str, Any]) -> dict[str, Any]:
    del row["at_s"]
    return row | {"duration_s": round(row["duration_s"], 6)}


def _instant(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")

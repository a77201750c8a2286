"""The upstreams as the admin listener shows them: the endpoints that all workers report."""

from collections.abc import Mapping
from typing import Any

from gateway.endpoints.admin.operations import Config, Details, EndpointRow


def shown_upstreams(config: Config, details: Mapping[int, Details]) -> dict[str, Any]:
    """Returns all upstreams as JSON values, with their endpoints merged over the workers.

    `details` are those of the workers that responded, by their numbers. Each worker has connections
    of its own, so an endpoint can have several states at once.
    """
    endpoints: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in config.destinations}
    for worker, found in details.items():
        for row in found.endpoints:
            _add(endpoints.setdefault(row.upstream, {}), worker, row)
    shown = []
    for name, by_address in endpoints.items():
        upstream = config.destinations.get(name)
        channel = None if upstream is None else upstream.channel
        panics = [worker for worker, found in details.items() if name in found.panics]
        rows = list(by_address.values())
        shown.append({"name": name, "channel": channel, "panics": panics, "endpoints": rows})
    return {"workers_responding": len(details), "upstreams": shown}


def _add(by_address: dict[str, dict[str, Any]], worker: int, row: EndpointRow) -> None:
    known = by_address.setdefault(
        row.address,
        {
            "address": row.address,
            "weight": row.weight,
            "priority": row.priority,
            "zone": row.zone or None,
            "in_flight": 0,
            "states": {},
            "reasons": [],
        },
    )
    known["in_flight"] += row.in_flight
    known["states"][row.state] = known["states"].get(row.state, 0) + 1
    if row.reason:
        known["reasons"].append({"worker": worker, "state": row.state, "reason": row.reason})

"""Measures what a stored reply costs beside a small GET that goes to the back end.

`python -m benchmarks.hits [ROUNDS]`. All run on one core and are loaded in turns of a second, so
that a busy machine slows all of them alike. NGINX (`proxy_cache`) and Envoy (its cache filter) take
part where they are installed, each before this gateway: Envoy's cache filter fetches without the
filters behind it, so without its own transcoder.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.building import MissingError
from benchmarks.load import ask, cpu_s, names_of_headers, need_wrk, saturate
from benchmarks.peers import (
    CACHEABLE,
    Start,
    backend,
    envoy_cache,
    gateway,
    nginx_cache,
    running,
)
from benchmarks.scenarios import SMALL_GET

CACHED: Mapping[str, Any] = {
    "policies": [{"selector": "bench.v1.Bench.GetItem", "cache": {"ttl_s": 3600}}]
}
FORWARDED = "small GET, to the back end"
HIT = "small GET, stored"
_ENVOY = "Envoy, cache filter"
_CACHES: Mapping[str, Callable[[int], Start]] = {
    "NGINX, proxy_cache": nginx_cache,
    _ENVOY: envoy_cache,
}
"""Caches before this gateway, started with the port of what they store replies of."""
_TURNS_A_ROUND = 5
# Clients differ in their headers, but ask for one thing: all answers but the first are stored.
_ONE = replace(SMALL_GET, target="/v1/shelves/7/items/42")


@dataclass(frozen=True)
class Contestant:
    """A gateway under test."""

    name: str
    pid: int
    port: int


def run(rounds: int) -> dict[str, float]:
    """CPU microseconds of a request, by the name of what answers it: medians over the turns.

    Raises:
        MissingError: wrk is missing, or this gateway does not start.
    """
    need_wrk()
    costs: dict[str, list[float]] = {}
    with backend() as address, ExitStack() as held:
        contestants = list(_contestants(address, held))
        for turn in range(rounds * _TURNS_A_ROUND):
            # In reverse order every second time, so that none always follows the same one.
            for one in contestants if turn % 2 else reversed(contestants):
                costs.setdefault(one.name, []).append(_cost_us(one))
    return {one.name: median(costs[one.name]) for one in contestants}


def _contestants(address: str, held: ExitStack) -> Sequence[Contestant]:
    plain = _started(FORWARDED, partial(gateway, address), held)
    found = [plain, _started(HIT, partial(gateway, address, CACHED), held)]
    for name, start in _CACHES.items():
        try:
            origin = _started("an origin", partial(gateway, address, CACHEABLE), held)
            found.append(_started(name, partial(start, origin.port), held))
        except (MissingError, OSError) as missing:
            print(f"left out: {name}: {missing}", file=sys.stderr)
    return found


def _started(name: str, start: Callable[[], Start], held: ExitStack) -> Contestant:
    command, port = start()
    pid = held.enter_context(running(command, port))
    for _ in range(3):
        objection = _ONE.objection(*ask(port, _ONE))
        if objection:
            raise MissingError(f"{name} {objection}")
    saturate(port, _ONE, 1)  # to warm up
    if name == _ENVOY and "age" not in names_of_headers(port, _ONE):
        raise MissingError(f"{name} stores nothing")
    return Contestant(name, pid, port)


def table(costs: Mapping[str, float]) -> Table:
    """A table with a row for each, and its ratio to a request that goes to the back end."""
    rows = Table("answered", "CPU µs", "ratio", title="A stored reply", box=None)
    for name, cost in costs.items():
        rows.add_row(name, f"{cost:.1f}", f"{cost / costs[FORWARDED]:.2f}")
    return rows


def _cost_us(one: Contestant) -> float:
    before_s = cpu_s(one.pid)
    answers = saturate(one.port, _ONE, 1)
    return (cpu_s(one.pid) - before_s) / max(answers.requests, 1) * 1e6


if __name__ == "__main__":
    try:
        Console().print(table(run(int(sys.argv[1]) if len(sys.argv) > 1 else 3)))
    except MissingError as missing:
        sys.exit(f"not measured: {missing}")

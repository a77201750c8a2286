"""Measures what a stored reply costs beside a small GET that goes to the back end.

`python -m benchmarks.hits [ROUNDS]`. All run on one core and are loaded in turns of a second, so
that a busy machine slows all of them alike. NGINX (`proxy_cache`, before this gateway) and Envoy
(its cache filter, before its transcoder) take part where they are installed.
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
from benchmarks.load import ask, cpu_s, need_wrk, saturate
from benchmarks.peers import Start, backend, envoy_gateway, gateway, nginx_cache, running
from benchmarks.scenarios import SMALL_GET

CACHED: Mapping[str, Any] = {
    "policies": [{"selector": "bench.v1.Bench.GetItem", "cache": {"ttl_s": 3600}}]
}
FORWARDED = "small GET, to the back end"
HIT = "small GET, stored"
_TURNS_A_ROUND = 5
_FRESH = ("Cache-Control", "max-age=3600")
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
    others: Sequence[tuple[str, Callable[[], Start]]] = (
        ("NGINX, proxy_cache", partial(nginx_cache, plain.port)),
        ("Envoy, cache filter", partial(envoy_gateway, address, change=_with_cache)),
    )
    for name, start in others:
        try:
            found.append(_started(name, start, held))
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
    return Contestant(name, pid, port)


def _with_cache(settings: dict[str, Any]) -> None:
    """Puts Envoy's cache before its transcoder, which states how long a reply is fresh."""
    (listener,) = settings["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    kind = "type.googleapis.com/envoy.extensions.filters.http.cache.v3.CacheConfig"
    store = "type.googleapis.com/envoy.extensions.http.cache.simple_http_cache.v3"
    typed = {"@type": f"{store}.SimpleHttpCacheConfig"}
    cache = {
        "@type": kind,
        "typed_config": typed,
        # The clients of the benchmark send no-cache, as browsers do that reload.
        "ignore_request_cache_control_header": True,
    }
    manager["http_filters"].insert(0, {"name": "envoy.filters.http.cache", "typed_config": cache})
    mutation = "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"
    name, value = _FRESH
    append = {
        "header": {"key": name, "value": value},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }
    fresh = {"@type": mutation, "mutations": {"response_mutations": [{"append": append}]}}
    filters = manager["http_filters"]
    filters.insert(1, {"name": "envoy.filters.http.header_mutation", "typed_config": fresh})


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

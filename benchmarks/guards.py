"""Measures the cost of guards for a small GET: the access log, a token, a rate limit, CORS.

`python -m benchmarks.guards [ROUNDS]`. The cost is a few microseconds, less than the variation from
minute to minute. So the gateways, each with one guard more, all run on one core and are loaded in
turns of a second.
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.building import OUT, MissingError
from benchmarks.load import ask, cpu_s, names_of_headers, need_wrk, saturate
from benchmarks.peers import backend, gateway, running
from benchmarks.scenarios import SMALL_GET, Scenario
from gateway.auth.tokens.tokens import Grant, Tokens
from gateway.stores.opening import open_store

_TURNS_A_ROUND = 5
_STORE = f"sqlite:///{OUT}/guards.db"
_GRANT = Grant("users/ada", "bench", frozenset({"read"}), 86400.0, {}, 86400.0)


@dataclass(frozen=True)
class Kind:
    """A gateway with one guard more than the previous one."""

    guard: str
    settings: Mapping[str, Any]
    sign: str = ""
    """The header, in lower case, that shows that a guard works which rejects nothing."""


@dataclass(frozen=True)
class Guarded:
    """A gateway under test and the request it answers."""

    kind: Kind
    pid: int
    port: int
    scenario: Scenario


def kinds() -> Sequence[Kind]:
    """The gateways to compare, the one without guards first."""
    logged = {"log": {"access": str(OUT / "guards.log")}}
    known = logged | {"auth": {"store": _STORE, "anonymous": False}}
    limit = {"limit": 100_000_000, "by": "principal"}  # too high to be reached
    limited = {
        "policies": [{"selector": "*", "rate_limits": [limit]}],
        "rate_limits": {"store": "memory:"},
    }
    shared = {"cors": {"origins": ["https://shop.example.com"]}}
    return (
        Kind("open", {"log": {"access": "off"}}),
        Kind("access log", logged),
        Kind("token", known),
        Kind("rate limit", known | limited, "ratelimit"),
        Kind("CORS", known | limited | shared, "vary"),
    )


def run(rounds: int) -> dict[str, float]:
    """Microseconds that each guard adds, and all of them together.

    Raises:
        MissingError: wrk is missing, or a gateway does not start or rejects requests.
    """
    return added(costs_of(kinds(), asyncio.run(_issue()), rounds))


def costs_of(kinds: Sequence[Kind], token: str, rounds: int) -> list[tuple[str, Sequence[float]]]:
    """The CPU microseconds of a small GET with each kind of gateway, one for each turn.

    Raises:
        MissingError: wrk is missing, or a gateway does not start or rejects requests.
    """
    need_wrk()
    costs: dict[str, list[float]] = {}
    with backend() as address, ExitStack() as held:
        contestants = []
        for kind in kinds:
            try:
                contestants.append(_start(kind, token, address, held))
            except MissingError as missing:
                print(f"left out: {missing}", file=sys.stderr)
        for turn in range(rounds * _TURNS_A_ROUND):
            # In reverse order every second time, so that none always follows the same one.
            for one in contestants if turn % 2 else reversed(contestants):
                costs.setdefault(one.kind.guard, []).append(_cost_us(one))
    return [(one.kind.guard, costs[one.kind.guard]) for one in contestants]


def added(costs: Sequence[tuple[str, Sequence[float]]]) -> dict[str, float]:
    """The cost of each compared to the previous one, as the median over the turns, and in total."""
    steps = {
        name: median(more - less for less, more in zip(before, after, strict=True))
        for (_, before), (name, after) in pairwise(costs)
    }
    all_in_all = median(more - less for less, more in zip(costs[0][1], costs[-1][1], strict=True))
    return {**steps, "all of them": all_in_all}


def table(costs: Mapping[str, float]) -> Table:
    """A table with a row for each guard."""
    rows = Table("guard", "CPU µs", title="The cost that guards add to a small GET", box=None)
    for name, cost in costs.items():
        rows.add_row(name, f"{cost:+.1f}")
    return rows


async def _issue() -> str:
    """Issues an access token, which the gateways find in their store."""
    OUT.mkdir(exist_ok=True)
    async with open_store(_STORE) as store:
        return (await Tokens(store).issue(_GRANT)).access_token


def _start(kind: Kind, token: str, address: str, held: ExitStack) -> Guarded:
    command, port = gateway(address, kind.settings)
    pid = held.enter_context(running(command, port))
    # All send the token: the guard must not be charged for the longer request.
    scenario = replace(SMALL_GET, token=token)
    objection = scenario.objection(*ask(port, scenario))
    if not objection and kind.sign and kind.sign not in names_of_headers(port, scenario):
        objection = f"its answer has no header {kind.sign}"
    if objection:
        raise MissingError(f"the gateway with a guard more, {kind.guard}: {objection}")
    saturate(port, scenario, 1)  # to warm up
    return Guarded(kind, pid, port, scenario)


def _cost_us(one: Guarded) -> float:
    before_s = cpu_s(one.pid)
    answers = saturate(one.port, one.scenario, 1)
    return (cpu_s(one.pid) - before_s) / max(answers.requests, 1) * 1e6


if __name__ == "__main__":
    try:
        Console().print(table(run(int(sys.argv[1]) if len(sys.argv) > 1 else 3)))
    except MissingError as missing:
        sys.exit(f"not measured: {missing}")

"""`python -m benchmarks.balancing`: what several endpoints cost, and what they are good for.

`cost` counts the instructions of a small GET with one endpoint and with three (by callgrind, so a
busy machine does not matter). `slow` measures latencies with one of five endpoints ten times slower
than the others, at a constant rate, also through Envoy with the same policies. The gateways of
`slow` are measured in turns, and the table has the median of each figure over the rounds. Those
that eject have ejected the slow one before: it stays out for longer than the measurement takes.
Otherwise the figure would say how many of its returns the short turns happen to have.
"""

import argparse
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.building import MissingError, compiled
from benchmarks.instructions import count
from benchmarks.load import ask, latencies_ms
from benchmarks.peers import OURS, Start, backend, envoy_gateway, gateway, running
from benchmarks.scenarios import SMALL_GET

PARTS = ("cost", "slow")
MOST = 1.03
"""The most that three endpoints in turns may cost, compared to one."""
ALONE, IN_TURNS = "one endpoint", "three, round_robin"
_CONNECTIONS = 32
_FAST_MS, _SLOW_MS = 20, 200
_ENDPOINTS = 5
_TRY_S = 0.1
"""Seconds after which an attempt at an endpoint is a failure, for the kinds that eject."""
_FAILURES = 5
_ROUNDS, _SECONDS, _RATE = 3, 3.0, 200.0
_COSTS: Sequence[tuple[str, int, Mapping[str, Any]]] = (
    (ALONE, 1, {}),
    (IN_TURNS, 3, {"balance": "round_robin"}),
    ("three, least_request", 3, {"balance": "least_request"}),
)
# Two may be ejected: on a busy machine, the first can be one that is not slow.
_EJECTED_S, _EJECTED_PERCENT = 900, 40
EJECTING: Mapping[str, Any] = {
    "outlier": {
        "base_ejection_time_s": _EJECTED_S,
        "max_ejection_time_s": _EJECTED_S,
        "max_ejection_percent": _EJECTED_PERCENT,
    },
    "retry_policy": {"max_attempts": 2, "per_try_s": _TRY_S},
}
"""The settings of this gateway that leave out an endpoint which is too slow."""


@dataclass(frozen=True)
class Choices:
    """What a choice between endpoints costs, and what it gains."""

    instructions: Mapping[str, int]
    """Of a small GET, by the number of endpoints and the policy; empty if not measured."""
    latencies_ms: Mapping[str, Mapping[str, tuple[float, float]]]
    """The medians of p50 and p99, by policy and gateway; empty if not measured."""


@dataclass(frozen=True)
class Kind:
    """A gateway with a policy."""

    name: str
    policy: str
    make: Callable[[Sequence[str]], Start]


def kinds() -> Sequence[Kind]:
    """The gateways to compare."""
    return (
        Kind(OURS, "round_robin", partial(_ours, balance="round_robin")),
        Kind("Envoy", "round_robin", partial(_envoy, policy="ROUND_ROBIN")),
        Kind(OURS, "least_request", partial(_ours, balance="least_request")),
        Kind("Envoy", "least_request", partial(_envoy, policy="LEAST_REQUEST")),
        Kind(OURS, "round_robin, ejection", partial(_ours, balance="round_robin", **EJECTING)),
        Kind("Envoy", "round_robin, ejection", partial(_envoy, policy="ROUND_ROBIN", ejects=True)),
    )


def _ours(addresses: Sequence[str], **upstream: Any) -> Start:
    targets = [{"address": address} for address in addresses]
    return gateway(addresses[0], targets=targets, **upstream)


def _envoy(addresses: Sequence[str], policy: str, *, ejects: bool = False) -> Start:
    def change(settings: dict[str, Any]) -> None:
        resources = settings["static_resources"]
        (cluster,) = resources["clusters"]
        cluster["lb_policy"] = policy
        (group,) = cluster["load_assignment"]["endpoints"]
        group["lb_endpoints"] = [{"endpoint": {"address": _address(one)}} for one in addresses]
        if ejects:
            cluster["outlier_detection"] = {
                "consecutive_5xx": _FAILURES,
                "base_ejection_time": f"{_EJECTED_S}s",
                "max_ejection_time": f"{_EJECTED_S}s",
                "max_ejection_percent": _EJECTED_PERCENT,
            }
            manager = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
            (host,) = manager["route_config"]["virtual_hosts"]
            host["routes"][0]["route"]["retry_policy"] = {
                "retry_on": "5xx,deadline-exceeded",
                "num_retries": 1,
                "per_try_timeout": f"{_TRY_S}s",
            }

    return envoy_gateway(addresses[0], change=change)


def _address(text: str) -> dict[str, Any]:
    host, _, port = text.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


def costs() -> dict[str, int]:
    """The instructions of a small GET by the number of endpoints.

    Raises:
        MissingError: valgrind is missing, or the gateway cannot be compiled or does not start.
    """
    code = compiled()
    return {
        name: count("varied", code, _CONNECTIONS, endpoints, **upstream)
        for name, endpoints, upstream in _COSTS
    }


def slow(rounds: int, seconds: float, rate: float) -> dict[str, dict[str, tuple[float, float]]]:
    """The latencies with one slow endpoint of five, as in `Choices`.

    Raises:
        MissingError: there is no Go for the back ends, or one does not start.
    """
    turns: dict[Kind, list[tuple[float, float]]] = {}
    with ExitStack() as held:
        delays = [_SLOW_MS, *[_FAST_MS] * (_ENDPOINTS - 1)]
        addresses = [held.enter_context(backend(delay)) for delay in delays]
        ports: dict[Kind, int] = {}
        for kind in kinds():
            try:
                command, port = kind.make(addresses)
                held.enter_context(running(command, port))
            except MissingError as missing:
                print(f"left out: {kind.name}, {kind.policy}: {missing}", file=sys.stderr)
                continue
            ports[kind] = port
            # Connects to all, and lets those eject that do. The first may fail meanwhile.
            asked = _ENDPOINTS * (2 * _FAILURES)
            objections = [SMALL_GET.objection(*ask(port, SMALL_GET)) for _ in range(asked)]
            if objections[-1]:
                raise MissingError(f"{kind.name}, {kind.policy}: {objections[-1]}")
        for _ in range(rounds):
            for kind, port in ports.items():
                turns.setdefault(kind, []).append(latencies_ms(port, SMALL_GET, rate, seconds))
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for kind, pairs in turns.items():
        p50_ms, p99_ms = (median(values) for values in zip(*pairs, strict=True))
        found.setdefault(kind.policy, {})[kind.name] = p50_ms, p99_ms
    return found


def run(
    parts: Collection[str] = PARTS,
    rounds: int = _ROUNDS,
    seconds: float = _SECONDS,
    rate: float = _RATE,
) -> Choices:
    """Measures the parts, and reports those that it leaves out."""
    instructions: dict[str, int] = {}
    latencies: dict[str, dict[str, tuple[float, float]]] = {}
    for part in parts:
        try:
            if part == "cost":
                instructions = costs()
            else:
                latencies = slow(rounds, seconds, rate)
        except MissingError as missing:
            print(f"not measured: {part} of balancing: {missing}", file=sys.stderr)
    return Choices(instructions, latencies)


def tables(choices: Choices) -> Iterator[Table]:
    """A table for each part that was measured."""
    if choices.instructions:
        table = Table("upstream", "instructions", "to one", title="What a choice costs", box=None)
        for row in cost_rows(choices):
            table.add_row(*row)
        yield table
    if choices.latencies_ms:
        title = f"One of {_ENDPOINTS} takes {_SLOW_MS} ms, the others {_FAST_MS} ms"
        table = Table("policy", "gateway", "p50, ms", "p99, ms", title=title, box=None)
        for policy, by_gateway in choices.latencies_ms.items():
            for name, (p50_ms, p99_ms) in by_gateway.items():
                table.add_row(policy, name, f"{p50_ms:.1f}", f"{p99_ms:.1f}")
        yield table


def cost_rows(choices: Choices) -> list[tuple[str, str, str]]:
    """The instructions by the number of endpoints, also compared to one."""
    alone = choices.instructions[ALONE]
    return [
        (name, f"{found:,}", "" if name == ALONE else f"{found / alone:.3f}")
        for name, found in choices.instructions.items()
    ]


def main() -> int:
    """Measures the parts that are named, and prints tables."""
    parser = argparse.ArgumentParser(description="Measure the choice between endpoints.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="turns of each gateway")
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="of each turn")
    parser.add_argument("--rate", type=float, default=_RATE, help="requests per second")
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"no part is named {unknown[0]}; expected some of: {', '.join(PARTS)}")
    if options.rounds < 1 or not options.seconds > 0 or not options.rate > 0:
        parser.error("--rounds, --seconds and --rate must be greater than 0")
    parts = options.parts or PARTS
    found = list(tables(run(parts, options.rounds, options.seconds, options.rate)))
    for table in found:
        Console().print(table)
    return int(len(found) < len(set(parts)))


if __name__ == "__main__":
    sys.exit(main())

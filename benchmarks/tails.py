"""Compares the latencies of gateways at one rate: `python -m benchmarks.tails [TURNS]`.

A gateway that is measured at half of its own saturated rate is sent the more, the faster it is, and
load and back end share a core, in which requests can wait, too. Here all answer small GETs at one
rate, half of the lowest at which one of them is saturated, in turns of two seconds. The last column
is the share of the load's core that was in use meanwhile.
"""

import sys
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks.building import MissingError
from benchmarks.growth import Curve
from benchmarks.load import latencies_ms, need_wrk, on_load_core, saturate
from benchmarks.peers import ENVOY, GO, LOAD_CORE, OURS, RUST, Peer, backend, peers, running
from benchmarks.report import figure
from benchmarks.scenarios import SMALL_GET, Setup

_TURNS = 5
_SECONDS = 2.0
_GATEWAYS = (OURS, GO, ENVOY, RUST)
_IDLE, _WAITING = 3, 4


@dataclass(frozen=True)
class Turn:
    """One measurement of a gateway."""

    p50_ms: float
    p99_ms: float
    load_busy: float


def run(turns: int) -> Curve:
    """Latencies of each gateway at one rate.

    Raises:
        MissingError: wrk is missing, or a gateway does not start.
    """
    need_wrk()
    found: dict[str, list[Turn]] = defaultdict(list)
    with on_load_core(), backend() as address, ExitStack() as held:
        contestants = [one for one in peers(address, {Setup.PLAIN}) if one.name in _GATEWAYS]
        for peer in contestants:
            held.enter_context(running(peer.command, peer.port))
            saturate(peer.port, SMALL_GET, 1)  # to warm up
        rate = min(saturate(peer.port, SMALL_GET, 2).rate for peer in contestants) / 2
        for turn in range(turns):
            # In reverse order every second time, so that none always follows the same one.
            for peer in contestants if turn % 2 else reversed(contestants):
                found[peer.name].append(_turn(peer, rate))
    columns = ("gateway", "p50 ms", "p99 ms", "ours / its p99", "load's core")
    curve = Curve(f"Small GETs, {rate:,.0f} a second", columns)
    ours_ms = median(one.p99_ms for one in found[OURS])
    for name, samples in found.items():
        p50_ms, p99_ms = (
            median(values)
            for values in zip(*((one.p50_ms, one.p99_ms) for one in samples), strict=True)
        )
        busy = f"{median(one.load_busy for one in samples):.0%}"
        share = "" if name == OURS else f"{ours_ms / p99_ms:.2f}"
        curve.rows.append((name, figure(p50_ms), figure(p99_ms), share, busy))
    return curve


def _turn(peer: Peer, rate: float) -> Turn:
    idle, total = _times()
    p50_ms, p99_ms = latencies_ms(peer.port, SMALL_GET, rate, _SECONDS)
    idle_then, total_then = _times()
    return Turn(p50_ms, p99_ms, 1 - (idle_then - idle) / max(total_then - total, 1))


def _times() -> tuple[int, int]:
    """The idle and all ticks of the load's core so far (proc(5), stat)."""
    lines = Path("/proc/stat").read_text().splitlines()
    (line,) = (one for one in lines if one.startswith(f"cpu{LOAD_CORE} "))
    ticks = [int(one) for one in line.split()[1:]]
    return ticks[_IDLE] + ticks[_WAITING], sum(ticks)


def main() -> int:
    """Measures, and prints a table."""
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else _TURNS
    try:
        Console(width=100).print(run(turns).table())
    except MissingError as missing:
        print(f"not measured: {missing}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

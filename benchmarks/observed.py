"""Measures what metrics, and traces of which one in a hundred is recorded, add to a small GET.

`python -m benchmarks.observed [ROUNDS]`. As in `benchmarks.guards`, the gateways run on one core
and are loaded in turns of a second; the collector of the traces takes everything. There are several
processes of each kind: equal ones differ by 2 %, because each has its memory in other places. So
each ratio has its standard error beside it, which more `--processes` make smaller.
`--instructions` counts the instructions outside the kernel instead, as `benchmarks.instructions`
does, on 32 connections. What timers take is left out: under callgrind, requests take a hundred
times as long, so that a second of timers would come to a few hundred requests and not to ten
thousand. `--code FOLDER` takes a gateway that is compiled already.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import hypot
from pathlib import Path
from statistics import mean, median, stdev
from threading import Thread
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import peers
from benchmarks.building import MissingError, compiled
from benchmarks.guards import Kind, costs_of
from benchmarks.instructions import count

_OFF: Mapping[str, Any] = {"metrics": {"enabled": False}}
_FORM = "varied"
_CONNECTIONS = 32
_REQUESTS = 960
_IDLE_S = 4.0


class _Collector(BaseHTTPRequestHandler):
    """Takes spans, and forgets them."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def collector() -> Iterator[str]:
    """Runs a collector in a thread; yields its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Collector) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def kinds(otlp: str) -> tuple[Kind, ...]:
    """The gateways to compare, the one that nobody observes first."""
    traced = {"tracing": {"otlp": otlp, "ratio": 0.01}}
    return (
        Kind("neither", _OFF),
        Kind("metrics", {}),
        Kind("traces at 1 %", {**_OFF, **traced}),
        Kind("both", traced),
    )


def _count(code: Path, settings: Mapping[str, Any]) -> int:
    return count(_FORM, code, _CONNECTIONS, settings=settings, number=_REQUESTS, idle_s=_IDLE_S)


def _measured(
    kinds: Sequence[Kind], rounds: int, processes: int
) -> list[tuple[str, Sequence[float]]]:
    """The CPU microseconds of each kind: for each of its processes, the median of its turns."""
    all_of_them = [
        replace(kind, guard=f"{kind.guard} {number}")
        for number in range(processes)
        for kind in kinds
    ]
    medians = [median(found) for _, found in costs_of(all_of_them, "", rounds)]
    return [(kind.guard, medians[number :: len(kinds)]) for number, kind in enumerate(kinds)]


def _more(found: Sequence[float], base: Sequence[float]) -> str:
    """How much more a kind costs than the first, with the standard error of that."""
    ratio = mean(found) / mean(base)
    if len(found) == 1 or found is base:
        return f"{ratio - 1:+.1%}"
    errors = [stdev(one) / len(one) ** 0.5 / mean(one) for one in (found, base)]
    return f"{ratio - 1:+.1%} ± {ratio * hypot(*errors):.1%}"


def main() -> None:
    """Measures each, and prints a table."""
    parser = argparse.ArgumentParser(description="Measure the cost of metrics and traces.")
    parser.add_argument("rounds", type=int, nargs="?", default=3)
    parser.add_argument("--processes", type=int, default=5, help="of each kind (default: 5)")
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--code", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    code = options.code.resolve() if options.code else compiled()
    unit = "instructions" if options.instructions else "CPU µs"
    table = Table("observed by", unit, "more", title="A small GET", box=None)
    costs: Sequence[tuple[str, Sequence[float]]]
    with collector() as otlp:
        if options.instructions:
            costs = [(kind.guard, [float(_count(code, kind.settings))]) for kind in kinds(otlp)]
        else:
            vars(peers)["machine_code"] = lambda: code
            costs = _measured(kinds(otlp), options.rounds, options.processes)
    _, base = costs[0]
    for name, found in costs:
        table.add_row(name, f"{mean(found):,.1f}", _more(found, base))
    Console().print(table)


if __name__ == "__main__":
    try:
        main()
    except MissingError as missing:
        sys.exit(f"not measured: {missing}")

"""Measures what metrics, and traces of which one in a hundred is recorded, add to a small GET.

`python -m benchmarks.observed [ROUNDS]`. As in `benchmarks.guards`, the gateways run on one core
and are loaded in turns of a second; the collector of the traces takes everything. Each is compared
with one that nobody observes, turn by turn, in several pairs of processes: equal ones differ by
2 %, because each has its memory in other places. So each ratio has its standard error beside it,
which more `--processes` make smaller.
`--instructions` counts the instructions outside the kernel instead, as `benchmarks.instructions`
does, on 32 connections. What timers take is left out: under callgrind, requests take a hundred
times as long, so that a second of timers would come to a few hundred requests and not to ten
thousand. `--code FOLDER` takes a gateway that is compiled already.
"""

import argparse
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
from benchmarks.load import on_load_core

Row = tuple[str, float, str]
"""A kind of gateway, its cost, and how much more that is than without observers."""

_OFF: Mapping[str, Any] = {"metrics": {"enabled": False}}
BOTH = "both"
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
        Kind(BOTH, traced),
    )


def _count(code: Path, settings: Mapping[str, Any]) -> int:
    return count(_FORM, code, _CONNECTIONS, settings=settings, number=_REQUESTS, idle_s=_IDLE_S)


def _counted(code: Path, otlp: str) -> Iterator[Row]:
    """The instructions of each kind, and how many more than with the first."""
    base: int | None = None
    for kind in kinds(otlp):
        found = _count(code, kind.settings)
        base = base or found
        yield kind.guard, found, f"{found / base - 1:+.1%}"


def run(rounds: int, processes: int, names: Collection[str] = ()) -> Sequence[Row]:
    """The CPU microseconds of each kind but the first, and how much more than the first it takes.

    Only two processes live at a time: the timers of others would take part of the core. With
    `names`, only the kinds of these names are measured.

    Raises:
        MissingError: wrk is missing, or a gateway does not start.
    """
    with on_load_core(), collector() as otlp:
        base, *others = kinds(otlp)
        chosen = [kind for kind in others if not names or kind.guard in names]
        return [_compared(base, kind, rounds, processes) for kind in chosen]


def table(rows: Iterable[Row], unit: str = "CPU µs") -> Table:
    """A table with a row for each kind."""
    made = Table("observed by", unit, "more", title="A small GET", box=None)
    for name, cost, more in rows:
        made.add_row(name, f"{cost:,.1f}", more)
    return made


def _compared(base: Kind, kind: Kind, rounds: int, processes: int) -> Row:
    costs, ratios = [], []
    for _ in range(processes):
        (_, less), (_, more) = costs_of([base, kind], "", rounds)
        costs.append(median(more))
        ratios.append(median(two / one for one, two in zip(less, more, strict=True)) - 1)
    error = f" ± {stdev(ratios) / processes**0.5:.1%}" if processes > 1 else ""
    return kind.guard, median(costs), f"{mean(ratios):+.1%}{error}"


def main() -> None:
    """Measures each, and prints a table."""
    parser = argparse.ArgumentParser(description="Measure the cost of metrics and traces.")
    parser.add_argument("rounds", type=int, nargs="?", default=1, help="of five turns (default: 1)")
    parser.add_argument("--processes", type=int, default=10, help="pairs of each (default: 10)")
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--code", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    code = options.code.resolve() if options.code else compiled()
    if options.instructions:
        with collector() as otlp:
            found = table(_counted(code, otlp), "instructions")
    else:
        vars(peers)["machine_code"] = lambda: code
        found = table(run(options.rounds, options.processes))
    Console().print(found)


if __name__ == "__main__":
    try:
        main()
    except MissingError as missing:
        sys.exit(f"not measured: {missing}")

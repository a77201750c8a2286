"""Measures how this gateway's costs grow: with routes, connections, message size, and workers.

`python -m benchmarks.growth [--publish]` takes about four minutes.
"""

import argparse
import os
import resource
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from statistics import median
from time import monotonic

from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from rich.console import Console
from rich.table import Table

from benchmarks.building import OUT, MissingError
from benchmarks.load import (
    ask,
    cpu_s,
    family,
    keeping,
    need_wrk,
    own_cpu_s,
    peak_mb,
    pin,
    resident_mb,
    saturate,
)
from benchmarks.peers import DESCRIPTORS, LOAD_CORE, backend, gateway, running
from benchmarks.publishing import markdown, write_between
from benchmarks.report import Moment
from benchmarks.requests import first
from benchmarks.sample import HERE, descriptor_set
from benchmarks.scenarios import SMALL_GET, Scenario
from benchmarks.schema_load import SIZES, synthetic

SAMPLE_API = HERE.parent / "gen" / "descriptors.binpb"
_ROUNDS = 3
_SECONDS, _AT_LEAST = 2, 3
_TURNS = 7
_IDLE = (1, 1_000, 10_000)
_BYTES = (100, 10_000, 1_000_000, 10_000_000, 50_000_000)
_ITEM_BYTES = 127
_SHELVES = 1_000
# Requests name shelves below this number, so each route of the spread has some.
_SPREAD = replace(SMALL_GET, target="/v1/rooms{shelf}/shelves/{shelf}/items/{item}")
# The default limits reject very large messages; here they would cut off the curve.
_LIMITS = {"response_bytes": 256_000_000, "response_values": 20_000_000, "body_bytes": 256_000_000}
_MAX_MESSAGE_BYTES = 128_000_000


@dataclass
class Curve:
    """A table of one kind of growth, with one row per point."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)

    def table(self) -> Table:
        """The table for a terminal."""
        table = Table(*self.columns, title=self.title, box=None)
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """The table for a page."""
        return f"**{self.title}**\n\n{markdown(self.columns, self.rows)}"


def main() -> int:
    """Prints a table for each kind of growth, and publishes them on request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--publish", action="store_true", help="put the figures into docs/")
    parser.add_argument("--only", choices=[one.__name__ for one in _MEASURES], help="only this one")
    options = parser.parse_args()
    console = Console(width=120)
    curves = []
    began = Moment.now()
    try:
        need_wrk()
        with backend() as address:
            os.sched_setaffinity(0, {int(LOAD_CORE)})  # this process is part of the load
            for measure in _MEASURES:
                if options.only in (None, measure.__name__):
                    curves.append(measure(address))
                    console.print(curves[-1].table())
    except MissingError as missing:
        print(f"not measured: {missing}", file=sys.stderr)
        return 1
    if options.publish and not options.only:
        write_between("growth", "\n\n".join([f"{began}.", *(c.markdown() for c in curves)]))
    return 0


def start_up(address: str) -> Curve:
    """The time from a cold start to the first answer, and the memory used then."""
    columns = (
        "",
        "seconds to the first answer",
        "CPU s",
        "MB after it",
        "MB after 20,000 requests",
    )
    curve = Curve("A cold start, with the sample API", columns)
    seconds, spent_s, fresh_mb, used_mb = [], [], [], []
    for _ in range(2 * _ROUNDS - 1):
        command, port = gateway(address, {"descriptors": [str(SAMPLE_API), str(OUT / DESCRIPTORS)]})
        started_s = monotonic()
        with running(command, port) as pid:
            while ask(port, SMALL_GET)[0] != 200:
                pass
            seconds.append(monotonic() - started_s)
            spent_s.append(cpu_s(pid))
            fresh_mb.append(resident_mb(pid))
            answered = 0
            while answered < 20_000:
                answered += saturate(port, SMALL_GET, 1).requests
            used_mb.append(resident_mb(pid))
    took = (f"{median(seconds):.2f}", f"{median(spent_s):.2f}")
    curve.rows.append(("median", *took, f"{median(fresh_mb):.0f}", f"{median(used_mb):.0f}"))
    return curve


def workers(address: str) -> Curve:
    """The throughput of workers, each on a core of its own; load and back end share the last.

    Each is compared with a worker that is alone on the same core, beside the same load, in turns of
    a second. So what load and back end take of a core, and of its caches, counts for both.
    """
    columns = ("workers", "requests/s", "CPU µs", "MB in all", "times one on the same cores")
    curve = Curve("Workers, on as many cores", columns)
    cores = range(os.cpu_count() or 1)
    with ExitStack() as held:
        alone = [_started(address, [core], held) for core in cores]
        counts = sorted({1, min(2, len(cores)), len(cores)})
        teams = [_started(address, cores[:count], held) for count in counts]
        turns = []
        for _ in range(_TURNS):
            alone_us = [one.turn([1.0])[1] for one in alone]
            turns.append([team.turn(alone_us) for team in teams])
        for team, measured in zip(teams, zip(*turns, strict=True), strict=True):
            rate, cost_us, times = (median(values) for values in zip(*measured, strict=True))
            mb = f"{resident_mb(team.pid):.0f}"
            row = (f"{len(team.workers)}", f"{rate:,.0f}", f"{cost_us:,.0f}", mb, f"{times:.2f}")
            curve.rows.append(row)
    return curve


@dataclass(frozen=True)
class _Team:
    """A gateway whose workers run on a core each."""

    pid: int
    port: int
    workers: Sequence[int]

    def turn(self, alone_us: Sequence[float]) -> tuple[float, float, float]:
        """Requests a second, the CPU microseconds of one, and how many workers that is worth.

        `alone_us` are the microseconds that a request costs on the core of each worker.
        """
        connections = len(self.workers) * SMALL_GET.connections
        before_s = [own_cpu_s(one) for one in self.workers]
        answers = saturate(self.port, replace(SMALL_GET, connections=connections), 1)
        spent = [own_cpu_s(one) - s for one, s in zip(self.workers, before_s, strict=True)]
        expected = sum(s / us * 1e6 for s, us in zip(spent, alone_us, strict=False))
        worth = len(self.workers) * answers.requests / expected
        return answers.rate, sum(spent) / max(answers.requests, 1) * 1e6, worth


def _started(address: str, cores: Sequence[int], held: ExitStack) -> _Team:
    """Starts a gateway with a worker for each core.

    Raises:
        MissingError: it does not start, or has not as many workers.
    """
    command, port = gateway(address, {"workers": len(cores)})
    pid = held.enter_context(running(command, port, f"{cores[0]}-{cores[-1]}"))
    saturate(port, SMALL_GET, 2)  # until all of them have started
    before_s = {one: own_cpu_s(one) for one in family(pid)}
    saturate(port, SMALL_GET, 1)
    spent = {one: own_cpu_s(one) - before for one, before in before_s.items()}
    # The supervisor serves nothing.
    serving = [one for one, took in spent.items() if took > max(spent.values()) / 4]
    if len(serving) != len(cores):
        raise MissingError(f"{len(serving)} of {len(cores)} workers answer")
    for core, worker in zip(cores, serving, strict=True):
        pin(worker, core)
    return _Team(pid, port, serving)


def routes(address: str) -> Curve:
    """The cost of a small GET among more and more routes."""
    curve = Curve("A small GET among many routes", ("routes", "CPU µs", "MB"))
    costs: dict[int, list[float]] = {size: [] for size in SIZES}
    peaks: dict[int, float] = {}
    for _ in range(_ROUNDS):
        for size in SIZES:
            file = OUT / f"routes-{size}.binpb"
            merged = synthetic(size)
            known = {one.name for one in merged.file}
            merged.file.extend(one for one in descriptor_set().file if one.name not in known)
            file.write_bytes(merged.SerializeToString())
            command, port = gateway(address, {"descriptors": [str(file)]})
            with running(command, port) as pid:
                costs[size].append(_cost_us(pid, port, SMALL_GET))
                peaks[size] = peak_mb(pid)
    for size in SIZES:
        curve.rows.append((f"{size:,}", f"{median(costs[size]):,.0f}", f"{peaks[size]:.0f}"))
    curve.rows.append(_spread(address))
    return curve


def _spread(address: str) -> tuple[str, str, str]:
    """The row of requests that go to all of a thousand routes, and not to one among them."""
    files = FileDescriptorSet()
    files.CopyFrom(descriptor_set())
    rules = [
        method.options.Extensions[annotations_pb2.http]
        for one in files.file
        for service in one.service
        for method in service.method
        if method.name == "GetItem"
    ]
    for number in range(_SHELVES):
        rules[0].additional_bindings.add(get=_SPREAD.target.replace("{shelf}", f"{number}", 1))
    file = OUT / "routes-spread.binpb"
    file.write_bytes(files.SerializeToString())
    command, port = gateway(address, {"descriptors": [str(file)]})
    with running(command, port) as pid:
        costs = [_cost_us(pid, port, _SPREAD) for _ in range(_ROUNDS)]
        return f"{_SHELVES:,}, all of them used", f"{median(costs):,.0f}", f"{peak_mb(pid):.0f}"


def idle_connections(address: str) -> Curve:
    """The memory of an idle connection, and its effect on the cost of a request."""
    columns = ("idle connections", "kB each", "MB in all", "CPU µs of a small GET beside them")
    curve = Curve("Idle keep-alive connections", columns)
    room = _files_allowed()
    for count in _IDLE:
        if count + 200 > room:
            curve.rows.append((f"{count:,}", f"needs ulimit -n {count + 200}", "", ""))
            continue
        command, port = gateway(address)
        with running(command, port) as pid, ExitStack() as held:
            ask(port, SMALL_GET)
            before_mb = resident_mb(pid)
            for _ in range(count):
                _ask_and_stay(held.enter_context(_connect(port)))
            after_mb = resident_mb(pid)
            each_kb = (after_mb - before_mb) * 1024 / count
            cost_us = _cost_us(pid, port, SMALL_GET)
        curve.rows.append((f"{count:,}", f"{each_kb:.1f}", f"{after_mb:.0f}", f"{cost_us:,.0f}"))
    return curve


def messages(address: str) -> Curve:
    """The cost of a message by its size, raw and as JSON, one request at a time."""
    columns = ("bytes", "as", "CPU µs", "ns a byte", "peak MB", "peak MB / MB of message")
    curve = Curve("The size of a message, one request at a time", columns)
    kinds: Mapping[str, Callable[[int], Scenario]] = {
        "HttpBody down": _down,
        "HttpBody up": _up,
        "JSON list": _listed,
    }
    for name, scenario_of in kinds.items():
        for size in _BYTES:
            # A process for each size: the peak of a process never falls.
            command, port = gateway(
                address, {"limits": _LIMITS}, max_message_bytes=_MAX_MESSAGE_BYTES
            )
            scenario = scenario_of(size)
            with running(command, port) as pid:
                ask(port, SMALL_GET)
                idle_mb = peak_mb(pid)
                status, body = ask(port, scenario)
                if status != 200:
                    curve.rows.append((f"{size:,}", name, f"{status}: {body[:60]!r}", "", "", ""))
                    continue
                cost_us = _cost_one_by_one_us(pid, port, scenario)
                peak = peak_mb(pid)
            share = f"{(peak - idle_mb) / (size / 1e6):.1f}" if size >= 1_000_000 else ""
            per_byte = f"{cost_us * 1e3 / size:,.2f}"
            curve.rows.append(
                (f"{size:,}", name, f"{cost_us:,.0f}", per_byte, f"{peak:.0f}", share)
            )
    return curve


_MEASURES = (start_up, routes, idle_connections, messages, workers)


def _down(size: int) -> Scenario:
    return Scenario("down", f"/v1/blobs/{size}", connections=1)


def _up(size: int) -> Scenario:
    return Scenario("up", "/v1/blobs/b", bytes(size), "application/octet-stream", connections=1)


def _listed(size: int) -> Scenario:
    """A list whose wire bytes, not its JSON, have this size."""
    return Scenario("list", f"/v1/items?count={max(1, size // _ITEM_BYTES)}", connections=1)


def _cost_us(pid: int, port: int, scenario: Scenario) -> float:
    saturate(port, scenario, 1)
    before_s = cpu_s(pid)
    answers = saturate(port, scenario, _SECONDS)
    return (cpu_s(pid) - before_s) / max(answers.requests, 1) * 1e6


def _cost_one_by_one_us(pid: int, port: int, scenario: Scenario) -> float:
    """The same for requests that may take longer than wrk runs."""
    before_s, count = cpu_s(pid), 0
    stop_s = monotonic() + _SECONDS
    with keeping(port) as ask_again:
        while count < _AT_LEAST or monotonic() < stop_s:
            ask_again(scenario)
            count += 1
    return (cpu_s(pid) - before_s) / count * 1e6


def _files_allowed() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, min(hard, max(_IDLE) + 500))
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def _ask_and_stay(connection: socket.socket) -> None:
    connection.sendall(first(SMALL_GET).wire("127.0.0.1"))
    connection.recv(65536)


if __name__ == "__main__":
    sys.exit(main())

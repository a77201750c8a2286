"""Measures the cost of a unary call in a channel alone: `python -m benchmarks.channel`.

Calls go to the back end of `make bench`, 32 at a time; rounds of the two channels alternate.
"""

import argparse
import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.building import BACKEND
from benchmarks.sample import message, schema
from gateway.call import Metadata
from gateway.config.upstreams import ChannelKind, Upstream
from gateway.upstream.channels.channel import Channel
from gateway.upstream.pool import CHANNELS

_CALLERS = 32
_ROUNDS = 5
_METADATA: Metadata = [("accept", "application/json"), ("x-request-id", "5f0c0e0b9d6a4a1c")]


@contextmanager
def _back_end() -> Iterator[str]:
    """Runs the back end; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{probe.getsockname()[1]}"
    python = [sys.executable, "-m", "benchmarks.fallback_backend"]
    command = [str(BACKEND)] if BACKEND.exists() else python
    with subprocess.Popen([*command, "-listen", target]) as process:
        try:
            _wait_for(target)
            yield target
        finally:
            process.send_signal(signal.SIGTERM)


def _wait_for(target: str) -> None:
    host, port = target.split(":")
    for _ in range(100):
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return


async def _cost_us(channel: Channel, seconds: float) -> tuple[float, float]:
    """The processor time of a call in µs, and calls per second."""
    method = schema().methods["bench.v1.Bench.GetItem"]
    request = message("GetItemRequest", {"shelf": "7", "item": "42"})
    count, until_s = 0, time.perf_counter() + seconds

    async def call_on() -> None:
        nonlocal count
        while time.perf_counter() < until_s:
            await channel.call(method, request, _METADATA, 30.0)
            count += 1

    used, started_s = _cpu_s(), time.perf_counter()
    await asyncio.gather(*(call_on() for _ in range(_CALLERS)))
    return (_cpu_s() - used) / count * 1e6, count / (time.perf_counter() - started_s)


def _cpu_s() -> float:
    """Processor time of the whole process: grpcio works in its own threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def _measure(target: str, seconds: float) -> Table:
    rows = Table("channel", "CPU µs a call", "calls/s", title="A unary call", box=None)
    figures: dict[ChannelKind, list[tuple[float, float]]] = {kind: [] for kind in ChannelKind}
    for _ in range(_ROUNDS):
        for kind, found in figures.items():
            channel = CHANNELS[kind]("bench", Upstream(target=target))
            await _cost_us(channel, 0.2)
            found.append(await _cost_us(channel, seconds / (_ROUNDS * len(figures)) - 0.2))
            await channel.close()
    for kind, found in figures.items():
        cost, rate = (median(values) for values in zip(*found, strict=True))
        rows.add_row(kind, f"{cost:.1f}", f"{rate:,.0f}")
    return rows


def main() -> None:
    """Measures both channels, and prints a table."""
    parser = argparse.ArgumentParser(description="Measure the channels.")
    parser.add_argument("--seconds", type=float, default=20.0)
    seconds = parser.parse_args().seconds
    cores = sorted(os.sched_getaffinity(0))
    with _back_end() as target:
        os.sched_setaffinity(0, cores[:1])
        Console().print(uvloop.run(_measure(target, seconds)))


if __name__ == "__main__":
    main()

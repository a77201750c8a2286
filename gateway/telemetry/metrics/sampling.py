"""Measures regularly what no request tells of: connections, memory, and delays of the loop."""

import asyncio
import os
import resource
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from gateway.telemetry.metrics.definitions import (
    ACTIVE_REQUESTS,
    CONNECTIONS,
    CPU,
    ENDPOINTS,
    LOOP_LAG,
    MEMORY,
    WEBSOCKETS,
)
from gateway.telemetry.metrics.metric import Kind, Metric
from gateway.telemetry.metrics.metrics import Metrics

_EVERY_S: Final = 0.25
_TICKS: Final = 4
"""The number of timers after which all is sampled, which is once a second."""
_PAGE_BYTES: Final[int] = os.sysconf("SC_PAGE_SIZE")
_STATM: Final = "/proc/self/statm"

Load = Callable[[], tuple[int, int, int]]
"""Returns the number of open connections, of those with a request in progress, and of those that
are WebSockets."""
Census = Callable[[], Mapping[tuple[str, str], int]]
"""Returns the number of endpoints of each upstream in each state that any of them has."""
Reading = tuple[Metric, tuple[str, ...], float]
"""A metric, the values of its labels, and its value; of a counter, that since the start."""
Readings = Callable[[], Iterable[Reading]]
"""Reads the metrics that have to be looked up; called once a second, so it must not wait."""
Total = Callable[[], float]
"""Returns a sum that only grows while this process lives."""


class Sampler:
    """Samples this process until `stop`."""

    def __init__(
        self,
        metrics: Metrics,
        load: Load,
        census: Census,
        losses: Mapping[Metric, Total],
        *,
        scheme: str,
        readings: Readings = tuple,
    ) -> None:
        """Starts to sample; the event loop must be running.

        `losses` are the totals of counters without labels.
        """
        self._readings = readings
        self._read: dict[tuple[Metric, tuple[str, ...]], tuple[int, float]] = {}
        """The place and the last value of each reading."""
        writer = self._writer = metrics.writer
        self._load = load
        self._census = census
        self._endpoints_at: dict[tuple[str, str], int] = {}
        self._note_lag = metrics.accumulators.adder(metrics.metric(LOOP_LAG))
        self._flush = metrics.accumulators.flush
        self._active_at = writer.child(ACTIVE_REQUESTS, (scheme,))
        self._connections_at = writer.child(CONNECTIONS, ())
        self._websockets_at = writer.child(WEBSOCKETS, ())
        worker = (metrics.worker,)
        self._memory_at = writer.child(MEMORY, worker)
        self._totals = [(writer.child(CPU, worker), _used_s)]
        self._totals += [(writer.child(metric, ()), total) for metric, total in losses.items()]
        self._added = [0.0 for _ in self._totals]
        self._statm = _open_statm()
        self._loop = asyncio.get_running_loop()
        self._ticks = 0
        self._sample()
        self._due_s = time.monotonic() + _EVERY_S
        self._timer = self._loop.call_later(_EVERY_S, self._tick)

    def stop(self) -> None:
        """Ends the sampling, after a last sample."""
        self._timer.cancel()
        self._sample()
        self._flush()
        if self._statm is not None:
            os.close(self._statm)

    def _tick(self) -> None:
        now_s = time.monotonic()
        self._note_lag(max(0.0, now_s - self._due_s))
        self._flush()
        self._ticks += 1
        if self._ticks % _TICKS == 0:
            self._sample()
        self._due_s = time.monotonic() + _EVERY_S
        self._timer = self._loop.call_later(_EVERY_S, self._tick)

    def _sample(self) -> None:
        connections, active, websockets = self._load()
        self._writer.set(self._websockets_at, websockets)
        self._writer.set(self._connections_at, connections)
        self._writer.set(self._active_at, active)
        self._writer.set(self._memory_at, _resident_bytes(self._statm))
        self._count_endpoints()
        self._take_readings()
        for number, (at, total) in enumerate(self._totals):
            now = total()
            # Only what is new: the cell also has the sum of the processes before this one.
            self._writer.add(at, now - self._added[number])
            self._added[number] = now

    def _count_endpoints(self) -> None:
        found = self._census()
        for key in found.keys() - self._endpoints_at.keys():
            self._endpoints_at[key] = self._writer.child(ENDPOINTS, key)
        for key, at in self._endpoints_at.items():  # also those that no endpoint has any more
            self._writer.set(at, found.get(key, 0))

    def _take_readings(self) -> None:
        writer, seen = self._writer, set()
        for metric, values, value in self._readings():
            key = metric, values
            seen.add(key)
            # Looked up each time, because this also marks a value that was dropped as one again.
            at, last = writer.child(metric, values), self._read.get(key, (0, 0.0))[1]
            self._read[key] = at, value
            if metric.kind is Kind.COUNTER:
                writer.add(at, max(0.0, value - last))
            else:
                writer.set(at, value)
        for key in self._read.keys() - seen:
            at, _ = self._read.pop(key)
            if key[0].kind is Kind.GAUGE:
                writer.drop(at)


def _used_s() -> float:
    """Returns the seconds of CPU, in user code and in the system, of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _open_statm() -> int | None:
    """Opens the file with the memory of this process (proc(5)), to be read again and again."""
    try:
        return os.open(_STATM, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def _resident_bytes(statm: int | None) -> int:
    """Returns the resident memory of this process; the peak where /proc is missing."""
    if statm is None:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(os.pread(statm, 256, 0).split()[1]) * _PAGE_BYTES

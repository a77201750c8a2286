"""Measures the cost of metrics: recording a request, recording a call, and a scrape.

`python -m benchmarks.metrics [ROUNDS]`. Each figure is the best of the rounds, because others use
the machine too. A scrape has 500 routes with four statuses each, of one worker or of four with
forty requests of each.
"""

import random
import sys
import time
from collections.abc import Callable
from itertools import product
from math import inf
from typing import Any

from rich.console import Console
from rich.table import Table

from gateway.config.metrics import Histograms, MetricsOptions
from gateway.http.header_fields import NO_FIELDS
from gateway.status import Code
from gateway.telemetry.metrics import exposition, otlp
from gateway.telemetry.metrics.cells import CellFile, MetricFiles
from gateway.telemetry.metrics.metrics import Metrics
from gateway.telemetry.record import Record

_CALLS = 100_000
_ROUTES = 500
_STATUSES = (
    *((200, Code.OK), (404, Code.NOT_FOUND)),
    *((429, Code.RESOURCE_EXHAUSTED), (503, Code.UNAVAILABLE)),
)


def record(binding: Any, status: int = 200, code: Code = Code.OK) -> Record:
    """A request to a binding."""
    return Record(
        at_s=time.time(), duration_s=0.0031, request_id="id", method="GET", path="/v1/items/1",
        query="", masks=None, binding=binding, status=status, code=code,  # type: ignore[arg-type]
        request_bytes=0, response_bytes=312, peer="", client="", host="", user_agent="",
        traceparent="", principal=None, fields=NO_FIELDS,
    )  # fmt: skip


class _Rule:
    def __init__(self, number: int) -> None:
        self.template = f"/v1/collections{number}/{{item}}"


class _Binding:
    """What metrics read of a binding; compiled code demands a real one, so run it as Python."""

    def __init__(self, number: int) -> None:
        self.rule = _Rule(number)


def binding(number: int) -> Any:
    """A stand-in for a binding."""
    return _Binding(number)


def best(rounds: int, work: Callable[[], None]) -> float:
    """The least CPU seconds of one run."""
    found = []
    for _ in range(rounds):
        before_s = time.process_time()
        work()
        found.append(time.process_time() - before_s)
    return min(found)


class _Pauses:
    """The module `time` as metrics use it; notes the CPU time between two pauses of a thread."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._since_s = time.thread_time()

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def sleep(self, _: float) -> None:
        self.longest_s = max(self.longest_s, time.thread_time() - self._since_s)
        self._since_s = time.thread_time()


def longest_hold(rounds: int, work: Callable[[], Any], enough_s: float = 0.0) -> float:
    """The most CPU seconds for which a scrape, or an export, lets no other thread run.

    The best of the rounds, which end with the first one below `enough_s`.
    """
    found: list[float] = []
    while len(found) < rounds and min(found, default=inf) >= enough_s:
        pauses = _Pauses()
        vars(exposition)["time"] = vars(otlp)["time"] = pauses
        work()
        pauses.sleep(0)
        found.append(pauses.longest_s)
    vars(exposition)["time"] = vars(otlp)["time"] = time
    return min(found)


def of_workers(workers: int, form: Histograms) -> exposition.Exposition:
    """The metrics of several workers, whose durations and sizes are as spread as real ones."""
    chance, options = random.Random(1), MetricsOptions(otlp_histograms=form)
    files = tuple(CellFile() for _ in range(workers))
    for file in files:
        ended = Metrics(options, MetricFiles(file, files), scheme="http").requests.ended
        for number, (status, code), _ in product(range(_ROUTES), _STATUSES, range(40)):
            one = record(binding(number), status, code)
            one.duration_s = chance.lognormvariate(-5, 1)
            one.response_bytes = int(chance.lognormvariate(7, 1.5))
            ended(one)
    return exposition.Exposition(options, files)


def main(rounds: int) -> None:
    file = CellFile()
    metrics = Metrics(MetricsOptions(), MetricFiles(file, (file,)), scheme="http")
    ended, chance = metrics.requests.ended, random.Random(1)
    # Durations differ as those of real requests to one method do.
    durations_s = [chance.lognormvariate(-6, 0.5) for _ in range(_CALLS)]
    records = [record(binding(0)) for _ in durations_s]
    for one, duration_s in zip(records, durations_s, strict=True):
        one.duration_s = duration_s

    def requests() -> None:
        for one in records:
            ended(one)

    (durations,) = metrics.calls("library.v1.LibraryService/GetShelf", "main")(Code.OK)

    def calls() -> None:
        for duration_s in durations_s:
            durations.add(duration_s)

    table = Table("work", "CPU", title="Metrics", box=None)
    table.add_row("a request", f"{best(rounds, requests) / _CALLS * 1e6:.2f} µs")
    table.add_row("a call to a back end", f"{best(rounds, calls) / _CALLS * 1e6:.2f} µs")
    for number in range(_ROUTES):
        for status, code in _STATUSES:
            ended(record(binding(number), status, code))
    size = len(metrics.exposition.text()[1])
    scrape_s = best(rounds, metrics.exposition.text)  # type: ignore[arg-type]
    table.add_row(f"a scrape, {size / 1e6:.1f} MB", f"{scrape_s * 1000:.0f} ms")
    hold_s = longest_hold(rounds, metrics.exposition.pieces)
    table.add_row("of it, without a pause", f"{hold_s * 1000:.1f} ms")
    for form in Histograms:
        exposition_of_four = of_workers(4, form)
        scrape_s = best(rounds, exposition_of_four.text)  # type: ignore[arg-type]
        export_s = best(rounds, lambda: exposition_of_four.export({}))  # type: ignore[arg-type]  # noqa: B023
        table.add_row(f"a scrape of four workers, {form} histograms", f"{scrape_s * 1000:.0f} ms")
        table.add_row("an export of them", f"{export_s * 1000:.0f} ms")
        hold_s = longest_hold(rounds, lambda: exposition_of_four.export({}))  # noqa: B023
        table.add_row("of it, without a pause", f"{hold_s * 1000:.1f} ms")
    Console().print(table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)

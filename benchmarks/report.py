"""Reports results as a table, a JSON file and a chart."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from math import isnan
from pathlib import Path
from timeit import repeat

from rich.table import Table

from benchmarks.balancing import Choices
from benchmarks.building import OUT
from benchmarks.chart import draw
from benchmarks.end_to_end import Results
from benchmarks.peers import GRPCIO, OURS
from benchmarks.scenarios import HEADLINES

_COLUMNS = (
    "request",
    "gateway",
    "CPU µs",
    "ours / its",
    "a second",
    "core",
    "p50 ms",
    "p99 ms",
    "MB",
)


@dataclass(frozen=True)
class Moment:
    """The time of a run, and the load of the machine before it."""

    at: datetime
    load: float
    """The processes that were waiting for a core, as the mean of a minute."""

    @classmethod
    def now(cls) -> "Moment":
        """The current moment."""
        return cls(datetime.now(UTC), os.getloadavg()[0])

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d}, {machine()}; load average before the run {self.load:.1f}"


def table(results: Results) -> Table:
    """A table with a row for each scenario and gateway."""
    rows = Table(*_COLUMNS, title="Side by side, one core each", box=None)
    for scenario, by_peer in results.items():
        for number, (name, sample) in enumerate(by_peer.items()):
            rows.add_row(
                "" if number else scenario,
                name,
                figure(sample.cpu_us),
                "" if name == OURS else ratio(results, scenario, name),
                figure(sample.rate),
                f"{sample.busy:.0%}",
                figure(sample.p50_ms),
                figure(sample.p99_ms),
                f"{sample.peak_mb:.0f}",
            )
        rows.add_section()
    return rows


def ratio(results: Results, scenario: str, peer: str, of: str = "cpu_us") -> str:
    """The ratio of our cost to a peer's; empty if one of the two was not measured."""
    by_peer = results.get(scenario, {})
    if OURS not in by_peer or peer not in by_peer:
        return ""
    share: float = getattr(by_peer[OURS], of) / getattr(by_peer[peer], of)
    return "" if isnan(share) else f"{share:.2f}"


def figure(value: float) -> str:
    """A number with its significant digits."""
    if isnan(value):
        return ""
    if value < 10:
        return f"{value:.2f}"
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


@cache
def machine() -> str:
    """The hardware and the Python, as far as they affect the figures."""
    # The best of many short runs shows how well the interpreter was optimised when it was built.
    sum_us = min(repeat("sum(range(1000))", repeat=50, number=100)) / 100 * 1e6
    python = f"Python {platform.python_version()} that sums range(1000) in {sum_us:.1f} µs"
    return f"{os.cpu_count()} cores of {_processor()}, {python}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def save(
    results: Results,
    guards: Mapping[str, float],
    began: Moment,
    choices: Choices | None = None,
) -> list[Path]:
    """Writes the JSON and the chart; `guards` are the microseconds that each guard adds."""
    document = {
        "measured": began.at.isoformat(timespec="minutes"),
        "machine": machine(),
        "load_before": round(began.load, 2),
        "units": {
            "cpu_us": "µs a request, or a message of a stream",
            "rate": "requests or messages/s on one core",
            "busy": "share of the core",
            "guards": "µs a request",
        },
        "results": {
            scenario: {name: _rounded(asdict(sample)) for name, sample in by_peer.items()}
            for scenario, by_peer in results.items()
        },
        "guards": _rounded(guards),
    }
    if choices is not None:
        document["balancing"] = asdict(choices)
    files = [OUT / "benchmark.json", OUT / "benchmark.svg"]
    files[0].write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    costs = _headlines(results)
    files[1].write_text(draw(costs, f"{began.at:%Y-%m-%d} on {machine()}"))
    return files


def _headlines(results: Results) -> dict[str, dict[str, float]]:
    """The results for the chart: the main scenarios, and each gateway once."""
    costs = {
        scenario.name: {
            name: sample.cpu_us
            for name, sample in results.get(scenario.name, {}).items()
            if name != GRPCIO and not isnan(sample.cpu_us)
        }
        for scenario in HEADLINES
    }
    return {scenario: by_peer for scenario, by_peer in costs.items() if by_peer}


def _rounded(values: Mapping[str, float]) -> dict[str, float | None]:
    """Values for JSON, which has no NaN."""
    return {name: None if isnan(value) else round(value, 2) for name, value in values.items()}

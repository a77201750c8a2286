"""What was measured, as a table, a JSON file and a chart."""

import json
import platform
import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from math import isnan
from pathlib import Path

from rich.table import Table

from benchmarks.building import OUT
from benchmarks.chart import draw
from benchmarks.end_to_end import Results
from benchmarks.peers import OURS
from benchmarks.sample import HERE

DOCS = HERE.parent / "docs"


def table(results: Results) -> Table:
    """A row for each request and gateway."""
    columns = (
        "request",
        "gateway",
        "CPU µs",
        "ours / its",
        "requests/s",
        "core",
        "p50 ms",
        "p99 ms",
        "MB",
    )
    rows = Table(*columns, title="Side by side, one core each", box=None)
    for scenario, by_peer in results.items():
        ours, *_ = (name for name in by_peer if name.startswith(OURS))
        for name, sample in by_peer.items():
            rows.add_row(
                scenario if name == ours else "",
                name,
                f"{sample.cpu_us:,.0f}",
                "" if name == ours else f"{by_peer[ours].cpu_us / sample.cpu_us:.2f}",
                f"{sample.rate:,.0f}",
                f"{sample.busy:.0%}",
                f"{sample.p50_ms:.2f}",
                f"{sample.p99_ms:.2f}",
                f"{sample.peak_mb:.0f}",
            )
        rows.add_section()
    return rows


def save(results: Results, *, publish: bool) -> list[Path]:
    """Writes the JSON and the chart, and copies both to docs/ if they are to be published."""
    measured = datetime.now(UTC)
    document = {
        "measured": measured.isoformat(timespec="minutes"),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "units": {
            "cpu_us": "µs a request",
            "rate": "requests/s on one core",
            "busy": "share of the core",
        },
        "results": {
            scenario: {name: _rounded(asdict(sample)) for name, sample in by_peer.items()}
            for scenario, by_peer in results.items()
        },
    }
    files = [OUT / "benchmark.json", OUT / "benchmark.svg"]
    files[0].write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    costs = {
        scenario: {n: sample.cpu_us for n, sample in by_peer.items() if not isnan(sample.cpu_us)}
        for scenario, by_peer in results.items()
    }
    files[1].write_text(draw(costs, f"{measured:%Y-%m-%d}"))
    return [Path(shutil.copy(file, DOCS)) for file in files] if publish else files


def _rounded(values: dict[str, float]) -> dict[str, float | None]:
    """Values for JSON, which has no NaN."""
    return {name: None if isnan(value) else round(value, 2) for name, value in values.items()}

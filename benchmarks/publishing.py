"""Puts results into docs/: copies files, and writes tables between marks of pages."""

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.balancing import IN_TURNS, MOST, Choices, cost_rows
from benchmarks.end_to_end import Results
from benchmarks.peers import GRPCIO, OURS, PYTHON
from benchmarks.report import Moment, figure, ratio
from benchmarks.sample import HERE
from benchmarks.scenarios import (
    LINES,
    LIST_10_000,
    LIST_100,
    NOT_FOUND,
    PATCH,
    POST,
    SMALL_GET,
)

DOCS = HERE.parent / "docs"
PAGE = DOCS / "performance.md"
_GO, _ENVOY = "grpc-gateway", "Envoy"
_NAMES = {
    OURS: "ours",
    PYTHON: "ours, as Python",
    GRPCIO: "ours, grpcio",
    _GO: _GO,
    _ENVOY: _ENVOY,
    "plain Python": "plain",
}
_LEADING = (OURS, _GO, _ENVOY)
# The goals: the highest cost compared to grpc-gateway's, and to Envoy's.
_WANTED: Sequence[tuple[str, str, float, float]] = (
    (SMALL_GET.name, "cpu_us", 0.65, 0.4),
    (POST.name, "cpu_us", 0.65, 0.4),
    (PATCH.name, "cpu_us", 0.65, 0.4),
    (LIST_100.name, "cpu_us", 0.35, 0.5),
    (LIST_10_000.name, "cpu_us", 0.45, 0.7),
    (LINES.name, "cpu_us", 0.25, 0.4),
    (NOT_FOUND.name, "cpu_us", 0.9, 0.8),
    (SMALL_GET.name, "p99_ms", 1.0, 1.0),
)

Rows = Sequence[Sequence[str]]


def publish(
    results: Results,
    guards: Mapping[str, float],
    files: Iterable[Path],
    began: Moment,
    page: Path = PAGE,
    *,
    choices: Choices | None = None,
) -> None:
    """Copies the files next to the page, and replaces the page's tables."""
    for file in files:
        shutil.copy(file, page.parent)
    sections = [
        f"{began}. CPU µs a request, or a message of a stream:",
        markdown(("", *_NAMES.values(), "ours / grpc-gateway", "ours / Envoy"), costs(results)),
        "At half of the saturated rate, p50 / p99 in ms; the most memory held, in MB:",
        markdown(("", *(f"{_NAMES[n]}, {unit}" for n in _LEADING for unit in ("ms", "MB"))),
                 latencies(results)),
        "Wanted, and had:",
        markdown(("", "of grpc-gateway's", "wanted", "of Envoy's", "wanted"), goals(results)),
    ]  # fmt: skip
    if guards:
        added = [(name, f"{cost:.1f}") for name, cost in guards.items()]
        sections += ["What guards add to a small GET:", markdown(("", "CPU µs"), added)]
    if choices is not None:
        sections += _of_balancing(choices)
    write_between("figures", "\n\n".join(sections), page)


def _of_balancing(choices: Choices) -> list[str]:
    sections = []
    if choices.instructions:
        rows = [(*row, f"≤ {MOST}" if row[0] == IN_TURNS else "") for row in cost_rows(choices)]
        table = markdown(("", "instructions", "to one", "wanted"), rows)
        sections += ["Instructions of a small GET by the number of endpoints:", table]
    if choices.latencies_ms:
        gateways = (OURS, _ENVOY)
        latencies = [
            (policy, *(_both(by_gateway.get(name)) for name in gateways))
            for policy, by_gateway in choices.latencies_ms.items()
        ]
        sections += [
            "One of five endpoints is ten times slower: p50 / p99 in ms:",
            markdown(("", *(_NAMES[name] for name in gateways)), latencies),
        ]
    return sections


def _both(figures: tuple[float, float] | None) -> str:
    return "" if figures is None else " / ".join(map(figure, figures))


def costs(results: Results) -> Rows:
    """CPU time of each gateway, and the ratio of ours to theirs."""
    return [
        (
            scenario,
            *(figure(by_peer[name].cpu_us) if name in by_peer else "" for name in _NAMES),
            ratio(results, scenario, _GO),
            ratio(results, scenario, _ENVOY),
        )
        for scenario, by_peer in results.items()
    ]


def latencies(results: Results) -> Rows:
    """Latencies and memory of ours and of the two most used gateways."""
    rows = []
    for scenario, by_peer in results.items():
        row = [scenario]
        for name in _LEADING:
            sample = by_peer.get(name)
            if sample is None:
                row += ["", ""]
                continue
            slowest = figure(sample.p99_ms)
            row += [figure(sample.p50_ms) + (f" / {slowest}" if slowest else "")]
            row += [f"{sample.peak_mb:.0f}"]
        rows.append(row)
    return rows


def goals(results: Results) -> Rows:
    """Each goal with its result."""
    return [
        (
            f"{scenario}, {'CPU' if of == 'cpu_us' else 'p99 at half load'}",
            ratio(results, scenario, _GO, of),
            f"≤ {of_go}",
            ratio(results, scenario, _ENVOY, of),
            f"≤ {of_envoy}",
        )
        for scenario, of, of_go, of_envoy in _WANTED
    ]


def markdown(head: Sequence[str], rows: Rows) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_between(mark: str, text: str, page: Path = PAGE) -> None:
    """Replaces the text between `<!-- mark -->` and `<!-- /mark -->`.

    Raises:
        SystemExit: the page has no such marks.
    """
    start, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    page_text, count = pattern.subn(lambda _: f"{start}\n\n{text}\n\n{end}", page.read_text())
    if count != 1:
        raise SystemExit(f"{page.name}: expected {start} ... {end} once, found it {count} times")
    page.write_text(page_text)

"""Puts results into docs/: copies files, and writes tables between marks of pages."""

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from math import isnan, nan
from pathlib import Path

from benchmarks.balancing import IN_TURNS, MOST, Choices, cost_rows
from benchmarks.end_to_end import Results
from benchmarks.peers import ARMERIA, ENVOY, GO, GRPCIO, OURS, PYTHON, RUST
from benchmarks.report import Moment, figure, ratio
from benchmarks.sample import HERE
from benchmarks.scenarios import (
    ALL_GUARDS,
    DOWN,
    DOWN_STREAMED,
    LINES,
    LIST_10_000,
    LIST_100,
    NOT_FOUND,
    PATCH,
    POST,
    REFUSED,
    SMALL_GET,
    TLS,
    UP,
    UP_STREAMED,
    WRONG_FIELDS,
    Scenario,
)

DOCS = HERE.parent / "docs"
PAGE = DOCS / "performance.md"
_NAMES = {
    OURS: "ours",
    PYTHON: "ours, as Python",
    GRPCIO: "ours, grpcio",
    GO: GO,
    ENVOY: ENVOY,
    RUST: RUST,
    "vanguard-go": "vanguard-go",
    ARMERIA: ARMERIA,
    "plain Python": "plain",
}
_LEADING = (OURS, GO, ENVOY)
_COMPARED = (GO, ENVOY, RUST)
# The goals: the highest cost compared to each gateway's; none where it has no such feature. That of
# the small GET is for a Python with profile-guided optimisation; without, 0.65, 0.4 and 0.8.
_WANTED: Sequence[tuple[Scenario, str, tuple[float, float, float]]] = (
    (SMALL_GET, "cpu_us", (0.5, 0.3, 0.6)),
    (POST, "cpu_us", (0.65, 0.4, nan)),
    (PATCH, "cpu_us", (0.65, 0.4, nan)),
    (LIST_100, "cpu_us", (0.35, 0.5, 0.75)),
    (LIST_10_000, "cpu_us", (0.45, 0.7, nan)),
    (LINES, "cpu_us", (0.25, 0.4, nan)),
    (NOT_FOUND, "cpu_us", (0.9, 0.8, 1.2)),
    (WRONG_FIELDS, "cpu_us", (0.9, 0.8, nan)),
    (REFUSED, "cpu_us", (nan, 0.8, nan)),
    (DOWN, "cpu_us", (0.6, 1.0, nan)),
    (DOWN_STREAMED, "cpu_us", (0.6, 1.0, nan)),
    (UP, "cpu_us", (nan, 1.0, nan)),
    (UP_STREAMED, "cpu_us", (nan, 1.0, nan)),
    (TLS, "cpu_us", (0.9, 0.5, nan)),
    (ALL_GUARDS, "cpu_us", (nan, 0.4, nan)),
    (SMALL_GET, "p99_ms", (1.0, 1.0, nan)),
)

MOST_OBSERVED = "≤ 3 %"

Rows = Sequence[Sequence[str]]


def publish(
    results: Results,
    more: Sequence[str],
    files: Iterable[Path],
    began: Moment,
    page: Path = PAGE,
) -> None:
    """Copies the files next to the page, and replaces the page's tables; `more` are after them."""
    for file in files:
        shutil.copy(file, page.parent)
    sections = [
        f"{began}. CPU µs a request, or a message of a stream:",
        markdown(("", *_NAMES.values(), *(f"ours / {n}" for n in _COMPARED)), costs(results)),
        "At half of the saturated rate, p50 / p99 in ms; the most memory held, in MB:",
        markdown(("", *(f"{_NAMES[n]}, {unit}" for n in _LEADING for unit in ("ms", "MB"))),
                 latencies(results)),
        "Wanted, and had:",
        markdown(("", *(cell for name in _COMPARED for cell in (f"of {name}'s", "wanted"))),
                 goals(results)),
        *more,
    ]  # fmt: skip
    write_between("figures", "\n\n".join(sections), page)


def of_guards(costs: Mapping[str, float]) -> Sequence[str]:
    """The sections about the microseconds that guards add."""
    added = [(name, f"{cost:.1f}") for name, cost in costs.items()]
    return "The cost that guards add to a small GET:", markdown(("", "CPU µs"), added)


def of_observers(rows: Iterable[tuple[str, float, str]]) -> Sequence[str]:
    """The sections about what metrics and traces add, in CPU microseconds and as a share."""
    table = [(name, figure(cost), more, MOST_OBSERVED) for name, cost, more in rows]
    title = (
        "Metrics, and traces of which one in a hundred is recorded: a small GET in pairs of "
        "processes, with the standard error:"
    )
    return (
        title,
        markdown(("", "CPU µs", "more than without", "wanted"), table),
    )


def of_balancing(choices: Choices) -> Sequence[str]:
    """The sections about what a choice between endpoints costs, and what it gains."""
    sections = []
    if choices.instructions:
        rows = [(*row, f"≤ {MOST}" if row[0] == IN_TURNS else "") for row in cost_rows(choices)]
        table = markdown(("", "instructions", "to one", "wanted"), rows)
        sections += ["Instructions of a small GET by the number of endpoints:", table]
    if choices.latencies_ms:
        gateways = (OURS, ENVOY)
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
            *(ratio(results, scenario, peer) for peer in _COMPARED),
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
            f"{scenario.name}, {'CPU' if of == 'cpu_us' else 'p99 at half load'}",
            *(
                cell
                for peer, most in zip(_COMPARED, limits, strict=True)
                for cell in (
                    ratio(results, scenario.name, peer, of),
                    "" if isnan(most) else f"≤ {most}",
                )
            ),
        )
        for scenario, of, limits in _WANTED
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

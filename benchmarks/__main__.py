"""`make bench`: measures the pure path, the loading of schemas, and this gateway and its peers."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from benchmarks import (
    balancing,
    compat,
    guards,
    hits,
    observed,
    publishing,
    pure,
    report,
    schema_load,
    tails,
    validation,
)
from benchmarks.building import MissingError
from benchmarks.end_to_end import Effort, Results, Run
from benchmarks.sample import HERE
from benchmarks.scenarios import SCENARIOS, SMALL_GET, Scenario

T = TypeVar("T")

_PAIRS, _TAIL_TURNS = 12, 7
_QUICK = Effort(rounds=2, load_s=2, paced_s=1.0)


def main() -> int:
    """Runs all benchmarks, or those that the options select, and prints the tables."""
    options = read_options()
    console = Console(width=120)
    whole = not (options.quick or options.only)
    if whole:
        console.print(_pure_table())
        console.print(_load_table())
    if options.pure:
        return 0
    effort = _QUICK if options.quick else Effort(rounds=options.rounds)
    began = report.Moment.now()
    try:
        # Saved after each round, so that an interrupted run keeps its results so far.
        run = Run(scenarios_of(options), effort)
        results = run.run(lambda so_far: report.save(so_far, {}, began))
        console.print(report.table(results))
    except MissingError as missing:
        print(f"not measured end to end: {missing}", file=sys.stderr)
        return 1
    more = _more(console, effort.rounds, results, began) if whole else None
    _save(results, more, began, publish=options.publish)
    return 0


@dataclass
class _More:
    """What a whole run measures besides gateways side by side."""

    guards: Mapping[str, float]
    choices: balancing.Choices
    sections: Sequence[str]
    """Those of the page."""


def _more(console: Console, rounds: int, results: Results, began: report.Moment) -> _More:
    sections: list[str] = []
    added = _measured("the cost of guards", lambda: guards.run(rounds)) or {}
    if added:
        console.print(guards.table(added))
        sections += publishing.of_guards(added)
    report.save(results, added, began)  # the rest takes minutes, too
    watched = _measured(
        "the cost of metrics and traces", lambda: observed.run(1, _PAIRS, [observed.BOTH])
    )
    if watched:
        console.print(observed.table(watched))
        sections += publishing.of_observers(watched)
    at_one_rate = _measured("latencies at one rate", lambda: tails.run(_TAIL_TURNS))
    if at_one_rate:
        console.print(at_one_rate.table())
        sections.append(at_one_rate.markdown())
    stored = _measured("the cost of stored replies", lambda: hits.run(rounds))
    if stored:
        console.print(hits.table(stored))
    compat.show(console)
    choices = balancing.run()
    for table in balancing.tables(choices):
        console.print(table)
    sections += publishing.of_balancing(choices)
    return _More(added, choices, sections)


def _measured(name: str, measure: Callable[[], T]) -> T | None:
    """The result of one part; None, and a report, if something that it needs is missing."""
    try:
        return measure()
    except MissingError as missing:
        print(f"left out: {name}: {missing}", file=sys.stderr)
        return None


def scenarios_of(options: argparse.Namespace) -> tuple[Scenario, ...]:
    """The scenarios to compare."""
    if options.quick:
        return (SMALL_GET,)
    return tuple(
        scenario
        for scenario in SCENARIOS
        if not options.only or any(part in scenario.name for part in options.only)
    )


def _save(results: Results, more: _More | None, began: report.Moment, *, publish: bool) -> None:
    if more is None:
        files = report.save(results, {}, began)
    else:
        files = report.save(results, more.guards, began, more.choices)
    for file in files:
        print(f"saved as {file.relative_to(HERE.parent)}")
    if publish and more is not None:
        publishing.publish(results, more.sections, files, began)
        print(f"published in {publishing.PAGE.relative_to(HERE.parent)}")


def read_options() -> argparse.Namespace:
    """Parses the command line, and checks that its options fit together."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only the small GET, end to end")
    parser.add_argument("--pure", action="store_true", help="no servers, no peers")
    parser.add_argument(
        "--only",
        action="append",
        metavar="TEXT",
        help="scenarios with this in the name; repeatable",
    )
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each scenario")
    parser.add_argument("--publish", action="store_true", help="put the figures into docs/")
    options = parser.parse_args()
    if options.publish and (options.quick or options.only or options.pure):
        parser.error("--publish needs the whole run, not a part of it")
    for part in options.only or ():
        if not any(part in scenario.name for scenario in SCENARIOS):
            names = ", ".join(scenario.name for scenario in SCENARIOS)
            parser.error(f"no scenario has {part} in its name; expected one of: {names}")
    return options


def _pure_table() -> Table:
    table = Table("request", "part", "CPU µs", title="The pure path", box=None)
    for name, part, cost in [*pure.run(), *validation.run()]:
        table.add_row(name, part, f"{cost:.2f}")
    return table


def _load_table() -> Table:
    columns = ("bindings", "seconds", "MB gained", "MB in all", "µs a look-up")
    table = Table(*columns, title="Loading a schema", box=None)
    for row in schema_load.run():
        table.add_row(*row)
    return table


if __name__ == "__main__":
    sys.exit(main())

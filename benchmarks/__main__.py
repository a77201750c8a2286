"""`make bench`: the pure path, the loading of schemas, and this gateway beside its peers."""

import argparse
import sys

from rich.console import Console
from rich.table import Table

from benchmarks import end_to_end, pure, report, schema_load
from benchmarks.building import MissingError
from benchmarks.end_to_end import SCENARIOS, SMALL_GET, Effort
from benchmarks.sample import HERE

_QUICK = Effort(rounds=2, load_s=2, paced_s=1.0)


def main() -> int:
    """Runs all, or with --quick the small GET alone, and prints the tables."""
    options = _options()
    console = Console(width=120)
    if not options.quick:
        console.print(_pure_table())
        console.print(_load_table())
    if options.pure:
        return 0
    scenarios = (SMALL_GET,) if options.quick else SCENARIOS
    effort = _QUICK if options.quick else Effort(rounds=options.rounds)
    try:
        results = end_to_end.run(scenarios, effort)
    except MissingError as missing:
        print(f"not measured end to end: {missing}", file=sys.stderr)
        return 1
    files = report.save(results, publish=options.publish)
    console.print(report.table(results))
    for file in files:
        print(f"saved as {file.relative_to(HERE.parent)}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the small GET end to end, no more")
    parser.add_argument("--pure", action="store_true", help="no servers, no peers")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--publish", action="store_true", help="copy JSON and chart to docs/")
    options = parser.parse_args()
    if options.quick and options.publish:
        parser.error("--publish wants the whole run, not --quick")
    return options


def _pure_table() -> Table:
    table = Table("request", "part", "CPU µs", title="The pure path", box=None)
    for name, part, cost in pure.run():
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

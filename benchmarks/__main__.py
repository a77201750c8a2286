"""`make bench`: the pure path, the loading of schemas, and this gateway beside its peers."""

import argparse
import sys

from rich.console import Console
from rich.table import Table

from benchmarks import end_to_end, pure, schema_load
from benchmarks.peers import MissingError

_OURS = "this gateway (http2)"


def main() -> int:
    """Runs all, or with --quick the small GET alone, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the small GET end to end, no more")
    parser.add_argument("--pure", action="store_true", help="no servers, no peers")
    options = parser.parse_args()
    console = Console(width=120)
    if not options.quick:
        console.print(_pure_table())
        console.print(_load_table())
    if not options.pure:
        try:
            results = end_to_end.run(quick=options.quick)
        except MissingError as missing:
            print(f"not measured end to end: {missing}", file=sys.stderr)
            return 1
        console.print(_peers_table(results))
        console.print(f"saved as {end_to_end.save(results).name}")
    return 0


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


def _peers_table(results: end_to_end.Results) -> Table:
    columns = ("request", "gateway", "CPU µs", "ours / its", "requests/s", "p50 ms", "p99 ms", "MB")
    table = Table(*columns, title="Side by side, one core", box=None)
    for scenario, by_peer in results.items():
        ours = by_peer[_OURS].cpu_us
        for name, sample in by_peer.items():
            table.add_row(
                scenario,
                name,
                f"{sample.cpu_us:.0f}",
                f"{ours / sample.cpu_us:.2f}",
                f"{sample.rate:.0f}",
                f"{sample.p50_ms:.2f}",
                f"{sample.p99_ms:.2f}",
                f"{sample.peak_mb:.0f}",
            )
    return table


if __name__ == "__main__":
    sys.exit(main())

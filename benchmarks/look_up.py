"""`python -m benchmarks.look_up`: counts the instructions of finding a route among more and more.

Each size runs in a process of its own under callgrind, which finds routes spread over the whole
API, and paths that no route serves. The loop around them is counted too.
"""

import argparse
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import work
from benchmarks.building import MissingError, compiled
from benchmarks.sample import HERE
from benchmarks.schema_load import SIZES, synthetic
from gateway.config.model import Config
from gateway.schema.catalog import build_schema
from gateway.status import StatusError
from gateway.transcoding.transcoder import build_transcoder

_COUNT = 2_000
_KINDS = ("found", "nowhere")


def serve(size: int) -> None:
    """Finds `_COUNT` routes of a kind as often as each line of the input says."""
    find = build_transcoder(Config(), build_schema(synthetic(size))).match
    chance = random.Random(7)
    paths = {kind: [_path(kind, chance.randrange(size)) for _ in range(_COUNT)] for kind in _KINDS}

    def find_all(kind: str) -> None:
        for path in paths[kind]:
            _try(find, path)

    work.serve({kind: partial(find_all, kind) for kind in _KINDS})


def _path(kind: str, number: int) -> str:
    part = f"part{number}" if kind == "found" else f"nothing{number}"
    return f"/v1/kind{number % 100}/things/1/{part}/x"


def _try(find: Callable[[str, str], object], path: str) -> None:
    with suppress(StatusError):
        find("GET", path)


def count(size: int, code: Path) -> list[int]:
    """The instructions of a look-up among `size` routes, for each kind of path.

    Raises:
        MissingError: as `work.count`.
    """
    arguments = ["-m", "benchmarks.look_up", "--serve", str(size)]
    found = work.count(_KINDS, arguments, [str(code), str(HERE.parent)])
    return [one // _COUNT for one in found]


def main() -> int:
    """Counts, and prints a table."""
    parser = argparse.ArgumentParser(description="Count the instructions of finding a route.")
    parser.add_argument("--code", type=Path, metavar="FOLDER", help="a gateway that is compiled")
    parser.add_argument("--serve", type=int, metavar="ROUTES", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return 0
    table = Table("routes", *_KINDS, title="Instructions of a look-up", box=None)
    try:
        code = options.code.resolve() if options.code else compiled()
        for size in SIZES:
            table.add_row(f"{size:,}", *(f"{one:,}" for one in count(size, code)))
    except MissingError as missing:
        print(f"not measured: {missing}", file=sys.stderr)
        return 1
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())

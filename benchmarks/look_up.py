"""`python -m benchmarks.look_up`: counts the instructions of finding a route among more and more.

Each size runs in a process of its own under callgrind, which finds routes spread over the whole
API, and paths that no route serves. As in `instructions.py`, N look-ups and then 2N are counted,
and the difference by N is the cost of one; what the loop around them costs is in it.
"""

import argparse
import os
import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.building import OUT, MissingError, compiled
from benchmarks.instructions import control, total
from benchmarks.sample import HERE
from benchmarks.schema_load import SIZES, synthetic
from gateway.config.model import Config
from gateway.schema.catalog import build_schema
from gateway.status import StatusError
from gateway.transcoding.transcoder import build_transcoder

_COUNT = 2_000
_KINDS = ("found", "nowhere")
_READY = "ready"


def serve(size: int) -> None:
    """Finds as many routes as each line of the input says; prints a line when it has."""
    find = build_transcoder(Config(), build_schema(synthetic(size))).match
    chance = random.Random(7)
    paths = {kind: [_path(kind, chance.randrange(size)) for _ in range(_COUNT)] for kind in _KINDS}
    print(_READY, flush=True)
    for line in sys.stdin:
        kind, times = line.split()
        for _ in range(int(times)):
            for path in paths[kind]:
                _try(find, path)
        print(_READY, flush=True)


def _path(kind: str, number: int) -> str:
    part = f"part{number}" if kind == "found" else f"nothing{number}"
    return f"/v1/kind{number % 100}/things/1/{part}/x"


def _try(find: Callable[[str, str], object], path: str) -> None:
    with suppress(StatusError):
        find("GET", path)


def count(size: int, code: Path) -> list[int]:
    """The instructions of a look-up among `size` routes, for each kind of path.

    Raises:
        MissingError: callgrind cannot be controlled.
    """
    OUT.mkdir(exist_ok=True)
    counts = OUT / f"callgrind-routes-{size}"
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no"]
    command += [f"--callgrind-out-file={counts}"]
    command += [sys.executable, "-m", "benchmarks.look_up", "--serve", str(size)]
    path = f"{code}{os.pathsep}{HERE.parent}"
    environment = os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": "1", "PYTHONSAFEPATH": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=environment, text=True,
    ) as process:  # fmt: skip
        try:
            _ask(process, "")
            control(process.pid, "instrumentation", "on")
            found: list[int] = []
            for kind in _KINDS:
                _ask(process, f"{kind} 1")  # callgrind translates the code anew
                control(process.pid, "zero")
                for times in (1, 2):
                    _ask(process, f"{kind} {times}")
                    control(process.pid, "dump")
                number = 2 * len(found)
                files = [counts.with_name(f"{counts.name}.{number + one}") for one in (1, 2)]
                once, twice = map(total, files)
                found.append((twice - once) // _COUNT)
            return found
        finally:
            process.kill()


def _ask(process: "subprocess.Popen[str]", line: str) -> None:
    if process.stdin is None or process.stdout is None:
        raise MissingError("the look-ups have no input or output")
    if line:
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
    if process.stdout.readline().strip() != _READY:
        raise MissingError("the look-ups ended early")


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

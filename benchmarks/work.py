"""Counts the instructions of kinds of work, done in a process of its own under callgrind.

As in `instructions.py`, N pieces of work and then 2N are counted, and the difference by N is one.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from benchmarks.building import OUT, MissingError
from benchmarks.instructions import control, total

_READY = "ready"


def serve(works: Mapping[str, Callable[[], None]]) -> None:
    """Does a kind of work as often as each line of the input says; prints a line when it has."""
    print(_READY, flush=True)
    for line in sys.stdin:
        kind, times = line.split()
        for _ in range(int(times)):
            works[kind]()
        print(_READY, flush=True)


def count(kinds: Sequence[str], arguments: Sequence[str], paths: Sequence[str]) -> list[int]:
    """Counts the instructions of each kind of work of a process that calls `serve`.

    Python gets `arguments`, and `paths` as PYTHONPATH.

    Raises:
        MissingError: valgrind is missing, or cannot be controlled, or the process ends early.
    """
    if shutil.which("valgrind") is None:
        raise MissingError("instructions are counted by callgrind: apt-get install valgrind")
    OUT.mkdir(exist_ok=True)
    counts = OUT / f"callgrind-{'-'.join(arguments[1:])}"
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no"]
    command += [f"--callgrind-out-file={counts}", sys.executable, *arguments]
    path = os.pathsep.join(paths)
    environment = os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": "1", "PYTHONSAFEPATH": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=environment, text=True,
    ) as process:  # fmt: skip
        try:
            _ask(process, "")
            control(process.pid, "instrumentation", "on")
            found: list[int] = []
            for kind in kinds:
                _ask(process, f"{kind} 1")  # callgrind translates the code anew
                control(process.pid, "zero")
                for times in (1, 2):
                    _ask(process, f"{kind} {times}")
                    control(process.pid, "dump")
                number = 2 * len(found)
                files = [counts.with_name(f"{counts.name}.{number + one}") for one in (1, 2)]
                once, twice = map(total, files)
                found.append(twice - once)
            return found
        finally:
            process.kill()


def _ask(process: "subprocess.Popen[str]", line: str) -> None:
    if process.stdin is None or process.stdout is None:
        raise MissingError("the work has no input or output")
    if line:
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
    if process.stdout.readline().strip() != _READY:
        raise MissingError("the work ended early")

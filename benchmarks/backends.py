"""The back ends of single benchmarks, each in its own process."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def started(module: str) -> Iterator[str]:
    """Runs `python -m MODULE backend`; yields the address that it prints, and ends it."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, "backend"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)

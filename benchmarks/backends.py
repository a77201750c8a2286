"""Back ends that a benchmark brings along, each in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def started(module: str) -> Iterator[str]:
    """What `python -m MODULE backend` serves; yields the address that it prints, and ends it."""
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

"""Hostile nesting, in a process of its own: what recurses without end would end pytest."""

import subprocess
import sys


def test_no_reader_recurses_without_end() -> None:
    child = subprocess.run(
        [sys.executable, "-m", "tests.support.deep"],
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (child.returncode, child.stdout) == (0, "all refused\n"), child.stderr[-2000:]

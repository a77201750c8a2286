"""protobuf's own conformance suite: everything of it that reads or writes JSON."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.protobuf_conformance import testee
from tests.interop.protobuf_conformance.runner import runner_command, suite_files

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_case_of_the_suite_fails(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    runner = runner_command(request.config.cache.mkdir("interop"))
    files = tmp_path / "files.pb"
    files.write_bytes(suite_files().SerializeToString())
    # The runner starts a program without arguments.
    program = tmp_path / "testee.sh"
    command = shlex.join([sys.executable, "-m", testee.__name__, str(files)])
    program.write_text(f"#!/bin/sh\nexec {command}\n")
    program.chmod(0o755)
    # The gateway that is tested here comes first: it may be machine code in another folder.
    paths = [*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)]
    options = ["--enforce_recommended", "--maximum_edition", "2023", "--output_dir", str(tmp_path)]
    done = subprocess.run(
        [*runner, *options, str(program)],
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-10_000:]
    passed = [int(count) for count in re.findall(r"PASSED: (\d+) successes", done.stderr)]
    assert max(passed) > 2_500, "most cases were skipped"

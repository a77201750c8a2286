"""A test that lacks something is skipped with a reason, and fails where nothing may be lacking."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import REQUIRE_ALL

ROOT = Path(__file__).parents[2]
PROBE = """
import pytest

@pytest.fixture
def server():
    pytest.skip("needs a server: apt-get install a-server")

def test_with_a_server(server):
    raise AssertionError

def test_that_skips_itself():
    pytest.skip("needs a program")

@pytest.mark.xfail(reason="a rule that is not kept yet")
def test_that_is_known_to_fail():
    raise AssertionError
"""


def outcome(folder: Path, **environment: str) -> str:
    """The last line of a run of `PROBE`, and the reasons before it."""
    # A conftest of its own has the hook and nothing else of this project's.
    (folder / "conftest.py").write_text("from tests.conftest import pytest_runtest_makereport\n")
    (folder / "test_probe.py").write_text(PROBE)
    clean = {name: value for name, value in os.environ.items() if name != REQUIRE_ALL}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rsx", "-p", "no:cacheprovider", str(folder)],
        check=False,
        cwd=folder,
        env=clean | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout


def test_what_lacks_a_server_is_skipped_with_its_reason(tmp_path: Path) -> None:
    said = outcome(tmp_path)
    assert "2 skipped, 1 xfailed" in said
    assert "needs a server: apt-get install a-server" in said


def test_what_lacks_a_server_fails_where_all_are_required(tmp_path: Path) -> None:
    said = outcome(tmp_path, **{REQUIRE_ALL: "1"})
    assert "1 failed, 1 xfailed, 1 error" in said
    assert f"may not be skipped here ({REQUIRE_ALL})" in said
    assert "needs a server: apt-get install a-server" in said


def test_nothing_is_skipped_where_the_hook_does_not_see_it() -> None:
    """A module that skips itself is no test, so no report of a test says so."""
    for file in (ROOT / "tests").rglob("*.py"):
        text = "" if file == Path(__file__) else file.read_text()
        assert "importorskip" not in text, file
        assert "allow_module_level" not in text, file

"""`gateway new` writes a project whose two commands work."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import run


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_the_tests_of_a_new_project_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my-api"
    made = run("new", str(folder))
    assert made.returncode == 0, made.stderr
    assert made.stdout.endswith(f"Next: make -C {folder} run\n")
    assert (folder / ".gitignore").is_file()
    assert not [
        path for path in folder.rglob("*") if path.is_file() and "@package@" in path.read_text()
    ]
    tested = subprocess.run(
        ["make", "-C", str(folder), "test", f"PYTHON={sys.executable}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=140,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "2 passed" in tested.stdout
    # Without the packages each command says what to do, also when all is generated.
    command = ["make", "-C", str(folder), "run", f"PYTHON={sys.executable} -I -S"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert refused.returncode != 0
    assert "Activate the virtual environment of the gateway" in refused.stdout
    assert "No module named" not in refused.stderr
    monkeypatch.chdir(folder)
    assert "/v1/items" in run("openapi").stdout
    assert "3 routes of 3 methods: 0 errors" in run("check").stdout


@pytest.mark.parametrize("name", ["My-Api", "9lives", "class", "a b", "-x-", "ä"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    refused = run("new", "--", str(tmp_path / name))
    assert refused.returncode == 1
    assert "such as my-api" in refused.stderr


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("kept")
    refused = run("new", str(tmp_path / "mine"))
    assert refused.returncode == 1
    assert "is not empty" in refused.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["file"]

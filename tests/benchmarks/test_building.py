"""The programs under test that a machine cannot build."""

from pathlib import Path

import pytest

from benchmarks.building import MissingError, armeria


@pytest.mark.parametrize("there", ["javac", "mvn", ""])
def test_armeria_is_left_out_where_a_tool_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: str
) -> None:
    if there:
        (tmp_path / there).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = {"javac": "mvn", "mvn": "javac", "": "javac and mvn"}[there]
    with pytest.raises(MissingError, match=f"^it is a Java program without {missing}: install JDK"):
        armeria()

"""What the demo prints: few lines at first, more on demand, and all of them work as they stand."""

import re
import subprocess
import sys

import pytest

from services import demo


def test_the_first_lines_are_few_and_are_curl() -> None:
    lines = (
        demo._FIRST.format(url="http://127.0.0.1:8080", docs="The API: URL/docs")
        .strip()
        .splitlines()
    )
    assert lines[1] == "The API: URL/docs"
    assert len(lines) <= 10
    commands = [line for line in lines if line.startswith("  ")]
    assert commands
    assert all(line.startswith("  curl ") for line in commands)


def test_more_is_printed_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["--more"]) == 0
    text = capsys.readouterr().out
    assert "http://127.0.0.1:8080/v1/shelves/fiction/books" in text
    assert "ws://127.0.0.1:8080/" in text


def test_more_is_for_the_address_of_the_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_LISTEN", "127.0.0.1:9191")
    assert demo.main(["--more"]) == 0
    assert "curl http://127.0.0.1:9191/v1/" in capsys.readouterr().out


def test_each_line_is_a_shell_command_with_every_variable_set(
    capsys: pytest.CaptureFixture[str],
) -> None:
    demo.main(["--more"])
    script = "\n".join(re.findall(r"^  (.*)$", capsys.readouterr().out, re.MULTILINE))
    checked = subprocess.run(
        ["bash", "-n"], input=script, text=True, capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    used = set(re.findall(r"\$([A-Z]+)", script))
    assert used == {"ANSWER", "TOKEN", "REFRESH"}
    for name in used:
        assert script.index(f"{name}=$(") < script.index(f"${name}")


def test_an_unknown_option_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.demo", "--less"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2

"""The command line of the benchmark."""

import pytest

from benchmarks import __main__ as command
from benchmarks.scenarios import SCENARIOS, SMALL_GET


def chosen(monkeypatch: pytest.MonkeyPatch, *flags: str) -> list[str]:
    monkeypatch.setattr("sys.argv", ["benchmarks", *flags])
    return [scenario.name for scenario in command.scenarios_of(command.read_options())]


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        pytest.param((), [scenario.name for scenario in SCENARIOS], id="all"),
        pytest.param(("--quick",), [SMALL_GET.name], id="quick"),
        pytest.param(("--only", "list of"),
                     ["list of 100", "list of 100, gzip", "list of 10,000"],
                     id="a part"),
        pytest.param(("--only", "401", "--only", "1 kB"),
                     ["POST 1 kB", "POST 1 kB, repeated", "401 refused"],
                     id="several parts, in the usual order"),
    ],
)  # fmt: skip
def test_what_is_measured_can_be_chosen(
    monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], names: list[str]
) -> None:
    assert chosen(monkeypatch, *flags) == names


@pytest.mark.parametrize("part", [("--quick",), ("--only", "404"), ("--pure",)])
def test_a_part_is_not_published_as_the_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], part: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit):
        chosen(monkeypatch, "--publish", *part)
    assert "--publish needs the whole run, not a part of it" in capsys.readouterr().err


def test_a_name_that_no_request_has_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        chosen(monkeypatch, "--only", "no such")
    assert (
        "no scenario has no such in its name; expected one of: small GET, "
        in capsys.readouterr().err
    )

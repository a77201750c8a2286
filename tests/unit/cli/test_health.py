"""The arguments of `gateway health` that need no parser of the command line."""

import subprocess
import sys

import pytest

from gateway.cli.health import is_plain_probe
from tests.support.command_line import run


@pytest.mark.parametrize(
    ("arguments", "plain"),
    [
        (["health"], True),
        (["health", "--live"], True),
        (["health", "--started", "--admin", "unix:/x"], True),
        (["health", "--config", "a.yaml", "--admin", "127.0.0.1:1", "--live"], True),
        (["health", "--admin"], False),
        (["health", "--admin", "--live"], False),
        (["health", "--admin=unix:/x"], False),
        (["health", "--help"], False),
        (["health", "unix:/x"], False),
        (["status"], False),
        ([], False),
    ],
)
def test_other_forms_are_left_to_the_parser(arguments: list[str], plain: bool) -> None:
    assert is_plain_probe(arguments) is plain


@pytest.mark.parametrize("form", [["--admin", "127.0.0.1:1"], ["--admin=127.0.0.1:1"]])
def test_both_ways_say_the_same(form: list[str]) -> None:
    done = run("health", *form)

    assert done.returncode == 1
    assert done.stderr == "gateway: nothing answers at 127.0.0.1:1: is the gateway running?\n"


def test_what_is_wrong_is_explained_by_the_parser() -> None:
    done = run("health", "--alive")

    assert done.returncode == 2
    assert "No such option: --alive" in done.stderr


def test_a_probe_imports_neither_the_parser_nor_the_model() -> None:
    code = (
        "import sys; from gateway.cli.main import main\n"
        "sys.argv = ['gateway', 'health', '--admin', '127.0.0.1:1']\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code)\n"
        "heavy = {'typer', 'rich', 'pydantic', 'google.protobuf', 'gateway.status', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30
    )
    assert done.stdout == "1\n[]\n"

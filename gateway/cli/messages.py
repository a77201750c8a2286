"""Messages to the operator, on standard error: standard output is for the results of commands."""

from typing import NoReturn

import typer

from gateway.cli.tables import visible


def say(text: str) -> None:
    """Prints a message, with the program's name before each line."""
    typer.echo("\n".join(f"gateway: {visible(line)}" for line in text.split("\n")), err=True)


def fail(text: str) -> NoReturn:
    """Prints a message and ends the program with exit code 1."""
    say(text)
    raise SystemExit(1)

"""Parses durations, and formats times, names and tables."""

import re
import sys
import time
from collections.abc import Iterable, Sequence

import typer

from gateway.cli.messages import visible
from gateway.stores.base import instant

_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhd]?)")


def duration_s(text: str) -> float:
    """Seconds in a duration such as 90, 30s, 15m, 1h or 90d."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise typer.BadParameter("expected a duration such as 30s, 15m, 1h or 90d")
    return float(found[1]) * _UNITS_S[found[2]]


def lifetime_s(text: str) -> float:
    """Seconds in a duration above 0."""
    seconds = duration_s(text)
    if seconds <= 0:
        raise typer.BadParameter("expected a duration above 0")
    return seconds


def expiry(expires_at_s: float | None) -> str:
    """The expiry of a record, for people."""
    if expires_at_s is None:
        return "never"
    expired = " (expired)" if expires_at_s <= time.time() else ""
    return f"{instant(expires_at_s)}{expired}"


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints a table, as wide as the terminal."""
    from rich.console import Console  # noqa: PLC0415 - only tables need it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*columns, box=None)
    for row in rows:
        # As plain text: a name may look like markup.
        table.add_row(*(Text(visible(cell), overflow="fold") for cell in row))
    Console(width=None if sys.stdout.isatty() else 200).print(table)

"""Formats times and tables."""

import sys
import time
from collections.abc import Iterable, Sequence

from gateway.cli.messages import visible
from gateway.stores.base import instant


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

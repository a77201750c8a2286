"""Shared parts of the commands that speak to the admin listener: their flags, and one request."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.admin_client import admin_client

ConfigFlag = Annotated[
    Path | None, typer.Option(help="Settings as YAML; gateway.yaml if that exists.")
]
AdminFlag = Annotated[
    str | None, typer.Option(help="The admin listener; admin.listen of the settings by default.")
]


Ask = Callable[..., dict[str, Any]]
"""Asks an admin listener; see `AdminClient.ask`."""


def asking(config: Path | None, admin: str | None) -> Ask:
    """Returns the function that asks the admin listener which the flags name.

    The settings are read only here.
    """
    return admin_client(config, admin).ask


def ask_or_fail(
    config: Path | None, admin: str | None, path: str, *, method: str = "GET", body: str = ""
) -> dict[str, Any]:
    """Asks the admin listener that the flags name, once; see `AdminClient.ask`."""
    return asking(config, admin)(path, method=method, body=body)

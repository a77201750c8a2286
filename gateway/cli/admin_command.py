"""Shared parts of the commands that speak to the admin listener: their flags, and one request."""

from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from gateway.cli.admin_client import AdminError, admin_client
from gateway.cli.messages import fail

ConfigFlag = Annotated[
    Path | None, typer.Option(help="Settings as YAML; gateway.yaml if that exists.")
]
AdminFlag = Annotated[
    str | None, typer.Option(help="The admin listener; admin.listen of the settings by default.")
]


class Ask(Protocol):
    """Asks an admin listener; ends the program with a message if it does not answer, or refuses."""

    def __call__(self, path: str, *, method: str = "GET", body: str = "") -> dict[str, Any]:
        """Returns the answer; see `AdminClient.ask`."""
        ...


def asking(config: Path | None, admin: str | None) -> Ask:
    """Returns the function that asks the admin listener which the flags name.

    The settings are read only here.
    """
    client = admin_client(config, admin)

    def ask(path: str, *, method: str = "GET", body: str = "") -> dict[str, Any]:
        try:
            return client.ask(path, method=method, body=body)
        except AdminError as error:
            fail(str(error))

    return ask


def ask_or_fail(
    config: Path | None, admin: str | None, path: str, *, method: str = "GET", body: str = ""
) -> dict[str, Any]:
    """Asks the admin listener that the flags name, once; see `Ask`."""
    return asking(config, admin)(path, method=method, body=body)

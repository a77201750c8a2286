"""Shared parts of the commands that speak to the admin listener: their flags, and one request."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.admin_client import AdminError, admin_place, ask_json
from gateway.cli.messages import fail

ConfigFlag = Annotated[
    Path | None, typer.Option(help="Settings as YAML; gateway.yaml if that exists.")
]
AdminFlag = Annotated[
    str | None, typer.Option(help="The admin listener; admin.listen of the settings by default.")
]


def ask_or_fail(
    config: Path | None, admin: str | None, path: str, *, method: str = "GET", body: str = ""
) -> dict[str, Any]:
    """Asks the admin listener that the flags name; see `ask_json`.

    Ends the program with a message if nothing answers, or the answer is a refusal.
    """
    listen, token = admin_place(config, admin)
    try:
        return ask_json(listen, path, token=token, method=method, body=body)
    except AdminError as error:
        fail(str(error))

"""`gateway openapi`: prints the OpenAPI document of what a configuration would serve."""

from enum import StrEnum
from typing import Annotated

import typer

from gateway.cli.flags import Config, configured
from gateway.config.openapi import OpenApiVersion


class Format(StrEnum):
    """The form of the document."""

    JSON = "json"
    YAML = "yaml"


@configured
def openapi_command(
    settings: Config,
    *,
    form: Annotated[Format, typer.Option("--format", help="The form: json or yaml.")] = Format.JSON,
    version: Annotated[
        OpenApiVersion | None,
        typer.Option(help="The version of OpenAPI; openapi.version if unset."),
    ] = None,
) -> None:
    """Print the OpenAPI document of the API, without serving it."""
    from gateway.cli.documents import document_of  # noqa: PLC0415 - see cli/inspect.py
    from gateway.openapi.text import to_json, to_yaml  # noqa: PLC0415 - the same

    write = to_json if form is Format.JSON else to_yaml
    typer.echo(write(document_of(settings, version or "")), nl=False)

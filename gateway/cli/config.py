"""`gateway config`: prints the settings in force, or their JSON Schema."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.messages import say
from gateway.config.descriptions import describe_settings
from gateway.config.loader import Config, load_config


def config_command(
    config: Annotated[Path | None, typer.Option(help="Settings as YAML.")] = None,
    *,
    schema: Annotated[bool, typer.Option("--schema", help="Print their JSON Schema.")] = False,
) -> None:
    """Print the settings in force, or the JSON Schema of all settings."""
    if schema:
        describe_settings()
        typer.echo(json.dumps(Config.model_json_schema(), indent=2))
        return
    text = load_config(config, os.environ, {}, say).model_dump_json(indent=2, by_alias=True)
    # JSON may contain characters that move a terminal's cursor; they are escaped.
    shown = (c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
    typer.echo("".join(shown))

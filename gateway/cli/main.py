"""The `gateway` command: puts its subcommands together."""

import sys
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import cache, key, protos, token
from gateway.cli.config import config_command
from gateway.cli.diff import diff_command
from gateway.cli.explain import explain_command
from gateway.cli.inspect import check_command, routes_command, upstreams_command
from gateway.cli.messages import fail
from gateway.cli.new import new_command
from gateway.cli.openapi import openapi_command
from gateway.cli.operate import (
    drain_command,
    health_command,
    reload_command,
    status_command,
)
from gateway.cli.serve import serve_command
from gateway.status import StartUpError
from gateway.transcoding.json.native import codec_name

app = typer.Typer(
    help="A gRPC-to-REST transcoding gateway: google.api.http annotations in, a REST API out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,  # they hold secrets
)
app.command("serve")(serve_command)
app.command("routes")(routes_command)
app.command("check")(check_command)
app.command("upstreams")(upstreams_command)
app.command("explain")(explain_command)
app.command("config")(config_command)
app.command("health")(health_command)
app.command("status")(status_command)
app.command("reload")(reload_command)
app.command("drain")(drain_command)
app.command("openapi")(openapi_command)
app.command("diff")(diff_command)
app.command("protos")(protos.show)
app.command("new")(new_command)
app.add_typer(token.app, name="token")
app.add_typer(key.app, name="key")
app.add_typer(cache.app, name="cache")


def main() -> None:
    """Runs the command line; an error at start-up is printed in one line, with exit code 1."""
    if not {"", str(Path.cwd())} & set(sys.path):
        # --module names packages of the working directory, which is not in the path of a console
        # script. It comes last: its files must not replace a library.
        sys.path.append(str(Path.cwd()))
    try:
        app(prog_name="gateway")
    except StartUpError as error:
        fail(str(error))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(_version())


def _show_version(asked: bool) -> None:  # noqa: FBT001 - Typer's shape
    if asked:
        typer.echo(_version())
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Accepts the flags before a subcommand."""


def _version() -> str:
    module = find_spec("gateway.call")  # compiled if any module is
    is_python = module is None or str(module.origin).endswith(".py")
    how = "" if is_python else ", as machine code"
    return f"{installed_version('grpc-rest-gateway')}{how}; JSON codec: {codec_name()}"

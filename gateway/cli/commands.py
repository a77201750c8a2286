"""The subcommands of `gateway`, and the flags before them."""

from importlib.util import find_spec
from typing import Annotated, ClassVar

import typer

from gateway.cli.lazy_commands import LazyGroup


class _Commands(LazyGroup):
    """The subcommands, by the places of their functions."""

    places: ClassVar = {
        "serve": "gateway.cli.serve:serve_command",
        "routes": "gateway.cli.inspect:routes_command",
        "check": "gateway.cli.inspect:check_command",
        "upstreams": "gateway.cli.inspect:upstreams_command",
        "explain": "gateway.cli.explain:explain_command",
        "config": "gateway.cli.config:config_command",
        "health": "gateway.cli.operate:health_command",
        "status": "gateway.cli.operate:status_command",
        "top": "gateway.cli.top.command:top_command",
        "nodes": "gateway.cli.nodes:nodes_command",
        "tail": "gateway.cli.tail:tail_command",
        "reload": "gateway.cli.operate:reload_command",
        "drain": "gateway.cli.operate:drain_command",
        "doctor": "gateway.cli.doctor.command:doctor_command",
        "support-bundle": "gateway.cli.support_bundle:bundle_command",
        "openapi": "gateway.cli.openapi:openapi_command",
        "diff": "gateway.cli.diff:diff_command",
        "protos": "gateway.cli.protos:show",
        "new": "gateway.cli.new:new_command",
        "token": "gateway.cli.token:app",
        "key": "gateway.cli.key:app",
        "cache": "gateway.cli.cache:app",
    }


app = typer.Typer(
    cls=_Commands,
    help="A gRPC-to-REST transcoding gateway: google.api.http annotations in, a REST API out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,  # they hold secrets
)


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
    from importlib.metadata import version as installed_version  # noqa: PLC0415

    from gateway.transcoding.json.native import codec_name  # noqa: PLC0415 - see `LazyGroup`

    module = find_spec("gateway.call")  # compiled if any module is
    is_python = module is None or str(module.origin).endswith(".py")
    how = "" if is_python else ", as machine code"
    return f"{installed_version('grpc-rest-gateway')}{how}; JSON codec: {codec_name()}"

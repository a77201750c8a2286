"""`gateway cache`: drops stored replies of a running gateway."""

import json
from typing import Annotated

import typer

from gateway.cli.admin_command import AdminFlag, ConfigFlag, ask_or_fail
from gateway.cli.messages import fail

app = typer.Typer(help="Stored replies.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def commands() -> None:
    """Stored replies."""


@app.command()
def purge(
    config: ConfigFlag = None,
    admin: AdminFlag = None,
    *,
    method: Annotated[str | None, typer.Option(help="Those of a method, by full name.")] = None,
    path: Annotated[str | None, typer.Option(help="Those of a path, for all queries.")] = None,
    tag: Annotated[str | None, typer.Option(help="Those with a tag.")] = None,
    principal: Annotated[str | None, typer.Option(help="Those of a principal.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    soft: Annotated[
        bool, typer.Option("--soft", help="Make them stale, as if their time was over.")
    ] = False,
) -> None:
    """Drop stored replies in all workers: exactly one of the options says which."""
    given = {"method": method, "path": path, "tag": tag, "principal": principal}
    wanted: dict[str, object] = {name: one for name, one in given.items() if one is not None}
    if everything:
        wanted["all"] = True
    if len(wanted) != 1:
        fail("expected exactly one of --method, --path, --tag, --principal and --all")
    body = json.dumps(wanted | {"soft": soft})
    done = ask_or_fail(config, admin, "/cache/purge", method="POST", body=body)
    replies = done["replies"]
    typer.echo(
        f"{replies} {'reply' if replies == 1 else 'replies'} {'made stale' if soft else 'dropped'}"
    )

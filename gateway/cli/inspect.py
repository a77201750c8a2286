"""`gateway routes`, `check` and `upstreams`: show what a configuration would serve, and from where.

The commands import the code that builds a gateway only when they run.
"""

import json
from dataclasses import asdict
from shutil import get_terminal_size
from typing import Annotated

import typer

from gateway.cli.flags import Config, configured
from gateway.cli.messages import say, visible
from gateway.cli.route_lines import route_lines
from gateway.cli.tables import print_table

_ANY_WIDTH = 1000
"""The columns if the output is no terminal: other programs need lines that are not folded."""


@configured
def routes_command(
    settings: Config,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """List every route: HTTP method, template, and the RPC it calls."""
    from gateway.cli.checks import route_rows  # noqa: PLC0415 - see the module's docstring

    rows = route_rows(settings)
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
        return
    for line in route_lines(rows, get_terminal_size((_ANY_WIDTH, 0)).columns):
        typer.echo(line)


@configured
def upstreams_command(
    settings: Config,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Connect to every endpoint of each upstream and list them; exit 1 if one is not ready."""
    from gateway.cli.checks import endpoints  # noqa: PLC0415 - see the module's docstring

    rows = []
    for name, found in endpoints(settings).items():
        rows += [{"upstream": name} | asdict(one) for one in found]
        if not found:
            say(f"note: {name}: no endpoints are known here, or its channel is grpcio")
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
    else:
        # Most upstreams have neither zones nor priorities.
        rare = [key for key in ("priority", "zone") if any(row[key] for row in rows)]
        shown = ("upstream", "address", "state", "weight", *rare, "failure")
        print_table(shown, [[str(row[key]) for key in shown] for row in rows])
    if any(row["state"] != "ready" for row in rows):
        raise typer.Exit(1)


@configured
def check_command(
    settings: Config,
    *,
    online: Annotated[
        bool, typer.Option("--online", help="Ask the upstreams (--reflect) and Redis, too.")
    ] = False,
) -> None:
    """Check all that `serve` needs: rules, policies, files, drivers; exit 1 if it cannot start."""
    from gateway.cli.checks import check  # noqa: PLC0415 - see the module's docstring

    found = check(settings, online=online)
    for diagnostic in found.diagnostics:
        typer.echo(visible(str(diagnostic)))
    for missing in found.without_policy:
        typer.echo(visible(f"error: {missing}"))
    for fault in found.faults:
        say(fault)
    for line in found.notes:
        say(f"note: {line}")
    wrong = sum(diagnostic.is_error for diagnostic in found.diagnostics)
    errors = wrong + len(found.without_policy) + len(found.faults)
    warnings = len(found.diagnostics) - wrong
    typer.echo(f"{found.extent}: {errors} errors, {warnings} warnings")
    if errors:
        raise typer.Exit(1)

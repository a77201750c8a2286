"""`gateway health`, `status`, `reload`, `drain`: speak to the admin listener of a gateway."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.admin_client import AdminError, admin_place, ask_json
from gateway.cli.health import check_health
from gateway.cli.messages import fail, say, visible

ConfigFlag = Annotated[
    Path | None, typer.Option(help="Settings as YAML; gateway.yaml if that exists.")
]
AdminFlag = Annotated[
    str | None, typer.Option(help="The admin listener; admin.listen of the settings by default.")
]


def health_command(
    config: ConfigFlag = None,
    admin: AdminFlag = None,
    *,
    live: Annotated[bool, typer.Option("--live", help="Only that it need not restart.")] = False,
    started: Annotated[bool, typer.Option("--started", help="Only that it has started.")] = False,
) -> None:
    """Check that the gateway is ready: exit code 0, or 1 with the reason."""
    check_health("live" if live else "started" if started else "ready", config, admin)


def status_command(
    config: ConfigFlag = None,
    admin: AdminFlag = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the state of the running gateway and of its workers."""
    listen, token = admin_place(config, admin)
    try:
        status = ask_json(listen, "/status", token=token)
        workers = ask_json(listen, "/workers", token=token)["workers"]
    except AdminError as error:
        fail(str(error))
    if as_json:
        typer.echo(json.dumps(status | {"workers": workers}, indent=2))
        return
    ready = "ready" if status["ready"] else f"not ready: {status['reason']}"
    typer.echo(f"{ready}; version {status['version']}, pid {status['pid']}")
    typer.echo(f"serves {status['routes']} routes on {status['listen'] or 'no port yet'}")
    typer.echo(
        f"{status['connections']} connections, {status['requests_in_progress']} requests in "
        f"progress; log level {status['log_level']}"
    )
    for worker in workers:
        typer.echo(_line(worker))


def drain_command(
    config: ConfigFlag = None,
    admin: AdminFlag = None,
    *,
    undo: Annotated[bool, typer.Option("--undo", help="Make it ready again.")] = False,
) -> None:
    """Make the gateway not ready, so that load balancers leave it; it goes on serving."""
    listen, token = admin_place(config, admin)
    try:
        done = ask_json(listen, "/undrain" if undo else "/drain", token=token, method="POST")
    except AdminError as error:
        fail(str(error))
    if undo and done["draining"]:
        fail("the gateway ends: that cannot be undone")
    typer.echo("ready again" if undo else "not ready any more; stop it with SIGTERM")


def reload_command(
    config: ConfigFlag = None,
    admin: AdminFlag = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
) -> None:
    """Make the gateway read its settings again; it serves on, also if they are refused."""
    listen, token = admin_place(config, admin)
    body = json.dumps({"dry_run": dry_run})
    try:
        done = ask_json(listen, "/reload", token=token, method="POST", body=body)
    except AdminError as error:
        fail(str(error))
    for warning in done["warnings"]:
        say(visible(warning))
    for change in done["changes"]:
        typer.echo(visible(change))
    changes = sum(not line.startswith("!") for line in done["changes"])
    told = f"{changes} of the routes differ" if changes else "no route differs"
    breaking = sum(line.startswith("! breaking ") for line in done["changes"])
    if breaking:
        told += f", {breaking} changes break clients"
    generation = done["generation"]
    typer.echo(
        f"the settings can be used: {told}"
        if dry_run
        else f"reloaded, generation {generation}: {done['routes']} routes, {told}"
    )


def _line(worker: dict[str, Any]) -> str:
    connections, requests = worker["connections"], worker["requests_in_progress"]
    counts = (
        "no counts" if connections is None else f"{connections} connections, {requests} requests"
    )
    return (
        f"worker {worker['number']}: {worker['state']}, pid {worker['pid']}, "
        f"{worker['uptime_s']:g} s, {counts}"
    )

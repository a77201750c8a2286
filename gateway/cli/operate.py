"""`gateway health`, `status`, `reload`, `drain`: speak to the admin listener of a gateway."""

import json
from typing import Annotated, Any

import typer

from gateway.cli.admin_command import AdminFlag, ConfigFlag, ask_or_fail, asking
from gateway.cli.health import check_health
from gateway.cli.messages import fail, say, visible


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
    ask = asking(config, admin)
    status, workers = ask("/status"), ask("/workers")["workers"]
    if as_json:
        typer.echo(json.dumps(status | {"workers": workers}, indent=2))
        return
    ready = "ready" if status["ready"] else f"not ready: {status['reason']}"
    typer.echo(f"{ready}; version {status['version']}, pid {status['pid']}")
    typer.echo(
        f"serves {status['routes']} routes on {status['listen'] or 'no port yet'}, "
        f"generation {status['generation']} of the settings"
    )
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
    done = ask_or_fail(config, admin, "/undrain" if undo else "/drain", method="POST")
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
    body = json.dumps({"dry_run": dry_run})
    done = ask_or_fail(config, admin, "/reload", method="POST", body=body)
    for warning in done["warnings"]:
        say(visible(warning))
    for change in (*done["settings"], *done["changes"]):
        typer.echo(visible(change))
    changes = sum(not line.startswith("!") for line in done["changes"])
    summary = f"{changes} of the routes differ" if changes else "no route differs"
    breaking = sum(line.startswith("! breaking ") for line in done["changes"])
    if breaking:
        summary += f", {breaking} changes break clients"
    generation = done["generation"]
    typer.echo(
        f"the settings can be used: {summary}"
        if dry_run
        else f"reloaded, generation {generation}: {done['routes']} routes, {summary}"
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

"""`gateway health`, `status`, `reload`, `drain`: speak to the admin listener of a gateway."""

import json
import os
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.cli.admin_client import AdminError, ask, ask_json, secured
from gateway.cli.messages import fail, say
from gateway.cli.tables import visible
from gateway.config.loader import load_config

ConfigFlag = Annotated[
    Path | None, typer.Option(help="Settings as YAML; gateway.yaml if that exists.")
]
AdminFlag = Annotated[
    str | None, typer.Option(help="The admin listener; admin.listen of the settings by default.")
]
_PROBES: Final = {"ready": "/readyz", "live": "/livez", "started": "/startupz"}


def health_command(
    config: ConfigFlag = None,
    admin: AdminFlag = None,
    *,
    live: Annotated[bool, typer.Option("--live", help="Only that it need not restart.")] = False,
    started: Annotated[bool, typer.Option("--started", help="Only that it has started.")] = False,
) -> None:
    """Check that the gateway is ready: exit code 0, or 1 with the reason."""
    listen, token = admin_place(config, admin)
    name = "live" if live else "started" if started else "ready"
    try:
        status, text = ask(listen, _PROBES[name], token=token)
    except AdminError as error:
        fail(str(error))
    if status != 200:
        fail(f"not {name}: {text.strip()}")
    typer.echo(name)


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


def admin_place(config: Path | None, admin: str | None) -> tuple[str, str]:
    """Returns the address of the admin listener, and its token; empty if it needs none."""
    options = load_config(config, os.environ, {}).admin
    listen = admin or options.listen
    if listen is None:
        fail("there is no admin listener: set admin.listen, or give --admin ADDRESS")
    if not listen.startswith("unix:") and not listen.rpartition(":")[2].isdigit():
        fail(f"--admin {listen}: expected HOST:PORT or unix:/path")
    tls = options.client
    if not listen.startswith("unix:") and (tls or options.tls) is not None:
        files = (None, None, None) if tls is None else (tls.ca_file, tls.cert_file, tls.key_file)
        try:
            listen = secured(listen, *files)
        except AdminError as error:
            fail(str(error))
    if options.token_file is None:
        return listen, ""
    try:
        return listen, options.token_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        fail(f"admin.token_file: {options.token_file}: cannot be read")

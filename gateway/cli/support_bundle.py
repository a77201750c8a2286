"""`gateway support-bundle`: one file with what a running gateway shows of itself, for a report."""

import json
import platform
import tarfile
import time
from importlib.metadata import distributions
from io import BytesIO
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.cli.admin_client import admin_client
from gateway.cli.admin_command import AdminFlag, ConfigFlag
from gateway.cli.messages import fail, say

_PATHS: Final = {
    "status.json": "/status",
    "readyz.txt": "/readyz?verbose",
    "config.json": "/config",
    "origins.json": "/config/origins",
    "routes.json": "/routes",
    "workers.json": "/workers",
    "upstreams.json": "/upstreams",
    "certificates.json": "/certificates",
    "traffic.json": "/traffic",
    "failures.json": "/failures",
    "nodes.json": "/nodes",
    "metrics.txt": "/metrics",
}
"""The members of the bundle; none of these endpoints shows a secret."""
_OWN: Final = 0o600


def bundle_command(
    config: ConfigFlag = None,
    admin: AdminFlag = None,
    *,
    out: Annotated[
        Path | None, typer.Option(help="The file; gateway-TIME.tar.gz by default.")
    ] = None,
) -> None:
    """Write what the running gateway shows of itself into one file, without secrets."""
    client = admin_client(config, admin)
    members = {"versions.json": json.dumps(_versions(), indent=2)}
    for name, path in _PATHS.items():
        # An answer that says why there is none is a part of the report, too.
        status, members[name] = client.get(path)
        if status == 401:
            fail(f"{client.listen} needs the token of admin.token_file")
    file = out or Path(f"gateway-{time.strftime('%Y%m%d-%H%M%S')}.tar.gz")
    try:
        with file.open("xb") as opened:
            file.chmod(_OWN)
            opened.write(_packed(members))
    except OSError as error:
        fail(f"{file}: cannot be written: {error.strerror}")
    typer.echo(str(file))
    say("secrets are left out; addresses, paths and names of your API are in it: look at it first")


def _packed(members: dict[str, str]) -> bytes:
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in members.items():
            data = text.encode()
            member = tarfile.TarInfo(f"gateway/{name}")
            member.size, member.mode, member.mtime = len(data), _OWN, int(time.time())
            archive.addfile(member, BytesIO(data))
    return packed.getvalue()


def _versions() -> dict[str, object]:
    """Returns the versions of the system, of Python and of what is installed beside the command."""
    installed = {one.metadata["Name"]: one.version for one in distributions()}
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "installed": dict(sorted(installed.items())),
    }

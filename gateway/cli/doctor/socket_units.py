"""Asks systemd for which addresses it holds sockets (socket activation)."""

import shutil
import subprocess
from typing import Final

_WITHIN_S: Final = 2.0


def socket_unit(listen: str) -> str:
    """Returns the name of the socket unit that holds an address; empty if there is none.

    It asks `systemctl`, because only root can see what another process has open.
    """
    program = shutil.which("systemctl")
    if program is None:
        return ""
    command = [program, "list-sockets", "--no-legend", "--no-pager", "--full"]
    try:
        done = subprocess.run(  # noqa: S603 - no part of it comes from others
            command, capture_output=True, text=True, timeout=_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    for line in done.stdout.splitlines():
        # The address, its unit, and the unit that it starts.
        address, unit, *_ = [*line.split(), "", ""]
        if unit.endswith(".socket") and _is_same(address, listen):
            return unit
    return ""


def _is_same(address: str, listen: str) -> bool:
    if listen.startswith("unix:"):
        return address == listen.removeprefix("unix:")
    return not address.startswith("/") and address.rpartition(":")[2] == listen.rpartition(":")[2]

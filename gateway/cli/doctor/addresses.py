"""Examines the addresses of the gateway: its ports, and the admin listener of one that runs."""

from collections.abc import Collection, Iterator
from importlib.metadata import version
from typing import Any, Final

from gateway.cli.admin_client import AdminError, client_of
from gateway.cli.doctor.finding import Finding, fail, ok, warn
from gateway.cli.doctor.socket_units import socket_unit
from gateway.config.admin_place import AdminPlace, place_of
from gateway.config.model import Config
from gateway.listeners.sockets import ListenError, is_free

_UNIX: Final = "unix:"


def examine_addresses(config: Config, given: Collection[str] = ()) -> Iterator[Finding]:
    """Yields the findings about the admin listener and the ports; it connects to no other host.

    `given` has the settings for whose addresses this process was given sockets.
    """
    running: dict[str, Any] | None = None
    if config.admin.listen is None:
        yield warn(
            "admin listener",
            "there is none: health, status, reload and drain have nobody to ask",
            "set admin.listen, for example unix:/run/gateway/admin.sock",
        )
    else:
        running, finding = _admin(config.admin.listen, place_of(config.admin))
        yield finding
    for setting, listen in (("listen", config.listen), ("admin.listen", config.admin.listen)):
        if listen is not None:
            is_given = setting in given
            yield _given(setting, listen) if is_given else _port(setting, listen, running)


def _admin(listen: str, place: AdminPlace) -> tuple[dict[str, Any] | None, Finding]:
    """Asks the gateway that runs; returns its status, None if there is none."""
    subject = "admin listener"
    try:
        status = client_of(listen, place).ask("/status")
    except AdminError as error:
        advice = "if a gateway should run here, start it, or read its log"
        return None, warn(subject, str(error), advice)
    installed, runs = version("grpc-rest-gateway"), status["version"]
    text = f"answers at {listen}: version {runs}, pid {status['pid']}"
    if not status["ready"]:
        advice = "see `gateway status` and its log"
        return status, warn(subject, f"{text}, not ready: {status['reason']}", advice)
    if runs != installed:
        advice = f"restart it: version {installed} is installed"
        return status, warn(subject, text, advice)
    return status, ok(subject, f"{text}, ready")


def _port(setting: str, listen: str, running: dict[str, Any] | None) -> Finding:
    try:
        free = is_free(listen)
    except ListenError as error:
        return fail(setting, str(error), f"correct the setting {setting}")
    if free:
        return ok(setting, f"{listen} is free")
    ours = running is not None and (setting == "admin.listen" or _serves(running, listen))
    if ours:
        return ok(setting, f"{listen} is used by the gateway that runs")
    unit = socket_unit(listen)
    if unit and not unit.startswith("gateway"):
        advice = "if that is not for this gateway, choose another address"
        return warn(setting, f"{listen} is held by the service manager ({unit})", advice)
    if unit:
        return ok(setting, f"{listen} is held by the service manager for the gateway ({unit})")
    return fail(
        setting,
        f"{listen} is used by another program",
        "end that program, or choose another address (see `ss -ltnp`)",
    )


def _given(setting: str, listen: str) -> Finding:
    return ok(setting, f"{listen} is a socket that the service manager has opened")


def _serves(running: dict[str, Any], listen: str) -> bool:
    """True if the gateway that runs serves this address; its URL has the port that it got."""
    address = str(running.get("listen") or "").partition("://")[2]
    if listen.startswith(_UNIX):
        return address == listen
    return address.rpartition(":")[2] == listen.rpartition(":")[2]

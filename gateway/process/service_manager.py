"""The messages to the service manager that started the gateway: systemd, or one like it.

They are those of sd_notify(3): one datagram for each state, to the socket that the environment
names. Without such a socket every method does nothing.
"""

import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Final

_SOCKET: Final = "NOTIFY_SOCKET"
_WATCHDOG: Final = "WATCHDOG_USEC"
_WATCHDOG_PROCESS: Final = "WATCHDOG_PID"
_MOST_BYTES: Final = 1024
"""The longest message; only its text for people can be long."""


class ServiceManager:
    """The service manager of this process, as the environment describes it."""

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        """Takes what describes it out of `environment`: workers must not speak for the service."""
        self._address = _address(environment.pop(_SOCKET, ""))
        self.alive_every_s = _alive_every_s(
            environment.pop(_WATCHDOG, ""), environment.pop(_WATCHDOG_PROCESS, "")
        )
        """The seconds between two messages that the gateway is alive; None if none are expected."""
        self._alive_s = 0.0
        self._status = ""
        self._is_reloading = False

    def ready(self, status: str) -> None:
        """Says that the gateway serves; `status` is one line for people."""
        self._status = status.replace("\n", " ")
        if not self._is_reloading:
            self._send("READY=1", f"STATUS={self._status}")

    def reloading(self, *, is_going_on: bool) -> None:
        """Says that a reload has begun, or has ended; does nothing if that has not changed."""
        if is_going_on is self._is_reloading:
            return
        self._is_reloading = is_going_on
        if is_going_on:
            # The manager sees from the time that this is a later reload than the last one.
            self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        else:
            self.ready(self._status)

    def stopping(self) -> None:
        """Says that the gateway drains."""
        self._send("STOPPING=1", "STATUS=finishing the requests under way")

    def alive(self) -> None:
        """Says that the gateway is alive, if that is expected and due; call it often."""
        if self.alive_every_s is None:
            return
        now_s = time.monotonic()
        if now_s - self._alive_s >= self.alive_every_s:
            self._alive_s = now_s
            self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        """Sends one message; a manager that has gone must not end the gateway."""
        if self._address is None:
            return
        text = "\n".join(lines).encode(errors="replace")[:_MOST_BYTES]
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)  # noqa: FBT003 - its one argument
            sender.sendto(text, self._address)


def _address(name: str) -> bytes | None:
    """Returns the address of the manager's socket: a path, or an abstract name after an `@`."""
    if name.startswith("@"):
        return b"\0" + os.fsencode(name[1:])
    return os.fsencode(name) if name.startswith("/") else None


def _alive_every_s(microseconds: str, process: str) -> float | None:
    """Returns half of the watchdog's time limit, as sd_watchdog_enabled(3) advises."""
    is_ours = process in {"", str(os.getpid())}
    is_limit = microseconds.isascii() and microseconds.isdigit() and len(microseconds) < 16
    if not is_ours or not is_limit or int(microseconds) == 0:
        return None
    return int(microseconds) / 2_000_000

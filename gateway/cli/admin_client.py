"""A client of the admin listener: where it is, one request, one answer."""

import http.client
import json
import os
import socket
from pathlib import Path
from typing import Any, Final

from gateway.cli.messages import fail
from gateway.config.admin_place import read_admin_place

_TIMEOUT_S: Final = 5.0
_RELOAD_S: Final = 300.0
"""The time limit of a change that composes the gateway anew."""
_UNIX: Final = "unix:"


class AdminError(Exception):
    """The admin listener gave no usable answer; the message says why."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connects to the socket file."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(
    listen: str,
    path: str,
    *,
    token: str = "",
    method: str = "GET",
    body: str = "",
    timeout_s: float = _TIMEOUT_S,
) -> tuple[int, str]:
    """Sends a request to the admin listener at `listen`; returns the status and the body.

    Raises:
        AdminError: nothing answers there.
    """
    if listen.startswith(_UNIX):
        connection: http.client.HTTPConnection = _UnixConnection(
            listen.removeprefix(_UNIX), timeout_s
        )
    else:
        host, _, port = listen.rpartition(":")
        host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
        connection = http.client.HTTPConnection(host, int(port), timeout=timeout_s)
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request(method, path, body.encode() or None, headers)
        response = connection.getresponse()
        return response.status, response.read(1 << 24).decode("utf-8", "replace")
    except TimeoutError:
        raise AdminError(f"nothing answers at {listen} within {timeout_s:g} s") from None
    except (OSError, http.client.HTTPException):
        raise AdminError(f"nothing answers at {listen}: is the gateway running?") from None
    finally:
        connection.close()


def ask_json(
    listen: str,
    path: str,
    *,
    token: str = "",
    method: str = "GET",
    body: str = "",
    timeout_s: float | None = None,
) -> dict[str, Any]:
    """Does the same as `ask`, for endpoints that answer a JSON object.

    Raises:
        AdminError: nothing answers, or the answer is a refusal.
    """
    if timeout_s is None:
        timeout_s = _RELOAD_S if body else _TIMEOUT_S
    status, body = ask(listen, path, token=token, method=method, body=body, timeout_s=timeout_s)
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise AdminError(f"{listen} does not answer as an admin listener does")
    if status != 200:
        raise AdminError(str(found.get("error", {}).get("message", f"HTTP status {status}")))
    return found


def admin_place(config: Path | None, admin: str | None) -> tuple[str, str]:
    """Returns the address of the admin listener, and its token; empty if it needs none."""
    listen, token_file = read_admin_place(config, os.environ, admin)
    if listen is None:
        fail("there is no admin listener: set admin.listen, or give --admin ADDRESS")
    if not listen.startswith("unix:") and not listen.rpartition(":")[2].isdigit():
        fail(f"--admin {listen}: expected HOST:PORT or unix:/path")
    try:
        return listen, token_in(token_file)
    except AdminError as error:
        fail(str(error))


def token_in(file: Path | None) -> str:
    """Returns the token in the file of `admin.token_file`; empty without a file.

    Raises:
        AdminError: the file cannot be read.
    """
    try:
        return "" if file is None else file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise AdminError(f"admin.token_file: {file}: cannot be read") from None

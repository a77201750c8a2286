"""A client of the admin listener: one request, one answer."""

import http.client
import json
import socket
from typing import Any, Final

_TIMEOUT_S: Final = 5.0
_UNIX: Final = "unix:"


class AdminError(Exception):
    """The admin listener gave no usable answer; the message says why."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """Connects to the socket file."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(self._path)


def ask(listen: str, path: str, *, token: str = "", method: str = "GET") -> tuple[int, str]:
    """Sends a request to the admin listener at `listen`; returns the status and the body.

    Raises:
        AdminError: nothing answers there.
    """
    if listen.startswith(_UNIX):
        connection: http.client.HTTPConnection = _UnixConnection(listen.removeprefix(_UNIX))
    else:
        host, _, port = listen.rpartition(":")
        host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
        connection = http.client.HTTPConnection(host, int(port), timeout=_TIMEOUT_S)
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read(1 << 24).decode("utf-8", "replace")
    except TimeoutError:
        raise AdminError(f"nothing answers at {listen} within {_TIMEOUT_S:g} s") from None
    except (OSError, http.client.HTTPException):
        raise AdminError(f"nothing answers at {listen}: is the gateway running?") from None
    finally:
        connection.close()


def ask_json(listen: str, path: str, *, token: str = "", method: str = "GET") -> dict[str, Any]:
    """Does the same as `ask`, for endpoints that answer a JSON object.

    Raises:
        AdminError: nothing answers, or the answer is a refusal.
    """
    status, body = ask(listen, path, token=token, method=method)
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise AdminError(f"{listen} does not answer as an admin listener does")
    if status != 200:
        raise AdminError(str(found.get("error", {}).get("message", f"HTTP status {status}")))
    return found

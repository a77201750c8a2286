"""A client of the admin listener: where it is, one request, one answer."""

import http.client
import json
import os
import socket
import ssl
from pathlib import Path
from typing import Any, Final, Self

from gateway.cli.messages import fail
from gateway.config.admin_place import AdminPlace, read_admin_place

_TIMEOUT_S: Final = 5.0
_RELOAD_S: Final = 300.0
"""The time limit of a change that composes the gateway anew."""
_UNIX: Final = "unix:"


class AdminError(Exception):
    """The admin listener gave no usable answer; the message says why."""


class SecuredAddress(str):
    """The address of an admin listener with TLS, `HOST:PORT`, and how clients connect to it."""

    __slots__ = ("context",)

    def __new__(cls, listen: str, context: ssl.SSLContext) -> Self:
        """Takes the context with the authorities, and with the client's certificate."""
        made = super().__new__(cls, listen)
        made.context = context
        return made

    context: ssl.SSLContext


def secured(
    listen: str, ca_file: Path | None, cert_file: Path | None, key_file: Path | None
) -> SecuredAddress:
    """Returns the address of an admin listener with TLS; the files are PEM.

    Without `ca_file`, the authorities of the system count; without the others, there is no
    certificate of the client.

    Raises:
        AdminError: a file cannot be read, or does not hold what it should.
    """
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except OSError:  # ssl.SSLError is one
        raise AdminError(
            f"admin.client.ca_file: {ca_file}: cannot be read, or holds no certificate in PEM"
        ) from None
    if cert_file is not None:
        try:
            # The empty password makes an encrypted key fail: otherwise OpenSSL would ask for one.
            context.load_cert_chain(cert_file, key_file, password=lambda: "")
        except OSError:
            raise AdminError(
                f"admin.client.cert_file: expected a certificate as PEM in {cert_file} and its "
                f"key, without a password, in {key_file}"
            ) from None
    return SecuredAddress(listen, context)


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
        if isinstance(listen, SecuredAddress):
            connection = http.client.HTTPSConnection(
                host, int(port), timeout=timeout_s, context=listen.context
            )
        else:
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
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason or "TLS fails"
        raise AdminError(f"no secured connection to {listen}: {reason}") from None
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
    place = read_admin_place(config, os.environ, admin)
    listen = place.listen
    if listen is None:
        fail("there is no admin listener: set admin.listen, or give --admin ADDRESS")
    if not listen.startswith("unix:") and not listen.rpartition(":")[2].isdigit():
        fail(f"--admin {listen}: expected HOST:PORT or unix:/path")
    try:
        return credentials(listen, place)
    except AdminError as error:
        fail(str(error))


def credentials(listen: str, place: AdminPlace) -> tuple[str, str]:
    """Returns `listen` with the TLS of `place`, and the token; empty without `admin.token_file`.

    Raises:
        AdminError: a file cannot be read, or does not hold what it should.
    """
    if place.tls is not None and not listen.startswith(_UNIX):
        listen = secured(listen, *place.tls)
    file = place.token_file
    try:
        return listen, "" if file is None else file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise AdminError(f"admin.token_file: {file}: cannot be read") from None

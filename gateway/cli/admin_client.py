"""A client of the admin listener: where it is, one request, one answer."""

import http.client
import json
import os
import socket
import ssl
from pathlib import Path
from typing import Any, Final

from gateway.config.admin_place import AdminPlace, read_admin_place

_TIMEOUT_S: Final = 5.0
_RELOAD_S: Final = 300.0
"""The time limit of a change that composes the gateway anew."""
_UNIX: Final = "unix:"


class AdminError(Exception):
    """The admin listener gave no usable answer; `main` prints the message, which says why."""


def _tls(ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    """Returns the context with the authorities and the client's certificate; the files are PEM.

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
    return context


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connects to the socket file."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class AdminClient:
    """Asks the admin listener at `listen`, with a token unless that is empty, and with TLS."""

    def __init__(self, listen: str, token: str, tls: ssl.SSLContext | None) -> None:
        self.listen = listen
        self._token = token
        self._tls = tls

    def get(self, path: str) -> tuple[int, str]:
        """Returns the status and the body of an answer.

        Raises:
            AdminError: nothing answers there.
        """
        return self._ask(path, "GET", "", _TIMEOUT_S)

    def ask(
        self, path: str, *, method: str = "GET", body: str = "", timeout_s: float | None = None
    ) -> dict[str, Any]:
        """Returns the answer of an endpoint that answers a JSON object.

        Raises:
            AdminError: nothing answers, or the answer is a refusal.
        """
        if timeout_s is None:
            timeout_s = _RELOAD_S if body else _TIMEOUT_S
        status, body = self._ask(path, method, body, timeout_s)
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise AdminError(f"{self.listen} does not answer as an admin listener does")
        if status != 200:
            raise AdminError(str(found.get("error", {}).get("message", f"HTTP status {status}")))
        return found

    def _ask(self, path: str, method: str, body: str, timeout_s: float) -> tuple[int, str]:
        listen, connection = self.listen, self._connection(timeout_s)
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
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

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        if self.listen.startswith(_UNIX):
            return _UnixConnection(self.listen.removeprefix(_UNIX), timeout_s)
        host, _, port = self.listen.rpartition(":")
        host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
        if self._tls is None:
            return http.client.HTTPConnection(host, int(port), timeout=timeout_s)
        return http.client.HTTPSConnection(host, int(port), timeout=timeout_s, context=self._tls)


def admin_client(config: Path | None, admin: str | None) -> AdminClient:
    """Returns the client of the admin listener of the settings, or of the address `admin`.

    Raises:
        AdminError: there is no admin listener, or no client of it can be made.
    """
    place = read_admin_place(config, os.environ, admin)
    listen = place.listen
    if listen is None:
        raise AdminError("there is no admin listener: set admin.listen, or give --admin ADDRESS")
    if not listen.startswith("unix:") and not listen.rpartition(":")[2].isdigit():
        raise AdminError(f"--admin {listen}: expected HOST:PORT or unix:/path")
    return client_of(listen, place)


def client_of(listen: str, place: AdminPlace) -> AdminClient:
    """Returns the client of `listen`, with the TLS and the token of `place`.

    Raises:
        AdminError: a file cannot be read, or does not hold what it should.
    """
    files = None if listen.startswith(_UNIX) else place.tls
    tls = None if files is None else _tls(*files)
    file = place.token_file
    try:
        token = "" if file is None else file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise AdminError(f"admin.token_file: {file}: cannot be read") from None
    return AdminClient(listen, token, tls)

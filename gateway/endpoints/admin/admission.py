"""The checks that every connection and request to the admin listener must pass."""

import hmac
import logging
import ssl
from collections.abc import Callable, Container
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from gateway.config.admin import AdminOptions, AdminTls
from gateway.files import ChangedFiles, read_file, server_side_context
from gateway.http.messages import Request
from gateway.status import Code, StartUpError, StatusError

_MIN_TOKEN_LENGTH: Final = 16
_MAX_TOKEN_BYTES: Final = 4096
_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_BEARER: Final = "bearer "

Admission = Callable[[Request], None]
"""Raises `StatusError` for a request that must not be answered."""

logger = logging.getLogger("gateway")


class Access:
    """The checks of connections and requests, read again when their files have changed."""

    def __init__(self, options: AdminOptions, without_token: Container[str]) -> None:
        """Reads the files; `without_token` see `admission`.

        Raises:
            StartUpError: a file is invalid or cannot be read.
        """
        self._options = options
        self._without_token = without_token
        self._files = ChangedFiles(_files(options))
        self.tls, self.admit = self._read()

    def renewed(self) -> bool:
        """Replaces `tls` and `admit` if files have changed and are valid; True if it did."""
        if not self._files.have_changed():
            return False
        try:
            self.tls, self.admit = self._read()
        except StartUpError as error:
            # The two files of a certificate are not replaced at once: the next look may succeed.
            logger.warning("the admin listener keeps its certificates and token: %s", error)
            return False
        logger.info("the admin listener has new certificates or a new token")
        return True

    def _read(self) -> tuple[ssl.SSLContext | None, Admission]:
        return tls_context(self._options.tls), admission(self._options, self._without_token)


def _files(options: AdminOptions) -> list[Path]:
    """Returns the files of which a connection or a request needs something."""
    tls = options.tls
    files = [options.token_file]
    files += [] if tls is None else [tls.cert_file, tls.key_file, tls.client_ca_file]
    return [file for file in files if file is not None]


def admission(options: AdminOptions, without_token: Container[str] = frozenset()) -> Admission:
    """Returns the checks of each request: its token, its host, and the media type of changes.

    Paths in `without_token` can be read by anybody, with GET.

    Raises:
        StartUpError: the token file cannot be read, or its token is too short.
    """
    token = read_token(options)
    names_hosts = options.listen is not None and not options.listen.startswith("unix:")
    own_host = (options.listen or "").rpartition(":")[0]

    def admit(request: Request) -> None:
        if names_hosts:
            _check_host(request.headers.get("Host", ""), own_host)
        is_open = request.path in without_token and request.method in _SAFE
        if token is not None and not is_open:
            _check_token(request.headers.get("Authorization", ""), token)
        media_type = (request.fields.content_type or "").partition(";")[0].strip().lower()
        if request.method not in _SAFE and media_type != "application/json":
            # A form of a web page cannot send this media type without asking first (CORS).
            raise StatusError(
                Code.INVALID_ARGUMENT,
                "changes need the header Content-Type: application/json",
                http_status=415,
            )

    return admit


def read_token(options: AdminOptions) -> bytes | None:
    """Reads the token of the admin listener; None if it needs none.

    Raises:
        StartUpError: the file cannot be read, or its token is too short.
    """
    file = options.token_file
    if file is None:
        return None
    try:
        token = read_file(file, _MAX_TOKEN_BYTES).strip()
    except OSError as error:
        raise StartUpError(f"admin.token_file: {file}: cannot be read: {error.strerror}") from None
    if len(token) < _MIN_TOKEN_LENGTH or not token.isascii() or b" " in token:
        raise StartUpError(
            f"admin.token_file: {file}: expected one line of at least {_MIN_TOKEN_LENGTH} letters "
            "and digits, for example from `openssl rand -hex 32`"
        )
    return token


def tls_context(options: AdminTls | None) -> ssl.SSLContext | None:
    """Returns the TLS context of the listener; None without TLS.

    Raises:
        StartUpError: a file is invalid or cannot be read.
    """
    if options is None:
        return None
    try:
        context = server_side_context(options.cert_file, options.key_file)
    except OSError as error:
        raise StartUpError(f"admin.tls: a file cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise StartUpError(f"admin.tls.{error}") from None
    if options.client_ca_file is not None:
        try:
            context.load_verify_locations(options.client_ca_file)
        except OSError:  # ssl.SSLError is one
            raise StartUpError(
                f"admin.tls.client_ca_file: {options.client_ca_file}: cannot be read, or holds no "
                "certificate in PEM"
            ) from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _check_token(authorization: str, token: bytes) -> None:
    given = authorization[len(_BEARER) :].strip().encode("utf-8", "surrogateescape")
    is_bearer = authorization[: len(_BEARER)].lower() == _BEARER
    # The time of this comparison does not depend on the number of equal characters.
    if not hmac.compare_digest(given, token) or not is_bearer:
        raise StatusError(
            Code.UNAUTHENTICATED,
            "the admin listener needs the token of admin.token_file as a bearer token",
            headers=[("WWW-Authenticate", 'Bearer realm="admin"')],
        )


def _check_host(host: str, own_host: str) -> None:
    """Refuses names of others: a web page can let its own name lead to this address."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.lower()
    if name in ("localhost", own_host.lower()):
        return
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise StatusError(
            Code.PERMISSION_DENIED,
            "expected an IP address or localhost in the header Host",
            http_status=421,  # RFC 9110 section 15.5.20
        ) from None

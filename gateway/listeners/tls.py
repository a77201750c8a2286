"""TLS for clients: contexts from files that may change, and TLS connections."""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from gateway.call import Certificate
from gateway.config.limits import Limits
from gateway.config.tls import ClientCertificates, TlsServer, TlsVersion
from gateway.files import ChangedFiles, read_file, server_side_context
from gateway.listeners.http1.protocol import HttpProtocol
from gateway.status import StartUpError

logger = logging.getLogger("gateway")

_VERSIONS = {
    TlsVersion.TLS12: ssl.TLSVersion.TLSv1_2,
    TlsVersion.TLS13: ssl.TLSVersion.TLSv1_3,
}
_VERIFICATION = {
    ClientCertificates.OPTIONAL: ssl.CERT_OPTIONAL,
    ClientCertificates.REQUIRED: ssl.CERT_REQUIRED,
}
# Maps the ssl module's names of subjectAltName kinds (RFC 5280 section 4.2.1.6) to ours.
_KINDS = {"URI": "uri", "DNS": "dns", "email": "email"}


class TlsError(StartUpError):
    """The TLS files are invalid; the message states which one and why."""


class TlsContexts:
    """Creates the TLS context of a listener, and a new one when its files have changed.

    A new context also has new session ticket keys. So a client cannot resume a session that was
    opened with a certificate that is no longer trusted.
    """

    def __init__(self, options: TlsServer) -> None:
        """Reads the files.

        Raises:
            TlsError: a file is invalid or cannot be read.
        """
        self._options = options
        self._files = ChangedFiles(path for _, path in _files(options))
        self.context = server_context(options)
        self.reloads = 0
        """The number of changes of the files that have led to a new context."""
        self.refusals = 0
        """The number of changes that have not, because a file was invalid."""

    def renewed(self) -> bool:
        """Replaces `context` if the files have changed and are valid; returns True if it did."""
        if not self._files.have_changed():
            return False
        try:
            self.context = server_context(self._options)
        except TlsError as error:
            self.refusals += 1
            # The two files are not replaced at the same instant: the next check may succeed.
            logger.warning("TLS keeps its current certificates: %s", error)
            return False
        self.reloads += 1
        logger.info("TLS has reloaded its certificates")
        return True


def server_context(options: TlsServer) -> ssl.SSLContext:
    """Creates the TLS context for client connections.

    Raises:
        TlsError: a file is invalid or cannot be read.
    """
    for setting, path in _files(options):
        _check_readable(setting, path)
    try:
        context = server_side_context(options.cert_file, options.key_file)
    except ValueError as error:
        raise TlsError(f"tls.{error}") from None
    context.minimum_version = _VERSIONS[options.min_version]
    context.set_alpn_protocols(["http/1.1"])
    if options.client_ca_file is not None:
        try:
            context.load_verify_locations(options.client_ca_file)
        except ssl.SSLError:
            raise TlsError(
                f"tls.client_ca_file: {options.client_ca_file}: holds no certificate in PEM"
            ) from None
        context.verify_mode = _VERIFICATION[options.client_certificates]
    return context


def _files(options: TlsServer) -> list[tuple[str, Path]]:
    files = [("cert_file", options.cert_file), ("key_file", options.key_file)]
    if options.client_ca_file is not None:
        files.append(("client_ca_file", options.client_ca_file))
    return files


def _check_readable(setting: str, path: Path) -> None:
    try:
        read_file(path)
    except OSError as error:
        raise TlsError(f"tls.{setting}: {path}: cannot be read: {error.strerror}") from None


class TlsProtocol(HttpProtocol):
    """One TLS connection; it starts after the TLS handshake."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called when a client has connected, with or without a client certificate."""
        self._reader.certificate = _certificate(transport)
        super().connection_made(transport)

    def send_pieces(self, pieces: list[bytes | memoryview]) -> None:
        """Sends the pieces as one: TLS would make a record of each, however small."""
        self.send_now(b"".join(pieces))

    def sweep(self, now_s: float, limits: Limits) -> None:
        """Enforces the time limits; the TLS shutdown has a separate limit."""
        if self._is_closing:
            return
        super().sweep(now_s, limits)
        self._close_if_lingering()

    def close_when_idle(self) -> None:
        """Accepts no more requests; closes after the request in progress is answered."""
        # A second `close` would make the transport drop unsent bytes.
        if not self._is_closing:
            super().close_when_idle()

    def begin_lingering_close(self) -> None:
        """Closes in a way that delivers the last response; see the base class."""
        super().begin_lingering_close()
        self._close_if_lingering()

    def _close_if_lingering(self) -> None:
        """Sends the TLS alert close_notify, when all bytes are sent (RFC 8446 section 6.1)."""
        if self.transport is None or self._is_closing or not self._linger_until_s:
            return
        if not self.transport.get_write_buffer_size():  # otherwise unsent bytes would be lost
            self.transport.close()

    @property
    def _is_closing(self) -> bool:
        return self.transport is None or self.transport.is_closing()


def _certificate(transport: asyncio.BaseTransport) -> Certificate | None:
    """Returns the client certificate, if there is one; ssl has verified its signatures."""
    found: Mapping[str, Any] | None = transport.get_extra_info("peercert")
    if not found:
        return None
    encoded: bytes = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
    names = [
        (_KINDS[kind], name) for kind, name in found.get("subjectAltName", ()) if kind in _KINDS
    ]
    for attributes in found.get("subject", ()):
        common = [value for kind, value in attributes if kind == "commonName"]
        # Two in one relative name have no order, so they become an empty name, which never matches.
        names += [("cn", common[0] if len(common) == 1 else "")] if common else []
    return Certificate(
        tuple(names),
        sha256(encoded).hexdigest(),
        ssl.cert_time_to_seconds(found["notAfter"]),
    )

"""A connection on a socket: bytes between an asyncio transport and the state machine."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from gateway.config.model import TlsClient, Upstream
from gateway.upstream.http2.connection import Connection
from gateway.upstream.http2.stream import ConnectionFailed


class Http2Socket(asyncio.Protocol):
    """Feeds a `Connection`, and writes what it has to say once in each turn of the loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_lost: Callable[["Http2Socket"], None]
    ) -> None:
        self.connection = Connection()
        self._loop = loop
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._flush_is_due = False
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the preface."""
        self._transport = cast("asyncio.Transport", transport)
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Hands bytes on; a peer that breaks the protocol is told so and left."""
        try:
            self.connection.receive(data)
        except ConnectionFailed:
            self.flush()
            self.close()
            return
        if self.connection.has_output:
            self.flush_soon()
        if self.connection.draining and not self.connection.streams:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Ends every call on this connection."""
        self._transport = None
        self.connection.lost()
        self._on_lost(self)

    def pause_writing(self) -> None:
        """The peer reads too slowly: output stays with the connection."""
        self._paused = True

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._paused = False
        self.flush()

    def flush_soon(self) -> None:
        """Writes at the end of this turn of the loop, together with what else comes up."""
        if not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Writes what there is."""
        self._flush_is_due = False
        if self._transport is not None and not self._paused and self.connection.has_output:
            self._transport.write(self.connection.take_output())

    def close(self) -> None:
        """Closes once all is written."""
        if self._transport is not None:
            self._transport.close()


@dataclass(frozen=True)
class Address:
    """Where to connect, and what to call it."""

    host: str
    port: int
    path: str
    authority: str
    tls: ssl.SSLContext | None
    server_name: str

    async def connect(
        self, loop: asyncio.AbstractEventLoop, on_lost: Callable[[Http2Socket], None]
    ) -> Http2Socket:
        """A connection that is open; its preface is on its way.

        Raises:
            OSError: nobody is there, or not over TLS with HTTP/2.
        """

        def make() -> Http2Socket:
            return Http2Socket(loop, on_lost)

        name = self.server_name if self.tls is not None else None
        if self.path:
            transport, socket = await loop.create_unix_connection(
                make, self.path, ssl=self.tls, server_hostname=name
            )
        else:
            # Tries a name's addresses side by side (RFC 8305).
            transport, socket = await loop.create_connection(
                make, self.host, self.port, ssl=self.tls, server_hostname=name
            )
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            transport.abort()
            raise ConnectionError("the server does not speak HTTP/2 over TLS (ALPN h2)")
        return socket


def parse_target(upstream: Upstream) -> Address:
    """The address that an upstream's target names: `host:port`, `[::1]:port` or `unix:/path`.

    Raises:
        ValueError: it names none.
    """
    tls = None if upstream.tls is None else _context(upstream.tls)
    override = upstream.tls.server_name if upstream.tls is not None else None
    target = upstream.target.removeprefix("dns:///")
    if target.startswith("unix:"):
        path = target.removeprefix("unix:").replace("//", "", 1)
        return Address("", 0, path, override or "localhost", tls, override or "localhost")
    host, colon, port = target.rpartition(":")
    if not colon or not port.isdigit():
        host, port = target, "443" if tls is not None else "80"
    bare = host.removeprefix("[").removesuffix("]")
    if not bare:
        raise ValueError(f"{upstream.target!r} is no HOST:PORT")
    return Address(bare, int(port), "", override or target, tls, override or bare)


def _context(tls: TlsClient) -> ssl.SSLContext:
    for file in (tls.ca_file, tls.cert_file, tls.key_file):
        if file is not None:
            file.read_bytes()  # its error names the file, the ssl module's does not
    context = ssl.create_default_context(cafile=tls.ca_file)
    context.set_alpn_protocols(["h2"])
    if tls.cert_file is not None:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context

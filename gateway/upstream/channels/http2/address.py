"""Where a back end is, and how a connection to it is opened."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from gateway.config.model import TlsClient, Upstream
from gateway.upstream.channels.http2.socket import Http2Socket, Keepalive


@dataclass(frozen=True)
class Address:
    """Where to connect, and what to call it."""

    host: str
    port: int
    path: str
    authority: str
    tls: ssl.SSLContext | None
    server_name: str
    keepalive: Keepalive | None = None

    async def connect(
        self, loop: asyncio.AbstractEventLoop, on_change: Callable[[Http2Socket], None]
    ) -> Http2Socket:
        """A connection on which the server has said that it speaks HTTP/2.

        Raises:
            OSError: nobody is there, or not with HTTP/2.
        """
        name = self.server_name if self.tls is not None else None

        def make() -> Http2Socket:
            return Http2Socket(loop, on_change, self.keepalive)

        if self.path:
            transport, socket = await loop.create_unix_connection(
                make, self.path, ssl=self.tls, server_hostname=name
            )
        else:
            # Tries a name's addresses one after the other.
            transport, socket = await loop.create_connection(
                make, self.host, self.port, ssl=self.tls, server_hostname=name
            )
        try:
            await _greeted(transport, socket)
        except BaseException:
            transport.abort()
            raise
        return socket


async def _greeted(transport: asyncio.BaseTransport, socket: Http2Socket) -> None:
    tls = transport.get_extra_info("ssl_object")
    if tls is not None and tls.selected_alpn_protocol() != "h2":
        raise ConnectionError("the server does not speak HTTP/2 over TLS (ALPN h2)")
    await socket.greeted
    if socket.connection.draining:
        raise ConnectionError("the server left at once")


def parse_target(upstream: Upstream) -> Address:
    """The address that an upstream's target names: `host:port`, `[::1]:port` or `unix:/path`.

    Raises:
        ValueError: it names none.
        OSError: a TLS file cannot be read.
    """
    tls = None if upstream.tls is None else _context(upstream.tls)
    override = upstream.tls.server_name if upstream.tls is not None else None
    keepalive = None
    if upstream.keepalive_s is not None:
        keepalive = Keepalive(upstream.keepalive_s, upstream.keepalive_timeout_s)
    target = upstream.target.removeprefix("dns:///")
    if target.startswith("unix:"):
        path = target.removeprefix("unix:").replace("//", "", 1)
        name = override or "localhost"
        return Address("", 0, path, name, tls, name, keepalive)
    host, colon, port = target.rpartition(":")
    if not colon or not port.isdigit():
        host, port = target, "443" if tls is not None else "80"
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or int(port) > 65_535:
        raise ValueError(f"{upstream.target!r} is no HOST:PORT")
    return Address(bare, int(port), "", override or target, tls, override or bare, keepalive)


def _context(tls: TlsClient) -> ssl.SSLContext:
    for file in (tls.ca_file, tls.cert_file, tls.key_file):
        if file is not None:
            file.read_bytes()  # its error names the file, the ssl module's does not
    context = ssl.create_default_context(cafile=tls.ca_file)
    context.set_alpn_protocols(["h2"])
    if tls.cert_file is not None:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context

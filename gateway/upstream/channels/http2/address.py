"""The address of a back end, and the opening of a connection to it."""

import asyncio
import os
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from aiohappyeyeballs import start_connection

from gateway.config.upstreams import TlsClient, Upstream
from gateway.files import read_file
from gateway.http2.headers import MAX_HEADER_BYTES
from gateway.upstream.channels.http2.socket import Http2Socket, Keepalive

_NEXT_ADDRESS_S = 0.25
"""Seconds to wait for one address before the next is tried as well (RFC 8305 section 5)."""
_NUMBERS = re.compile(r"\[Errno (\d+)\]")


@dataclass(frozen=True)
class Address:
    """The place to connect to, and its name in TLS and in requests."""

    host: str
    port: int
    path: str
    authority: str
    tls: ssl.SSLContext | None
    server_name: str
    keepalive: Keepalive | None = None
    header_bytes: int = MAX_HEADER_BYTES
    probe_after_s: float | None = None

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    async def connect(
        self, loop: asyncio.AbstractEventLoop, on_change: Callable[[Http2Socket], None]
    ) -> Http2Socket:
        """Opens a connection and waits until the server has sent HTTP/2 settings.

        Raises:
            OSError: the server cannot be reached, or does not speak HTTP/2.
        """
        name = self.server_name if self.tls is not None else None

        def make() -> Http2Socket:
            return Http2Socket(
                loop, on_change, self.keepalive, self.header_bytes, self.probe_after_s
            )

        if self.path:
            transport, opened = await loop.create_unix_connection(
                make, self.path, ssl=self.tls, server_hostname=name
            )
        else:
            sock = await self._reach(loop)
            transport, opened = await loop.create_connection(
                make, sock=sock, ssl=self.tls, server_hostname=name
            )
        try:
            await _greeted(transport, opened)
        except BaseException:
            transport.abort()
            raise
        return opened

    async def _reach(self, loop: asyncio.AbstractEventLoop) -> socket.socket:
        """A socket connected to the first address of the host that answers.

        Addresses of both families are tried in turn, without waiting long for any (RFC 8305).
        """
        found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        return await start_connection(
            found, happy_eyeballs_delay=_NEXT_ADDRESS_S, interleave=1, loop=loop
        )


async def _greeted(transport: asyncio.BaseTransport, opened: Http2Socket) -> None:
    tls = transport.get_extra_info("ssl_object")
    if tls is not None and tls.selected_alpn_protocol() != "h2":
        raise ConnectionError("the server does not speak HTTP/2 over TLS (ALPN h2)")
    await opened.greeted
    if opened.connection.draining:
        raise ConnectionError("the server left at once")


def why(error: OSError) -> str:
    """The reason why a connection could not be opened, without the addresses asyncio repeats."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if isinstance(error, socket.gaierror | ssl.SSLError):
        return error.strerror or str(error)
    numbers = [error.errno] if error.errno else [int(one) for one in _NUMBERS.findall(str(error))]
    if numbers:
        return ", ".join(dict.fromkeys(os.strerror(number) for number in numbers))
    return str(error) or type(error).__name__


def parse_target(upstream: Upstream) -> Address:
    """The address that an upstream's target names: `host:port`, `[::1]:port` or `unix:/path`.

    Raises:
        ValueError: it is not a valid address.
        OSError: a TLS file cannot be read.
    """
    tls = None if upstream.tls is None else _context(upstream.tls)
    override = upstream.tls.server_name if upstream.tls is not None else None
    keepalive = None
    if upstream.keepalive_s is not None:
        keepalive = Keepalive(upstream.keepalive_s, upstream.keepalive_timeout_s)
    more = (upstream.max_header_bytes, upstream.idle_check_s)
    target = upstream.target.removeprefix("dns:///")
    if target.startswith("unix:"):
        path = target.removeprefix("unix:").replace("//", "", 1)
        name = override or "localhost"
        return Address("", 0, path, name, tls, name, keepalive, *more)
    host, colon, port = target.rpartition(":")
    if not colon or not port.isdigit():
        host, port = target, "443" if tls is not None else "80"
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or int(port) > 65_535:
        raise ValueError(f"{upstream.target!r} is no HOST:PORT")
    return Address(
        bare,
        int(port),
        "",
        override or target,
        tls,
        override or bare,
        keepalive,
        *more,
    )


def _context(tls: TlsClient) -> ssl.SSLContext:
    for file in (tls.ca_file, tls.cert_file, tls.key_file):
        if file is not None:
            read_file(file)  # its error names the file; that of the ssl module does not
    context = ssl.create_default_context(cafile=tls.ca_file)
    context.set_alpn_protocols(["h2"])
    if tls.cert_file is not None:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context

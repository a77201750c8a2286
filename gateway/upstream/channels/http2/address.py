"""The address of a back end, and the opening of a connection to it."""

import asyncio
import os
import re
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address
from random import shuffle
from typing import Any, Final, Self

from aiohappyeyeballs import start_connection

from gateway.config.upstreams import TlsClient, Upstream
from gateway.files import read_file
from gateway.upstream.channels.http2.racing import first_of, interleaved
from gateway.upstream.channels.http2.socket import Http2Socket, Keepalive

_NEXT_ADDRESS_S = 0.25
"""Seconds to wait for one address before the next is tried as well (RFC 8305 section 5)."""
_USER_TIMEOUT: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)
"""The option of RFC 5482 section 4, where the system has it: gRPC uses it too (gRFC A18), because a
network that drops everything ends no connection, and calls would wait there for their deadline."""
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
    keepalive: Keepalive | None
    header_bytes: int
    probe_after_s: float | None
    unacknowledged_s: float | None
    dialled: tuple[tuple[str, int], ...] = ()
    """Hosts and ports to connect to, all of one server; empty to resolve `host`."""
    health_tls: ssl.SSLContext | None = None
    """The TLS of health checks over HTTP/1.1, which cannot be that of HTTP/2 (ALPN)."""
    is_shuffled: bool = False
    """True to try the addresses that `host` resolves to in an order by chance (gRFC A62)."""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host, port = self.dialled[0] if self.dialled else (self.host, self.port)
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def is_name(self) -> bool:
        """True if `host` is a name that has to be resolved."""
        if self.path:
            return False
        try:
            ip_address(self.host.partition("%")[0])
        except ValueError:
            return True
        return False

    def at(self, addresses: Sequence[str]) -> Self:
        """The same back end by name, at `addresses`: `host:port` each, or one `unix:/path`.

        Raises:
            ValueError: one is no valid address.
        """
        if addresses[0].startswith("unix:"):
            return replace(self, path=_path(addresses[0]), dialled=())
        dialled = tuple(_host_and_port(address, self.port) for address in addresses)
        return replace(self, path="", dialled=dialled)

    def on_port(self, port: int | None) -> Self:
        """The same back end at another port; None for the same, as for a Unix socket."""
        if port is None or self.path:
            return self
        host, colon, last = self.authority.rpartition(":")
        name = host if colon and last.isdigit() else self.authority
        places = self.dialled or ((self.host, self.port),)
        dialled = tuple((place, port) for place, _ in places)
        return replace(self, port=port, authority=f"{name}:{port}", dialled=dialled)

    async def connect(
        self, loop: asyncio.AbstractEventLoop, on_change: Callable[[Http2Socket], None]
    ) -> Http2Socket:
        """Opens a connection and waits until the server has sent HTTP/2 settings.

        All addresses are tried in turn, and those of both families, without waiting long for any
        (RFC 8305): one that takes connections may have no server behind it (gRFC A61).

        Raises:
            OSError: the server cannot be reached, or does not speak HTTP/2.
        """
        if self.path:
            return await self._open(loop, on_change, None)
        found = []
        for host, port in self.dialled or ((self.host, self.port),):
            found += await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        if self.is_shuffled:
            shuffle(found)
        attempts = [partial(self._open, loop, on_change, one) for one in interleaved(found)]
        return await first_of(attempts, _NEXT_ADDRESS_S, Http2Socket.close)

    async def _open(
        self,
        loop: asyncio.AbstractEventLoop,
        on_change: Callable[[Http2Socket], None],
        place: tuple[Any, ...] | None,
    ) -> Http2Socket:
        """A connection to one address, as of `getaddrinfo`, or to the Unix socket."""
        name = self.server_name if self.tls is not None else None

        def make() -> Http2Socket:
            return Http2Socket(
                loop, on_change, self.keepalive, self.header_bytes, self.probe_after_s
            )

        if place is None:
            transport, opened = await loop.create_unix_connection(
                make, self.path, ssl=self.tls, server_hostname=name
            )
        else:
            sock = await start_connection([place], loop=loop)
            if self.unacknowledged_s is not None and _USER_TIMEOUT is not None:
                milliseconds = round(self.unacknowledged_s * 1000)
                sock.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, milliseconds)
            transport, opened = await loop.create_connection(
                make, sock=sock, ssl=self.tls, server_hostname=name
            )
        try:
            await _greeted(transport, opened)
        except BaseException:
            transport.abort()
            raise
        return opened


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


def parse_target(upstream: Upstream, target: str | None = None) -> Address:
    """The address of `target`, or of the upstream's: `host:port`, `[::1]:port`, `unix:/path`, or a
    name for which DNS servers are asked.

    Raises:
        ValueError: it is not a valid address.
        OSError: a TLS file cannot be read.
    """
    tls = None if upstream.tls is None else _context(upstream.tls)
    override = upstream.tls.server_name if upstream.tls is not None else None
    keepalive = None
    if upstream.keepalive_s is not None:
        keepalive = Keepalive(upstream.keepalive_s, upstream.keepalive_timeout_s)
    more = (upstream.max_header_bytes, upstream.idle_check_s, upstream.unacknowledged_s)
    asked = upstream.asks_dns
    target = target or (asked.authority if asked is not None else upstream.target) or ""
    target = target.removeprefix("dns:///")
    if target.startswith("unix:"):
        name = override or "localhost"
        unix = Address("", 0, _path(target), name, tls, name, keepalive, *more)
        return replace(unix, health_tls=_health_context(upstream))
    host, port = _host_and_port(target, 80 if tls is None else 443)
    authority, name = override or target, override or host
    address = Address(host, port, "", authority, tls, name, keepalive, *more)
    return replace(address, is_shuffled=upstream.shuffle, health_tls=_health_context(upstream))


def _host_and_port(target: str, default_port: int) -> tuple[str, int]:
    host, colon, port = target.rpartition(":")
    if not colon or not port.isdigit():
        host, port = target, str(default_port)
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or int(port) > 65_535:
        raise ValueError(f"{target!r} is no HOST:PORT")
    return bare, int(port)


def _path(target: str) -> str:
    return target.removeprefix("unix:").replace("//", "", 1)


def _health_context(upstream: Upstream) -> ssl.SSLContext | None:
    health = upstream.health
    if upstream.tls is None or health is None or health.http2 or not health.by_tls:
        return None
    return _context(upstream.tls, "http/1.1")


def _context(tls: TlsClient, protocol: str = "h2") -> ssl.SSLContext:
    for file in (tls.ca_file, tls.cert_file, tls.key_file):
        if file is not None:
            read_file(file)  # its error names the file; that of the ssl module does not
    context = ssl.create_default_context(cafile=tls.ca_file)
    context.set_alpn_protocols([protocol])
    if tls.cert_file is not None:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context

"""Listeners: a port, its connections, and their graceful shutdown."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from socket import AF_UNIX

from gateway.config.tls import TlsServer
from gateway.exchange.exchange import Exchange
from gateway.listeners.http1.protocol import HttpProtocol
from gateway.listeners.http1.response_bytes import http_date
from gateway.listeners.port import Port
from gateway.listeners.sockets import BACKLOG, Sockets, address_of, open_sockets
from gateway.listeners.tls import TlsContexts, TlsProtocol

_GRACE_S = 10.0
_SWEEP_EVERY_S = 0.5
_CLOSING_STEP_S = 0.01


class Listener:
    """An open port."""

    def __init__(self, exchange: Exchange, address: str, tls: TlsContexts | None = None) -> None:
        self.address = address
        self.port = Port(asyncio.get_running_loop(), exchange.limits)
        self._exchange = exchange
        self._servers: list[asyncio.AbstractServer] = []
        self._tls = tls
        self._sockets: Sockets = []
        """The listening sockets for TLS; they stay open when the certificate changes."""

    async def start(self, sockets: Sockets) -> None:
        """Serves on listening sockets, and takes ownership of them."""
        if self._tls is not None:
            self._sockets = sockets
            self._servers = await self._open_tls(self._tls)
            return
        loop = asyncio.get_running_loop()

        def connect() -> HttpProtocol:
            return HttpProtocol(loop, self._exchange, self.port)

        for one in sockets:
            opening = loop.create_unix_server if one.family == AF_UNIX else loop.create_server
            self._servers.append(await opening(connect, sock=one, backlog=BACKLOG))

    async def _open_tls(self, tls: TlsContexts) -> list[asyncio.AbstractServer]:
        """Opens servers on the same sockets with the current TLS context.

        Open connections keep the context they started with.
        """
        loop = asyncio.get_running_loop()
        return [
            await loop.create_server(
                lambda: TlsProtocol(loop, self._exchange, self.port),
                sock=one.dup(),
                backlog=BACKLOG,
                ssl=tls.context,
                ssl_handshake_timeout=self._exchange.limits.header_timeout_s,
                ssl_shutdown_timeout=self._exchange.limits.body_timeout_s,
            )
            for one in self._sockets
        ]

    async def _renew_tls(self) -> None:
        if self._tls is not None and self._tls.renewed():
            before, self._servers = self._servers, await self._open_tls(self._tls)
            for server in before:
                server.close()

    async def sweep(self) -> None:
        """Updates the date and enforces the time limits of connections, until cancelled."""
        limits = self._exchange.limits
        shortest_s = min(limits.header_timeout_s, limits.body_timeout_s, limits.keep_alive_s)
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(_SWEEP_EVERY_S, shortest_s / 4))
            self.port.date = http_date()
            await self._renew_tls()
            now_s = loop.time()
            for connection in list(self.port.connections):
                connection.sweep(now_s, limits)
            self.port.slow.sweep(now_s)

    async def close(self, grace_s: float = _GRACE_S) -> None:
        """Stops accepting, waits up to `grace_s` seconds for requests in progress, then aborts."""
        for server in self._servers:
            server.close()
        for one in self._sockets:
            one.close()
        self.port.write_batch.flush()
        for connection in list(self.port.connections):
            connection.close_when_idle()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + grace_s
        while loop.time() < until_s and any(c.is_busy for c in self.port.connections):  # noqa: ASYNC110 - once
            await asyncio.sleep(_CLOSING_STEP_S)
        for connection in list(self.port.connections):
            await connection.abort()
        await asyncio.sleep(0)


@asynccontextmanager
async def open_listener(
    listen: str,
    exchange: Exchange,
    *,
    tls: TlsServer | None = None,
    sockets: Sockets | None = None,
) -> AsyncIterator[Listener]:
    """Opens a port that serves while the block runs; at its end, requests in progress finish.

    `sockets` are open sockets that already listen on `listen`; without them it opens new ones.
    Several listeners can be open at once, each with a separate exchange and separate endpoints.

    Raises:
        ListenError: the port cannot be opened.
        TlsError: the TLS files are invalid or cannot be read.
    """
    contexts = None if tls is None else TlsContexts(tls)
    sockets = open_sockets(listen) if sockets is None else sockets
    listener = Listener(exchange, address_of(listen, sockets), contexts)
    await listener.start(sockets)
    sweeper = asyncio.create_task(listener.sweep())
    try:
        yield listener
    finally:
        await listener.close()
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper

"""Listeners: a port, its connections, and their orderly end."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from gateway.config.model import Config
from gateway.frontend.exchange import Exchange
from gateway.frontend.outbox import Outbox
from gateway.frontend.protocol import HttpProtocol
from gateway.frontend.response_bytes import http_date

_BACKLOG = 1024
_GRACE_S = 10.0
_SWEEP_EVERY_S = 0.5
_CLOSING_STEP_S = 0.01


class ListenError(Exception):
    """A port that cannot be had; the text says which and why."""


class Listener:
    """An open port."""

    def __init__(self, exchange: Exchange) -> None:
        self.address = ""
        self.connections: set[HttpProtocol] = set()
        self.date = http_date()
        self.outbox = Outbox(asyncio.get_running_loop())
        self._exchange = exchange
        self._server: asyncio.AbstractServer | None = None

    async def start(self, listen: str) -> None:
        """Opens the port.

        Raises:
            ListenError: it is taken, or is none of this machine's.
        """
        loop = asyncio.get_running_loop()

        def connect() -> HttpProtocol:
            return HttpProtocol(loop, self._exchange, self)

        try:
            if listen.startswith("unix:"):
                path = listen.removeprefix("unix:")
                self._server = await loop.create_unix_server(connect, path, backlog=_BACKLOG)
                self.address = listen
                return
            host, port = parse_address(listen)
            server = await loop.create_server(connect, host, port, backlog=_BACKLOG)
        except OSError as error:
            raise ListenError(_why(listen, error)) from None
        self._server = server
        name = f"[{host}]" if ":" in host else host
        self.address = f"{name}:{server.sockets[0].getsockname()[1]}"

    async def sweep(self) -> None:
        """Keeps the date and ends what takes too long, until cancelled."""
        limits = self._exchange.limits
        shortest_s = min(limits.header_timeout_s, limits.body_timeout_s, limits.keep_alive_s)
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(_SWEEP_EVERY_S, shortest_s / 4))
            self.date = http_date()
            now_s = loop.time()
            for connection in list(self.connections):
                connection.sweep(now_s, limits)

    async def close(self, grace_s: float = _GRACE_S) -> None:
        """Accepts no more, lets requests under way finish for a while, then ends them."""
        if self._server is not None:
            self._server.close()
        self.outbox.flush()
        for connection in list(self.connections):
            connection.close_when_idle()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + grace_s
        while loop.time() < until_s and any(c.is_busy for c in self.connections):  # noqa: ASYNC110 - once
            await asyncio.sleep(_CLOSING_STEP_S)
        for connection in list(self.connections):
            await connection.abort()
        await asyncio.sleep(0)


def parse_address(listen: str) -> tuple[str, int]:
    """The host and port of `host:port`; an IPv6 address stands in brackets.

    Raises:
        ListenError: it is neither.
    """
    host, colon, port = listen.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    is_port = port.isascii() and port.isdigit() and int(port) <= 65535
    if not colon or not is_port or (":" in host) is not bracketed:
        raise ListenError(f"cannot listen on {listen!r}: expected HOST:PORT or unix:/path")
    return host or "0.0.0.0", int(port)  # noqa: S104 - ":8080" asks for every interface


def _why(listen: str, error: OSError) -> str:
    reasons = {
        errno.EADDRINUSE: "the port is taken; "
        "choose another with --listen HOST:PORT or GATEWAY_LISTEN",
        errno.EACCES: "not allowed; ports below 1024 need privileges",
    }
    reason = reasons.get(error.errno or 0, "this machine has no such address")
    return f"cannot listen on {listen}: {reason}"


@asynccontextmanager
async def open_listener(config: Config, exchange: Exchange) -> AsyncIterator[Listener]:
    """A port that serves while the block runs; requests under way are finished in the end."""
    listener = Listener(exchange)
    await listener.start(config.listen)
    sweeper = asyncio.create_task(listener.sweep())
    try:
        yield listener
    finally:
        await listener.close()
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper

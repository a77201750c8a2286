"""Listeners: a port, its connections, and their graceful shutdown."""

import asyncio
import errno
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from functools import partial
from socket import AF_UNIX, socket
from typing import Any

from gateway.config.limits import Limits
from gateway.config.tls import TlsServer
from gateway.http.responder import Responder
from gateway.listeners.http1.protocol import HttpProtocol
from gateway.listeners.http1.response_bytes import http_date
from gateway.listeners.port import Port
from gateway.listeners.sockets import (
    BACKLOG,
    ListenError,
    Sockets,
    address_of,
    copy_of,
    end_socket,
    keep_rebindable,
    open_sockets,
    why_not,
)
from gateway.listeners.spare_files import has_spare_files
from gateway.listeners.tls import TlsContexts, TlsProtocol
from gateway.telemetry.event import about

logger = logging.getLogger("gateway")

_GRACE_S = 10.0
_SWEEP_EVERY_S = 0.5
_CLOSING_STEP_S = 0.01
_PAUSE_S = 0.1
_SAY_EVERY_S = 60.0
_OWN = 0
_KEEP_FILE: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
"""Keeps the file of a unix socket, which later servers use, at the end of a server on it."""
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors of accept(2) without resources; it takes no connection from the backlog then."""


class Listener:
    """An open port."""

    def __init__(self, responder: Responder, address: str, tls: TlsContexts | None = None) -> None:
        self.address = address
        self.port = Port(asyncio.get_running_loop(), responder.limits)
        self._responder = responder
        self._tls = tls
        self._sockets: dict[int, Sockets] = {}
        """The sockets that connections are accepted from: its own, and those of workers that cannot
        answer."""
        self._servers: dict[int, list[asyncio.AbstractServer]] = {}
        self._is_paused = False
        """True while connections wait in the backlog, because hardly a file descriptor is free."""
        self._is_asyncio = isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop)
        self._said_s = -_SAY_EVERY_S
        self._limits = responder.limits
        self._last: set[asyncio.Task[object]] = set()
        """The tasks that open the last connections."""
        self._late: list[tuple[socket, Callable[[], None]]] = []
        """The sockets whose last connections are not accepted yet, each with its end."""

    async def start(self, sockets: Sockets) -> None:
        """Serves on bound sockets, and takes ownership of them.

        Raises:
            ListenError: another process listens there already.
        """
        try:
            await self.accept_from(_OWN, sockets)
        except OSError as error:
            raise ListenError(why_not(self.address, error)) from None
        keep_rebindable(sockets)

    async def accept_from(self, number: int, sockets: Sockets) -> None:
        """Accepts connections of these sockets too, without owning them, until `cease`.

        `number` identifies them: 1 or more.
        """
        self._sockets[number] = sockets
        if self._is_paused:
            return
        opened = await self._open(sockets)
        if self._is_paused or number not in self._sockets:  # it changed meanwhile
            _close(opened)
        else:
            self._servers[number] = opened

    @property
    def own_sockets(self) -> Sockets:
        """The sockets that it owns."""
        return self._sockets.get(_OWN, [])

    def cease(self, number: int) -> None:
        """Stops accepting connections of sockets that were passed to `accept_from`."""
        _close(self._servers.pop(number, ()))
        self._sockets.pop(number, None)

    @property
    def connections(self) -> set[Any]:
        """The open connections (`HttpProtocol`)."""
        return self.port.connections

    def load(self) -> tuple[int, int, int]:
        """Returns the number of open connections, of those with a request in progress, and of
        those that are WebSockets."""
        connections = self.port.connections
        busy = sum(one.is_busy for one in connections)
        upgraded = sum(one.is_upgraded for one in connections)
        return len(connections), busy, upgraded

    def tls_reloads(self) -> tuple[int, int]:
        """Returns how many changes of the TLS files were put into use, and how many refused."""
        return (0, 0) if self._tls is None else (self._tls.reloads, self._tls.refusals)

    def apply(self, limits: Limits) -> None:
        """Applies new limits; open connections keep those of their messages' sizes."""
        self._limits = limits
        self.port.apply(limits)

    async def _open(self, sockets: Sockets) -> list[asyncio.AbstractServer]:
        """Opens servers on these sockets with the current TLS context.

        Open connections keep the context they started with. A server closes its socket at its end,
        so each gets a duplicate.
        """
        loop = asyncio.get_running_loop()
        if self._tls is not None:
            return [
                await loop.create_server(
                    self._connection,
                    sock=copy_of(one),
                    backlog=BACKLOG,
                    ssl=self._tls.context,
                    ssl_handshake_timeout=self._limits.header_timeout_s,
                    ssl_shutdown_timeout=self._limits.body_timeout_s,
                )
                for one in sockets
            ]
        servers: list[asyncio.AbstractServer] = []
        for one in sockets:
            own = copy_of(one)
            if one.family == AF_UNIX:
                opening = loop.create_unix_server(
                    self._connection, sock=own, backlog=BACKLOG, **_KEEP_FILE
                )
            else:
                opening = loop.create_server(self._connection, sock=own, backlog=BACKLOG)
            servers.append(await opening)
        return servers

    def _connection(self) -> HttpProtocol:
        loop = asyncio.get_running_loop()
        if not self._is_paused and not self._can_accept():
            loop.call_soon(self._pause)  # this one is accepted only now
        kind = HttpProtocol if self._tls is None else TlsProtocol
        return kind(loop, self._responder, self.port)

    @property
    def has_handshakes(self) -> bool:
        """True while one of the last connections waits or is being opened."""
        return bool(self._last or self._late)

    def stop_accepting(self, *, is_port_closed: bool, idle_s: float) -> None:
        """Accepts the connections that wait, and no more; connections end with their next answer.

        An idle connection is closed after `idle_s` seconds. With `is_port_closed`, other processes
        that hold the same sockets cannot accept any more either.
        """
        own = self._sockets.get(_OWN, [])
        for number, sockets in list(self._sockets.items()):
            self.cease(number)
            for one in sockets:
                end = (
                    partial(end_socket, one, is_port_closed=is_port_closed)
                    if one in own
                    else _nothing
                )
                self._late.append((one, end))
        self._accept_late()
        if self._late:
            text = "%s: no file descriptor is free to accept the last connections; trying again"
            logger.error(text, self.address, extra=about("gateway.connections.waiting"))
        keep_alive_s = min(self._limits.keep_alive_s, idle_s)
        self._limits = self._limits.model_copy(update={"keep_alive_s": keep_alive_s})
        self.port.drain(asyncio.get_running_loop().time())

    def _accept_late(self) -> None:
        """Accepts the last connections of sockets, and ends the sockets that have no more.

        Without a free file descriptor a socket is left for the next sweep.
        """
        late, self._late = self._late, []
        for listening, end in late:
            if self._accept_waiting(listening):
                end()
            else:
                self._late.append((listening, end))

    def _accept_waiting(self, listening: socket) -> bool:
        """Accepts the connections in the backlog, which the kernel would reset.

        Returns False if some wait that the process has no file descriptor or memory for.
        """
        loop = asyncio.get_running_loop()
        listening.settimeout(0)
        while True:
            try:
                accepted, _ = listening.accept()
            except ConnectionAbortedError:  # this client has left; others may wait (accept(2))
                continue
            except OSError as error:  # with BlockingIOError, none is left
                return error.errno not in _SHORTAGES
            tls = None if self._tls is None else self._tls.context
            opening = loop.connect_accepted_socket(
                self._connection,
                accepted,
                ssl=tls,
                ssl_handshake_timeout=None if tls is None else self._limits.header_timeout_s,
            )
            task = loop.create_task(_opened(opening))
            self._last.add(task)
            task.add_done_callback(self._last.discard)

    def _can_accept(self) -> bool:
        """Returns False if a further connection could find no file descriptor."""
        # asyncio's own loop leaves connections in the backlog and tries again after a second.
        return self._is_asyncio or has_spare_files()

    def _pause(self) -> None:
        """Leaves new connections in the backlog until file descriptors are free."""
        if self._is_paused or not self._sockets:  # it has stopped, too
            return
        self._is_paused = True
        for servers in self._servers.values():
            _close(servers)
        self._servers.clear()
        now_s = time.monotonic()
        if now_s - self._said_s >= _SAY_EVERY_S:
            self._said_s = now_s
            text = "%s: hardly a file descriptor is free (RLIMIT_NOFILE): new connections wait"
            logger.error(text, self.address, extra=about("gateway.connections.waiting"))

    async def _check_files(self) -> None:
        """Pauses, or accepts again, as there are file descriptors."""
        if not self._can_accept():
            self._pause()
        elif self._is_paused:
            self._is_paused = False
            try:
                for number, sockets in list(self._sockets.items()):
                    await self.accept_from(number, sockets)
            except OSError:
                self._pause()

    async def _renew_tls(self) -> None:
        if self._tls is None or self._is_paused or not self._tls.renewed():
            return
        for number, sockets in list(self._sockets.items()):
            before, opened = self._servers.get(number, []), await self._open(sockets)
            if self._is_paused or number not in self._sockets:  # it changed meanwhile
                before = opened
            else:
                self._servers[number] = opened
            _close(before)

    async def sweep(self) -> None:
        """Updates the date and enforces the time limits of connections, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            limits = self._limits
            shortest_s = min(limits.header_timeout_s, limits.body_timeout_s, limits.keep_alive_s)
            every_s = _PAUSE_S if self._is_paused else _SWEEP_EVERY_S
            await asyncio.sleep(min(every_s, shortest_s / 4))
            self.port.date = http_date()
            if self._late:
                self._accept_late()
            await self._check_files()
            try:
                await self._renew_tls()
            except Exception:
                logger.exception("TLS could not start to use its new certificates")
            self._enforce_limits(loop.time(), self._limits)

    def _enforce_limits(self, now_s: float, limits: Limits) -> None:
        # A fault in one connection ends this connection, not the time limits of all others.
        for connection in list(self.port.connections):
            try:
                connection.sweep(now_s, limits)
            except Exception:
                logger.exception("the time limits of a connection could not be enforced")
                if connection.transport is not None:
                    connection.transport.abort()
        try:
            self.port.slow.sweep(now_s)
        except Exception:
            logger.exception("slow clients could not be looked for")

    async def close(self, grace_s: float = _GRACE_S) -> None:
        """Stops accepting, waits up to `grace_s` seconds for requests in progress, then aborts."""
        own = self._sockets.get(_OWN, ())
        for number in list(self._sockets):
            self.cease(number)
        for one in own:
            one.close()
        for _, end in self._late:
            end()
        self._late.clear()
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


def _close(servers: Iterable[asyncio.AbstractServer]) -> None:
    for server in servers:
        server.close()


def _nothing() -> None:
    """Leaves a socket open that belongs to another worker."""


async def _opened(opening: Awaitable[object]) -> None:
    # The client may leave before its connection is open, which is no failure of the gateway.
    with suppress(OSError):
        await opening


def read_tls(tls: TlsServer | None) -> TlsContexts | None:
    """Reads the TLS files of a listener, if it has any.

    Raises:
        TlsError: a file is invalid or cannot be read.
    """
    return None if tls is None else TlsContexts(tls)


@asynccontextmanager
async def open_listener(
    listen: str,
    responder: Responder,
    *,
    tls: TlsServer | None = None,
    sockets: Sockets | None = None,
) -> AsyncIterator[Listener]:
    """Opens a port that serves while the block runs; at its end, requests in progress finish.

    `sockets` are open sockets that are bound to `listen` already; without them it opens new ones.
    Several listeners can be open at once, each with a separate exchange and separate endpoints.

    Raises:
        ListenError: the port cannot be opened.
        TlsError: the TLS files are invalid or cannot be read.
    """
    contexts = read_tls(tls)
    sockets = open_sockets(listen) if sockets is None else sockets
    listener = Listener(responder, address_of(listen, sockets), contexts)
    await listener.start(sockets)
    sweeper = asyncio.create_task(listener.sweep())
    try:
        yield listener
    finally:
        await listener.close(0 if listener.port.is_draining else _GRACE_S)
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper

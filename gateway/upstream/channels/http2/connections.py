"""The connections to one endpoint: opened when needed, never too many, never too often."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from gateway.telemetry.logs.program import about
from gateway.upstream.channels.http2.address import Address
from gateway.upstream.channels.http2.socket import Http2Socket
from gateway.upstream.channels.status_details import deadline_exceeded, unavailable

logger = logging.getLogger("gateway.upstream.channels.http2")

MAX_CONNECTIONS = 8
_CONNECT_TIMEOUT_S = 20.0
# gRPC's backoff (connection-backoff.md), with a cap that suits services that come back soon.
_BACKOFF_START_S, _BACKOFF_FACTOR, _BACKOFF_CAP_S, _BACKOFF_JITTER = 0.2, 1.6, 5.0, 0.2


class Connections:
    """Finds room for a call: on an open connection, on a new one, or as soon as there is some."""

    def __init__(self, name: str, address: Address, loop: asyncio.AbstractEventLoop) -> None:
        self.waiting: deque[asyncio.Future[None]] = deque()
        """Who waits for room, first come first."""
        self._name = name
        self._address = address
        self._loop = loop
        self._sockets: list[Http2Socket] = []
        self._connecting: asyncio.Task[None] | None = None
        self._closed = False
        self._failures = 0
        self._retry_at_s = 0.0

    def __len__(self) -> int:
        return len(self._sockets)

    def __iter__(self) -> Iterator[Http2Socket]:
        return iter(self._sockets)

    def ready(self) -> Http2Socket | None:
        """A connection with room for a call, if there is one."""
        for socket in self._sockets:
            if socket.can_open:
                return socket
        return None

    async def room(self, deadline_s: float | None) -> Http2Socket:
        """A connection with room for a call, opened or waited for.

        Raises:
            StatusError: the back end cannot be reached, or the deadline came first.
        """
        returning = False
        try:
            async with asyncio.timeout_at(deadline_s):
                while (socket := self.ready()) is None:
                    self._open_another()
                    await self._wait(returning=returning)
                    returning = True
                return socket
        except TimeoutError:
            raise deadline_exceeded() from None

    def wake_one(self) -> None:
        """Lets whoever waits longest look for room."""
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def close(self) -> None:
        """Opens no connection any more; whoever waits for one is told."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        self._wake_all()

    def hang_up(self) -> None:
        """Says goodbye on every connection."""
        for socket in list(self._sockets):
            socket.close()

    def _open_another(self) -> None:
        """Starts one more connection, where none is on its way and another one may help."""
        alive = sum(not socket.connection.draining for socket in self._sockets)
        if self._closed:
            raise unavailable(self._name)
        if self._connecting is not None or alive >= MAX_CONNECTIONS:
            return
        if self._loop.time() >= self._retry_at_s:
            self._connecting = self._loop.create_task(self._connect())
        elif not alive:
            raise unavailable(self._name)

    async def _wait(self, *, returning: bool) -> None:
        waiter: asyncio.Future[None] = self._loop.create_future()
        if returning:
            self.waiting.appendleft(waiter)
        else:
            self.waiting.append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter in self.waiting:
                self.waiting.remove(waiter)
            elif waiter.done() and not waiter.cancelled():
                self.wake_one()  # it was this one's turn, and must not be lost
            raise

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                socket = await self._address.connect(self._loop, self._changed)
        except TimeoutError:
            self._back_off(f"no answer in {_CONNECT_TIMEOUT_S:g} s")
        except OSError as error:
            # A lone reset says little, and whoever waits has sent nothing: the second try is now.
            self._back_off(str(error), at_once=self._failures == 0)
        else:
            if not self._sockets:
                extra = about("gateway.upstream.up", gateway__upstream=self._name)
                logger.info("upstream %s is connected", self._name, extra=extra)
            self._failures = 0
            self._sockets.append(socket)
        finally:
            self._connecting = None
            self._wake_all()

    def _back_off(self, reason: str, *, at_once: bool = False) -> None:
        delay_s = min(_BACKOFF_CAP_S, _BACKOFF_START_S * _BACKOFF_FACTOR**self._failures)
        jitter = random.uniform(1 - _BACKOFF_JITTER, 1 + _BACKOFF_JITTER)  # noqa: S311 - no secret
        self._failures += 1
        self._retry_at_s = self._loop.time() + (0.0 if at_once else delay_s * jitter)
        logger.warning(
            "upstream %s is unavailable: %s",
            self._name,
            reason,
            extra=about("gateway.upstream.down", gateway__upstream=self._name),
        )

    def _changed(self, socket: Http2Socket) -> None:
        if socket.lost and socket in self._sockets:
            self._sockets.remove(socket)
            if socket.connection.pings_too_often:
                self._ping_less()
            if socket.connection.unused and not self._closed:
                # Saves calling again at once, and for ever, whoever hangs up on every caller.
                self._back_off("it closed a connection before any call")
        self._wake_all()

    def _ping_less(self) -> None:
        """Waits twice as long before a ping on the connections to come (gRFC A8)."""
        if (keepalive := self._address.keepalive) is not None:
            fewer = replace(keepalive, after_s=keepalive.after_s * 2)
            self._address = replace(self._address, keepalive=fewer)
            logger.warning(
                "upstream %s objects to pings: now after %g s", self._name, fewer.after_s
            )

    def _wake_all(self) -> None:
        for _ in range(len(self.waiting)):
            self.wake_one()

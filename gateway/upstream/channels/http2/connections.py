"""The connections to one endpoint: opened when needed, never too many, never too often."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from gateway.config.model import Upstream
from gateway.telemetry.event import about
from gateway.upstream.channels.http2.address import Address, why
from gateway.upstream.channels.http2.socket import Http2Socket
from gateway.upstream.channels.status_details import deadline_exceeded, overloaded, unavailable

_MOST_SAID = 100
"""How many different troubles are remembered, so that the log does not repeat them."""

logger = logging.getLogger("gateway.upstream.channels.http2")

_SAY_AGAIN_S = 60.0
"""How often the log repeats what has not changed."""
# gRPC's backoff (connection-backoff.md), with a cap that suits services that come back soon.
_BACKOFF_START_S, _BACKOFF_FACTOR, _BACKOFF_CAP_S, _BACKOFF_JITTER = 0.2, 1.6, 5.0, 0.2


class Connections:
    """Finds room for a call: on an open connection, on a new one, or as soon as there is some."""

    def __init__(
        self, name: str, upstream: Upstream, address: Address, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.waiting: deque[asyncio.Future[None]] = deque()
        """Who waits for room, first come first."""
        self._name = name
        self._upstream = upstream
        self._address = address
        self._loop = loop
        self._sockets: list[Http2Socket] = []
        self._connecting: asyncio.Task[None] | None = None
        self._closed = False
        self._failures = 0
        self._retry_at_s = 0.0
        self._said: dict[str, float] = {}

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
            StatusError: the back end cannot be reached, too many calls wait for it, or the
                deadline came first.
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
        if self._closed:
            raise unavailable(self._name)
        open_ones = [socket for socket in self._sockets if not socket.connection.draining]
        stale = [socket for socket in open_ones if socket.is_stale]
        for socket in stale:
            socket.probe()
        if stale or self._connecting is not None:
            return
        if len(open_ones) >= self._upstream.max_connections:
            return
        wait_s = self._retry_at_s - self._loop.time()
        if wait_s <= 0:
            self._connecting = self._loop.create_task(self._connect())
        elif not open_ones:
            raise unavailable(self._name, wait_s)

    async def _wait(self, *, returning: bool) -> None:
        waiter: asyncio.Future[None] = self._loop.create_future()
        if returning:
            self.waiting.appendleft(waiter)
        elif len(self.waiting) >= self._upstream.max_pending:
            self._say_full()
            raise overloaded(self._name)
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
            async with asyncio.timeout(self._upstream.connect_timeout_s):
                socket = await self._address.connect(self._loop, self._changed)
        except TimeoutError:
            self._back_off(f"no answer in {self._upstream.connect_timeout_s:g} s")
        except OSError as error:
            # A lone reset says little, and whoever waits has sent nothing: the second try is now.
            self._back_off(why(error), at_once=self._failures == 0)
        except ValueError:
            # No resolver can be asked for it. Without a pause, waiting calls would try on and on.
            self._back_off("it is not a host name")
        except Exception:
            # A fault of ours: without a pause, waiting calls would try on and on.
            logger.exception("upstream %s: a connection could not be opened", self._name)
            self._back_off("internal error")
        else:
            if not self._sockets:
                extra = about("gateway.upstream.up", gateway__upstream=self._name)
                logger.info("upstream %s is connected", self._name, extra=extra)
            self._failures = 0
            self._said.clear()
            self._sockets.append(socket)
        finally:
            self._connecting = None
            self._wake_all()

    def _back_off(self, reason: str, *, at_once: bool = False) -> None:
        delay_s = min(_BACKOFF_CAP_S, _BACKOFF_START_S * _BACKOFF_FACTOR**self._failures)
        jitter = random.uniform(1 - _BACKOFF_JITTER, 1 + _BACKOFF_JITTER)  # noqa: S311 - no secret
        self._failures += 1
        self._retry_at_s = self._loop.time() + (0.0 if at_once else delay_s * jitter)
        self._warn("gateway.upstream.down", f"is unavailable: {self._address}: {reason}")

    def _say_full(self) -> None:
        most = self._upstream.max_pending
        self._warn("gateway.upstream.full", f"is too slow: {most} calls wait (max_pending)")

    def _warn(self, event: str, text: str) -> None:
        """Logs what is wrong, but not again soon what has been said."""
        now_s = self._loop.time()
        if now_s < self._said.get(text, 0.0):
            return
        if len(self._said) >= _MOST_SAID:
            self._said.clear()
        self._said[text] = now_s + _SAY_AGAIN_S
        extra = about(event, gateway__upstream=self._name, server__address=str(self._address))
        logger.warning("upstream %s %s", self._name, text, extra=extra)

    def _changed(self, socket: Http2Socket) -> None:
        if socket.lost and socket in self._sockets:
            self._sockets.remove(socket)
            if socket.connection.pings_too_often:
                self._ping_less()
            if socket.connection.unused and not self._closed:
                # Saves calling again at once, and for ever, whoever hangs up on every caller.
                self._back_off(socket.failure or "it closed a connection before any call")
            elif socket.failure and not self._closed:
                self._say_lost(socket)
        self._wake_all()

    def _say_lost(self, socket: Http2Socket) -> None:
        """Logs why a connection ended, which ended every call on it."""
        logger.warning(
            "upstream %s: the connection to %s ended: %s",
            self._name,
            socket.peer,
            socket.failure,
            extra=about(
                "gateway.upstream.connection_lost",
                gateway__upstream=self._name,
                server__address=socket.peer,
            ),
        )

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

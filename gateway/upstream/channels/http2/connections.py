"""The connections to one endpoint: opened when needed, never too many, never too often."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

from gateway.config.upstreams import Upstream
from gateway.telemetry.event import about
from gateway.upstream.channels.failures import late_before_sending, overloaded, unreachable
from gateway.upstream.channels.http2.address import Address, why
from gateway.upstream.channels.http2.ages import Ages
from gateway.upstream.channels.http2.socket import Http2Socket, with_room
from gateway.upstream.endpoint import State
from gateway.upstream.watched_connections import SHUT_DOWN, UNWATCHED, WatchConnections

_BRIEF_S = 10.0
"""Seconds after which a connection that ends unused is one that the back end found idle."""
_MOST_WARNINGS = 100
"""The most different warnings remembered, so that the log does not repeat them."""

logger = logging.getLogger("gateway.upstream.channels.http2")

_WARN_AGAIN_S = 60.0
"""Seconds until the log repeats an unchanged warning."""
# gRPC's backoff (connection-backoff.md), with a cap that suits services that come back soon.
_BACKOFF_START_S, _BACKOFF_FACTOR, _BACKOFF_CAP_S, _BACKOFF_JITTER = 0.2, 1.6, 5.0, 0.2


class Pending:
    """The calls that wait for connections, to all endpoints of an upstream together."""

    def __init__(self, refused: Callable[[str, str], None] | None = None) -> None:
        """`refused` is called with the limit and a text for each call that is refused."""
        self.count = 0
        self.at_limit = 0
        """The number of endpoints that have as many connections as they may."""
        self._refused = refused

    def refuse(self, limit: str, text: str) -> None:
        """Reports a call that is refused."""
        if self._refused is not None:
            self._refused(limit, text)


class Connections:
    """Finds a connection with room for a call: an open one, a new one, or the next to be free."""

    def __init__(
        self,
        name: str,
        upstream: Upstream,
        address: Address,
        loop: asyncio.AbstractEventLoop,
        pending: Pending,
        *,
        watch: WatchConnections = UNWATCHED,
    ) -> None:
        self.waiting: deque[asyncio.Future[None]] = deque()
        """Calls that wait for room, in order of arrival."""
        self.on_change: Callable[[], None] | None = None
        """Called when `state` has changed."""
        self.failure = ""
        """The reason why no connection is possible; empty if one is."""
        self._name = name
        self._upstream = upstream
        self._max_connections = upstream.max_connections
        self._address = address
        self._loop = loop
        self._pending = pending
        self._watch = watch
        self.sockets: list[Http2Socket] = []
        """The open connections: always this list."""
        self._is_at_limit = False
        self._connecting: asyncio.Task[None] | None = None
        self._closed = False
        self._failures = 0
        self._retry_at_s = 0.0
        self._keeps_open = False
        self._redial: asyncio.TimerHandle | None = None
        self._reported = State.IDLE
        self._warned: dict[str, float] = {}
        self._ages = Ages(upstream, loop, self._grown_old, self._unused)
        self._old: deque[Http2Socket] = deque()
        self._successor: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self.sockets)

    def __iter__(self) -> Iterator[Http2Socket]:
        return iter(self.sockets)

    @property
    def state(self) -> State:
        """The state of the endpoint; `FAILING` until it is connected (gRFC A62)."""
        if any(not socket.connection.draining for socket in self.sockets):
            return State.READY
        if self._failures:
            return State.FAILING
        return State.IDLE if self._connecting is None else State.CONNECTING

    @property
    def is_full(self) -> bool:
        """True if a call would wait for others: no connection has room, and no more may be opened,
        or calls wait already. A silent connection is not full: a call has to come to ask it."""
        if not self.waiting and len(self.sockets) < self._max_connections:
            return False  # see `Pending`: then nobody asks
        if self.ready() is not None:
            return False
        open_ones = [one for one in self.sockets if not one.connection.draining]
        if any(one.is_stale for one in open_ones):
            return False
        return bool(self.waiting) or len(open_ones) >= self._max_connections

    def keep_open(self) -> None:
        """Connects now, and again whenever no connection is left, with back-off."""
        self._keeps_open = True
        self._follow_state()

    def ready(self) -> Http2Socket | None:
        """A connection with room for a call, or None."""
        return with_room(self.sockets, self._loop.time())

    async def room(self, deadline_s: float | None) -> Http2Socket:
        """A connection with room for a call, opened or waited for.

        Raises:
            StatusError: the back end cannot be reached, too many calls wait for it, or the
                deadline came first.
        """
        waits = False
        try:
            async with asyncio.timeout_at(deadline_s):
                while (socket := self.ready()) is None:
                    self._open_another()
                    if not waits:
                        self._admit()
                    returning, waits = waits, True
                    await self._wait(returning=returning)
                return socket
        except TimeoutError:
            raise late_before_sending() from None
        finally:
            if waits:
                self._pending.count -= 1

    def _admit(self) -> None:
        """Counts one more call that waits; raises if too many do."""
        if self._pending.count >= self._upstream.max_pending:
            text = f"is too slow: {self._pending.count} calls wait (max_pending)"
            self._pending.refuse("max_pending", text)
            raise overloaded(self._name, f'too many calls wait for upstream "{self._name}"')
        self._pending.count += 1

    def wake_one(self) -> None:
        """Lets the call that waits longest look for room."""
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def close(self) -> None:
        """Opens no more connections; calls that wait for one fail."""
        self._closed = True
        self._ages.close()
        for timer in (self._redial, self._successor):
            if timer is not None:
                timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        self._wake_all()

    def close_all(self) -> None:
        """Closes all connections, each with a GOAWAY."""
        while self.sockets:
            # Counted now: the transport may close only after the last turn of the event loop.
            self._watch.ended(SHUT_DOWN)
            self.sockets.pop().close()
        self._follow_limit()

    def _open_another(self) -> None:
        """Starts one more connection, if none is being opened and the limit allows it."""
        if self._closed:
            raise unreachable(self._name)
        open_ones = [socket for socket in self.sockets if not socket.connection.draining]
        stale = [socket for socket in open_ones if socket.is_stale]
        for socket in stale:
            socket.probe()
        if stale or self._connecting is not None:
            return
        if len(open_ones) >= self._max_connections:
            return
        wait_s = self._retry_at_s - self._loop.time()
        if wait_s <= 0:
            self._dial()
        elif not open_ones:
            raise unreachable(self._name, wait_s)

    def _dial(self) -> None:
        self._connecting = self._loop.create_task(self._connect())
        self._follow_state()

    def _dial_again(self) -> None:
        self._redial = None
        if self._connecting is None and not self._closed and self.state is not State.READY:
            self._dial()

    def _follow_state(self) -> None:
        """Dials again if a connection is to be kept open and none is; reports a changed state."""
        state = self.state
        if self._keeps_open and state is not State.READY:
            self._redial_soon()
        if state is not self._reported:
            self._reported = state
            if self.on_change is not None and not self._closed:
                self.on_change()

    def _follow_limit(self) -> None:
        """Counts this endpoint among those at their limit of connections, or no more."""
        is_at_limit = len(self.sockets) >= self._max_connections
        if is_at_limit is not self._is_at_limit:
            self._is_at_limit = is_at_limit
            self._pending.at_limit += 1 if is_at_limit else -1

    def _redial_soon(self) -> None:
        """Dials after the pause of the back-off, unless that is already arranged."""
        if self._connecting is None and self._redial is None and not self._closed:
            wait_s = max(0.0, self._retry_at_s - self._loop.time())
            self._redial = self._loop.call_later(wait_s, self._dial_again)

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
                self.wake_one()  # this call was woken: pass its turn on
            raise

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(self._upstream.connect_timeout_s):
                socket = await self._address.connect(self._loop, self._changed)
        except TimeoutError:
            self._fail(f"no answer in {self._upstream.connect_timeout_s:g} s")
        except OSError as error:
            # One reset is no sign of an outage, and waiting calls were not sent: try again at once.
            self._fail(why(error), at_once=self._failures == 0)
        except ValueError:
            # No resolver takes the name. Back off, or waiting calls would retry in a tight loop.
            self._fail("it is not a host name")
        except Exception:
            # A fault of ours. Back off, or waiting calls would retry in a tight loop.
            logger.exception("upstream %s: a connection could not be opened", self._name)
            self._fail("internal error")
        else:
            self._watch.opened()
            if not self.sockets:
                self._say_up()
            self._failures = 0
            self.failure = ""
            self._warned.clear()
            self.sockets.append(socket)
            self._follow_limit()
            self._ages.opened(socket)
            if self._old:
                self._old.popleft().drain(self._upstream.drain_s)
        finally:
            self._connecting = None
            self._replace_old()
            self._follow_state()
            self._wake_all()

    def _grown_old(self, socket: Http2Socket) -> None:
        """Replaces a connection by a new one: it goes to the same server even if others are there
        by now, as a balancer of connections chose it when it was opened (gRFC A9)."""
        if socket.connection.draining:
            return
        if not socket.connection.streams and not self._keeps_open:
            socket.drain(self._upstream.drain_s)  # the next call opens another
            return
        self._old.append(socket)
        self._replace_old()

    def _replace_old(self) -> None:
        """Connects for the next old connection, which drains only then; with back-off."""
        if self._successor is not None:
            self._successor.cancel()
            self._successor = None
        if self._closed or self._connecting is not None or not self._old:
            return
        wait_s = self._retry_at_s - self._loop.time()
        if wait_s <= 0:
            self._dial()
        else:
            self._successor = self._loop.call_later(wait_s, self._replace_old)

    def _unused(self, socket: Http2Socket) -> None:
        """Closes a connection that had no call for long, but not the last where one is kept."""
        open_ones = [one for one in self.sockets if not one.connection.draining]
        if socket in open_ones and not (self._keeps_open and len(open_ones) == 1):
            socket.drain(self._upstream.drain_s)

    def _say_up(self) -> None:
        at = str(self._address)
        extra = about("gateway.upstream.up", gateway__upstream=self._name, server__address=at)
        logger.info("upstream %s is connected: %s", self._name, at, extra=extra)

    def _say_idle(self) -> None:
        at = str(self._address)
        extra = about("gateway.upstream.idle", gateway__upstream=self._name, server__address=at)
        logger.info(
            "upstream %s has no connection until its next call: %s", self._name, at, extra=extra
        )

    def _fail(self, reason: str, *, at_once: bool = False) -> None:
        """Counts a connection that could not be opened, and backs off."""
        self._watch.failed()
        self._back_off(reason, at_once=at_once)

    def _back_off(self, reason: str, *, at_once: bool = False) -> None:
        delay_s = min(_BACKOFF_CAP_S, _BACKOFF_START_S * _BACKOFF_FACTOR**self._failures)
        jitter = random.uniform(1 - _BACKOFF_JITTER, 1 + _BACKOFF_JITTER)  # noqa: S311 - no secret
        self._failures += 1
        self.failure = reason
        self._retry_at_s = self._loop.time() + (0.0 if at_once else delay_s * jitter)
        self._warn("gateway.upstream.down", f"is unavailable: {self._address}: {reason}")

    def _warn(self, event: str, text: str) -> None:
        """Logs a warning, but the same one at most once in `_WARN_AGAIN_S`."""
        now_s = self._loop.time()
        if now_s < self._warned.get(text, 0.0):
            return
        if len(self._warned) >= _MOST_WARNINGS:
            self._warned.clear()
        self._warned[text] = now_s + _WARN_AGAIN_S
        extra = about(event, gateway__upstream=self._name, server__address=str(self._address))
        logger.warning("upstream %s %s", self._name, text, extra=extra)

    def _changed(self, socket: Http2Socket) -> None:
        if socket.lost and socket in self.sockets:
            self.sockets.remove(socket)
            self._follow_limit()
            self._watch.ended(socket.ended_by)
            self._ages.lost(socket)
            if socket in self._old:
                self._old.remove(socket)
            if socket.connection.pings_too_often:
                self._ping_less()
            brief = self._loop.time() - socket.opened_at_s < _BRIEF_S
            if socket.connection.unused and brief and not (self._closed or socket.leaves):
                # Back off from a peer that closes every connection at once: otherwise we would
                # redial in a tight loop.
                self._back_off(socket.failure or "it closed a connection before any call")
            elif socket.failure and not self._closed:
                self._warn_lost(socket)
            elif not (self.sockets or self._closed or self._connecting):
                self._say_idle()
        self._follow_state()
        self._wake_all()

    def _warn_lost(self, socket: Http2Socket) -> None:
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

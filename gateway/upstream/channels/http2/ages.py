"""The ages of the connections to one endpoint: which are to be replaced, and which are not used."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.config.upstreams import Upstream
from gateway.upstream.channels.http2.socket import Http2Socket

_JITTER: Final = 0.1
"""gRFC A9: connections that began together must not all end together."""
_LOOKS: Final = 2
"""The looks in a row at which a connection without calls counts as idle. A time that each call
notes would be exact, but cost every call."""


@dataclass(slots=True)
class _Timers:
    age: asyncio.TimerHandle | None = None
    idle: asyncio.TimerHandle | None = None
    calls: int = 0
    looks: int = 0

    def cancel(self) -> None:
        for timer in (self.age, self.idle):
            if timer is not None:
                timer.cancel()


class Ages:
    """Watches connections, from when they are open until they are lost.

    `grown_old` is called once with each that is `max_connection_age_s` old, a tenth more or less;
    `unused` again and again with each that had no call for `idle_close_s`, and half as much more at
    most.
    """

    def __init__(
        self,
        upstream: Upstream,
        loop: asyncio.AbstractEventLoop,
        grown_old: Callable[[Http2Socket], None],
        unused: Callable[[Http2Socket], None],
    ) -> None:
        self._max_age_s = upstream.max_connection_age_s
        self._look_s = None if upstream.idle_close_s is None else upstream.idle_close_s / _LOOKS
        self._loop = loop
        self._grown_old = grown_old
        self._unused = unused
        self._timers: dict[Http2Socket, _Timers] = {}

    def opened(self, socket: Http2Socket) -> None:
        """Watches a new connection."""
        timers = self._timers[socket] = _Timers()
        if self._max_age_s is not None:
            age_s = self._max_age_s * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
            timers.age = self._loop.call_later(age_s, self._grown_old, socket)
        self._look_later(socket, timers)

    def lost(self, socket: Http2Socket) -> None:
        """Watches a connection no more."""
        timers = self._timers.pop(socket, None)
        if timers is not None:
            timers.cancel()

    def close(self) -> None:
        """Watches none any more."""
        for timers in self._timers.values():
            timers.cancel()
        self._timers.clear()

    def _look_later(self, socket: Http2Socket, timers: _Timers) -> None:
        if self._look_s is not None:
            timers.idle = self._loop.call_later(self._look_s, self._look, socket, timers)

    def _look(self, socket: Http2Socket, timers: _Timers) -> None:
        self._look_later(socket, timers)
        connection = socket.connection
        if connection.streams or connection.calls_begun != timers.calls:
            timers.calls, timers.looks = connection.calls_begun, 0
            return
        timers.looks += 1
        if timers.looks >= _LOOKS:
            self._unused(socket)

"""A connection on a socket: bytes between an asyncio transport and the state machine."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from gateway.upstream.channels.http2.connection import Connection
from gateway.upstream.channels.http2.incoming import ConnectionFailed

_LINGER_S = 1.0


@dataclass(frozen=True, slots=True)
class Keepalive:
    """When to ask a silent peer whether it is there, and how long to wait for its answer."""

    after_s: float
    timeout_s: float


class Http2Socket(asyncio.Protocol):
    """Feeds a `Connection`, and writes what it has to say once in each turn of the loop.

    `on_change` is told when there may be more, or no more, room for calls.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_change: Callable[["Http2Socket"], None],
        keepalive: Keepalive | None = None,
    ) -> None:
        self.loop = loop
        self.connection = Connection(loop.time)
        self.greeted: asyncio.Future[None] = loop.create_future()
        """Done once the peer has sent its first settings; a ConnectionError if it never will."""
        self.lost = False
        self._on_change = on_change
        self._keepalive = keepalive
        self._transport: asyncio.Transport | None = None
        self._flush_is_due = False
        self._paused = False
        self._settings_seen = 0
        self._timer: asyncio.TimerHandle | None = None
        self._heard = False
        self._asked = False

    @property
    def can_open(self) -> bool:
        """Whether a call may start here now."""
        return not self._paused and self.connection.can_open

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the preface."""
        self._transport = cast("asyncio.Transport", transport)
        self.flush()
        if self._keepalive is not None:
            self._timer = self.loop.call_later(self._keepalive.after_s, self._check_peer)

    def data_received(self, data: bytes) -> None:
        """Hands bytes on; a peer that breaks the protocol is told so and left."""
        self._heard = True
        connection = self.connection
        try:
            connection.receive(data)
        except ConnectionFailed as failure:
            self._close(failure)
            return
        if connection.has_output or connection.draining:
            self.flush_soon()
        if connection.settings_seen != self._settings_seen:
            self._settings_seen = connection.settings_seen
            if not self.greeted.done():
                self.greeted.set_result(None)
            self._on_change(self)

    def eof_received(self) -> None:
        """The peer says no more, so no call may start; asyncio closes the transport."""
        self.connection.draining = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends every call on this connection."""
        self._transport = None
        self.lost = True
        if self._timer is not None:
            self._timer.cancel()
        self.connection.lost()
        self._never_greeted(exc or ConnectionError("the peer closed the connection"))
        self._on_change(self)

    def pause_writing(self) -> None:
        """The peer reads too slowly: output stays with the connection."""
        self._paused = True

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._paused = False
        self.flush()
        self._on_change(self)

    def flush_soon(self) -> None:
        """Writes at the end of this turn of the loop, together with what else comes up."""
        if not self._flush_is_due:
            self._flush_is_due = True
            self.loop.call_soon(self.flush)

    def flush(self) -> None:
        """Writes what there is; closes when all calls of a connection that takes no more ended."""
        self._flush_is_due = False
        if self._transport is None:
            return
        if self.connection.has_output and not self._paused:
            self._transport.write(self.connection.take_output())
        if self.connection.draining and not self.connection.streams:
            self._end_transport()

    def close(self) -> None:
        """Says goodbye, and closes."""
        self.connection.close()
        self._close(ConnectionError("the channel was closed"))

    def _close(self, reason: Exception) -> None:
        self._never_greeted(reason)
        self.flush()
        self._end_transport()

    def _never_greeted(self, reason: Exception) -> None:
        if not self.greeted.done():
            self.greeted.set_exception(ConnectionError(str(reason)))
            self.greeted.exception()  # whoever waited for it may have gone

    def _end_transport(self) -> None:
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.close()
            # A peer that reads nothing would keep the socket open for ever.
            self.loop.call_later(_LINGER_S, transport.abort)

    def _check_peer(self) -> None:
        """Pings a peer that has calls but is silent, and leaves one that does not answer."""
        if self._keepalive is None or self._transport is None:
            return
        wait_s = self._keepalive.after_s
        if self._heard or not self.connection.streams:
            self._heard = self._asked = False
        elif self._asked:
            self._transport.abort()
            return
        else:
            self._asked = True
            self.connection.ping()
            self.flush()
            wait_s = self._keepalive.timeout_s
        self._timer = self.loop.call_later(wait_s, self._check_peer)

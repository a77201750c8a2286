"""Connects an asyncio transport and the HTTP/2 state machine."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final, cast

from gateway.http2.frames import ErrorCode
from gateway.http2.headers import MAX_HEADER_BYTES
from gateway.http2.incoming import ConnectionFailed
from gateway.http2.lent import MUCH_BYTES, LentConnection
from gateway.upstream.channels.http2.headers import ResponseDecoder
from gateway.upstream.watched_connections import SHUT_DOWN

_LINGER_S: Final = 1.0
"""Seconds for a peer to take the last bytes before its socket is closed anyway."""
_WORK_A_TURN: Final = 500
"""The most frames taken from one connection in one turn of the loop: one or two milliseconds."""
_LONG_TURN_S: Final = 0.005
"""Work that took longer than this is followed by a pause of the same length for others."""
_PROBE_S: Final = 1.0
"""Seconds for a silent connection to answer a ping, before a new one replaces it."""
_PROBE_WITH_CALLS_S: Final = 300.0
"""Seconds of silence before a connection with calls is pinged: gRPC servers object to pings more
often than every five minutes (gRFC A8), except for one after each answer."""
_READ_BYTES: Final = 256 * 1024
"""The most bytes that one read brings."""

_of_thread: Final = threading.local()


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Seconds of silence before a peer is pinged, and seconds to wait for its answer."""

    after_s: float
    timeout_s: float


class Http2Socket(asyncio.BufferedProtocol):
    """Feeds a `Connection`, and writes its output once in each turn of the loop.

    `on_change` is called when there may be more, or no more, room for calls. After `probe_after_s`
    of silence the peer is pinged, and has to answer before the next call.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_change: Callable[["Http2Socket"], None],
        keepalive: Keepalive | None = None,
        header_bytes: int = MAX_HEADER_BYTES,
        probe_after_s: float | None = None,
    ) -> None:
        self.loop = loop
        self.connection = LentConnection(ResponseDecoder(header_bytes), loop.time)
        self.greeted: asyncio.Future[None] = loop.create_future()
        """Done once the peer has sent its first settings; fails if the connection ends before."""
        self.lost = False
        self.failure = ""
        """The reason why the connection ended; empty if it ended in order."""
        self.ended_by = ""
        """The reason why it ended, in the words of gRFC A94; empty before."""
        self.peer = ""
        """The address that was reached."""
        self.opened_at_s = loop.time()
        self._on_change = on_change
        self._keepalive = keepalive
        self._transport: asyncio.Transport | None = None
        self._memory = _memory_of_thread()
        self._flush_is_due = False
        self._paused = False
        self._is_secured = False
        self._settings_seen = 0
        self._timer: asyncio.TimerHandle | None = None
        self._heard = False
        self._asked = False
        self._heard_at_s = self._began_s = loop.time()
        self._probe_after_s = inf if probe_after_s is None else probe_after_s
        self._probe: asyncio.TimerHandle | None = None
        self._end: asyncio.TimerHandle | None = None
        self.leaves = False
        """True if it takes no more calls by our decision."""
        self._closed_by_us = self._gave_up = False

    def can_open(self, now_s: float) -> bool:
        """True if a call may start here now."""
        if self._paused or not self.connection.can_open:
            return False
        return now_s - self._heard_at_s <= self._probe_after_s or not self.is_stale

    @property
    def is_stale(self) -> bool:
        """True if the peer was silent for so long that it has to answer a ping first."""
        silent_s = self.loop.time() - self._heard_at_s
        if silent_s <= self._probe_after_s:
            return False
        return not self.connection.streams or silent_s > _PROBE_WITH_CALLS_S

    def probe(self) -> None:
        """Pings the peer, and closes the connection if no answer comes soon."""
        if self._probe is None and self._transport is not None:
            self.connection.ping()
            self.flush()
            self._probe = self.loop.call_later(_PROBE_S, self._miss_answer)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the preface."""
        self._transport = cast("asyncio.Transport", transport)
        self.peer = _written(transport.get_extra_info("peername"))
        self._is_secured = transport.get_extra_info("ssl_object") is not None
        self._heard_at_s = self.loop.time()
        self.flush()
        if self._keepalive is not None:
            self._timer = self.loop.call_later(self._keepalive.after_s, self._check_peer)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """The memory for the next bytes, which all connections of a thread share."""
        return self._memory

    def buffer_updated(self, nbytes: int) -> None:
        """Passes bytes on; a peer that breaks the protocol gets a GOAWAY, and is closed."""
        self._heard = True
        self._heard_at_s = self._began_s = self.loop.time()
        lent = self._memory[:nbytes]
        self._take(lent if nbytes >= MUCH_BYTES else bytes(lent))
        if self._probe is not None:
            self._probe.cancel()
            self._probe = None
            self._on_change(self)

    def _take(self, data: bytes | memoryview) -> None:
        connection = self.connection
        try:
            if isinstance(data, bytes):
                connection.receive(data, _WORK_A_TURN)
            else:
                connection.receive_lent(data, _WORK_A_TURN)
        except ConnectionFailed as failure:
            self.failure = f"{failure} ({failure.code.name})"
            self._close(failure)
            return
        if connection.has_more:
            self._resume_later()
        if connection.output or connection.draining:
            self.flush_soon()
            if connection.draining:  # the back end leaves: another connection may be needed
                self._on_change(self)
        if connection.settings_seen != self._settings_seen:
            self._settings_seen = connection.settings_seen
            if not self.greeted.done():
                self.greeted.set_result(None)
            self._on_change(self)

    def _resume_later(self) -> None:
        """Lets others run before the remaining frames are taken, and stops reading until then."""
        if self._transport is None:
            return
        self._transport.pause_reading()
        took_s = self.loop.time() - self._began_s
        if took_s < _LONG_TURN_S:
            self.loop.call_soon(self._resume)
        else:
            self.loop.call_later(took_s, self._resume)

    def _resume(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._began_s = self.loop.time()
        self._take(b"")
        if not self.connection.has_more and not self._transport.is_closing():
            self._transport.resume_reading()

    def eof_received(self) -> None:
        """The peer sends no more, so no call may start; asyncio closes the transport."""
        self.connection.draining = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends every call on this connection."""
        self._transport = None
        self.lost = True
        for timer in (self._timer, self._probe, self._end):
            if timer is not None:
                timer.cancel()
        if not self._closed_by_us and not self.failure:
            self._take_the_rest()
            self.failure = self._how_it_ended(exc)
        self.ended_by = self._end_of(exc)
        self.connection.lost()
        self._never_greeted(exc or ConnectionError("the peer closed the connection"))
        self._on_change(self)

    def _take_the_rest(self) -> None:
        """Takes the frames that came before the connection was lost, and were put off."""
        if self.connection.has_more:
            try:
                self.connection.receive(b"")
            except ConnectionFailed as failure:
                self.failure = f"{failure} ({failure.code.name})"

    def _how_it_ended(self, exc: Exception | None) -> str:
        """The reason why the connection was lost; empty if no call was affected."""
        code, calls = self.connection.goaway_code, len(self.connection.streams)
        if self.failure:
            return self.failure
        if code is not None and code is not ErrorCode.NO_ERROR:
            return f"the back end sent GOAWAY with {code.name}"
        if not calls:
            return ""
        if exc is None:
            return f"the back end closed it with {calls} calls under way"
        return f"{getattr(exc, 'strerror', None) or exc} with {calls} calls under way"

    def _end_of(self, exc: Exception | None) -> str:
        """The reason why the connection has ended: `grpc.disconnect_error` of gRFC A94."""
        if self._closed_by_us or self.leaves:
            return SHUT_DOWN
        if self.connection.goaway_code is not None:
            return f"GOAWAY {self.connection.goaway_code.name}"
        if self._gave_up or isinstance(exc, TimeoutError):
            return "connection timed out"
        if isinstance(exc, ConnectionResetError | BrokenPipeError):
            return "connection reset"
        if isinstance(exc, ConnectionAbortedError):
            return "connection aborted"
        return "socket error" if isinstance(exc, OSError) else "unknown"

    def _miss_answer(self) -> None:
        """Takes no more calls; a slow peer may still answer those in progress."""
        self._probe = None
        if not self.connection.streams:
            self._give_up(_PROBE_S)
            return
        self.failure = f"a ping was not answered in {_PROBE_S:g} s"
        self._gave_up = True
        self.connection.draining = True
        self._on_change(self)

    def _give_up(self, after_s: float) -> None:
        """Closes the connection to a peer that did not answer a ping."""
        if self._transport is not None:
            self.failure = f"a ping was not answered in {after_s:g} s"
            self._gave_up = True
            self._transport.abort()

    def pause_writing(self) -> None:
        """The peer reads too slowly: output is kept in the connection."""
        self._paused = True

    def resume_writing(self) -> None:
        """The peer reads again: writes the kept output."""
        self._paused = False
        self.flush()
        self._on_change(self)

    def flush_soon(self) -> None:
        """Writes at the end of this turn of the loop, together with other output of the turn."""
        if not self._flush_is_due:
            self._flush_is_due = True
            self.loop.call_soon(self.flush)

    def flush(self) -> None:
        """Writes the output; closes a connection that takes no more calls after its last one."""
        self._flush_is_due = False
        if self._transport is None:
            return
        connection = self.connection
        if connection.output and not self._paused:
            is_joined = self._is_secured or not connection.has_large
            pieces = connection.take_pieces()
            if is_joined:  # TLS would make a record of each piece
                self._transport.write(b"".join(pieces))
            else:
                self._transport.writelines(pieces)
        if self.connection.draining and not self.connection.streams:
            self._end_transport()

    def drain(self, within_s: float) -> None:
        """Takes no more calls, and closes after the last one, or after `within_s`."""
        self.leaves = self.connection.draining = True
        self.flush()  # closes at once if there is no call
        self._end = self.loop.call_later(within_s, self.close)
        self._on_change(self)

    def close(self) -> None:
        """Sends a GOAWAY, and closes."""
        self._closed_by_us = True
        self.connection.close()
        self._close(ConnectionError("the channel was closed"))

    def _close(self, reason: Exception) -> None:
        self._never_greeted(reason)
        self.flush()
        self._end_transport()

    def _never_greeted(self, reason: Exception) -> None:
        if not self.greeted.done():
            self.greeted.set_exception(ConnectionError(str(reason)))
            self.greeted.exception()  # marks it as read: the waiting task may be gone

    def _end_transport(self) -> None:
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.close()
            # Without a limit, a peer that reads nothing would keep the socket open for ever.
            self.loop.call_later(_LINGER_S, transport.abort)

    def _check_peer(self) -> None:
        """Pings a silent peer that has calls, and closes the connection if it does not answer."""
        if self._keepalive is None or self._transport is None:
            return
        wait_s = self._keepalive.after_s
        if self._heard or not self.connection.streams:
            self._heard = self._asked = False
        elif self._asked:
            self._give_up(self._keepalive.timeout_s)
            return
        else:
            self._asked = True
            self.connection.ping()
            self.flush()
            wait_s = self._keepalive.timeout_s
        self._timer = self.loop.call_later(wait_s, self._check_peer)


def _memory_of_thread() -> memoryview:
    """The memory into which the connections of this thread read, one after the other."""
    found: memoryview | None = getattr(_of_thread, "memory", None)
    if found is None:
        found = _of_thread.memory = memoryview(bytearray(_READ_BYTES))
    return found


def with_room(sockets: list[Http2Socket], now_s: float) -> Http2Socket | None:
    """The first connection on which a call may start now, or None."""
    for socket in sockets:
        if socket.can_open(now_s):
            return socket
    return None


def _written(name: object) -> str:
    """A socket's address as text."""
    if isinstance(name, tuple) and len(name) > 1:
        return f"[{name[0]}]:{name[1]}" if ":" in str(name[0]) else f"{name[0]}:{name[1]}"
    return f"unix:{name}" if name else "its address"

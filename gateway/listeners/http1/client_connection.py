"""The base of a client's connection: its flow control in both directions, and its closing.

The bytes of a client are parsed in parts, so that none of them blocks the event loop.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from typing import Any, Final, cast

from gateway.http.messages import Takeover
from gateway.http.turns import TURN_LIMIT_S
from gateway.listeners.http1.peer_closed import peer_has_closed
from gateway.listeners.port import Port
from gateway.listeners.write_batch import MAX_JOINED_BYTES

_LINGER_S: Final = 2.0
_PART_BYTES: Final = 2 * 1024
# Data with at most this many lines cannot contain many requests or chunks, so it is parsed whole.
_MAX_LINES_AT_ONCE: Final = 128
_MUCH_BYTES: Final = 32 * 1024
"""From this size on, data is most likely a head and the start of its body."""


class ClientConnection(asyncio.Protocol):
    """A connection that parses only a bounded amount of data in one turn of the event loop.

    Many requests or chunks of a few bytes take a thousand times as long to parse as one body of
    the same size. They are parsed in parts. Parts left over in one turn wait for a later turn;
    until then, reading is paused.

    aiohttp's bodies use `connected`, `pause_reading` and `resume_reading`: a body with too many
    unread bytes pauses the connection. The table in `protocol.py` lists the legal combinations of
    the flags.
    """

    __slots__ = (
        "_closing",
        "_discarding",
        "_drain",
        "_is_reading_later",
        "_linger_until_s",
        "_loop",
        "_parser",
        "_paused",
        "_reading_paused",
        "_received_s",
        "_slow",
        "_turns",
        "_unread",
        "_unsent_bytes",
        "_unsent_since_s",
        "_upgrade",
        "_write_batch",
        "peer",
        "transport",
        "writing_paused",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, port: Port) -> None:
        self.transport: asyncio.Transport | None = None
        """None before the connection is made, and after it is lost."""
        self.peer = ""
        """The client's address."""
        self.writing_paused = False
        """True while the client reads too slowly and the write buffer is full."""
        self._loop = loop
        self._write_batch = port.write_batch
        self._turns = port.turns
        self._slow = port.slow
        self._parser: Any = None
        """The reader of requests, which is paused while a body is full."""
        self._drain: asyncio.Future[None] | None = None
        self._reading_paused = False
        """True while the current body is full: reading and parsing are paused."""
        self._paused = False
        """True while reading is paused for another reason, for example a full queue."""
        self._closing = False
        """True if no further request is accepted."""
        self._discarding = False
        """True if received bytes are no longer parsed as HTTP."""
        self._unread: bytes | memoryview = b""
        """Received bytes that wait for a later turn of the loop, or for room in the queue."""
        self._is_reading_later = False
        self._upgrade: Takeover | None = None
        """The protocol that has taken the connection over, for example a WebSocket."""
        self._linger_until_s = 0.0
        self._unsent_bytes = 0
        self._received_s = self._unsent_since_s = loop.time()

    @property
    def connected(self) -> bool:
        """True while the client is connected."""
        return self.transport is not None

    @property
    def is_lingering(self) -> bool:
        """True during a lingering close: nothing more is sent, received bytes are dropped."""
        return self._linger_until_s > 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called when a client has connected."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called when the client has disconnected; wakes the code that waits in `drained`."""
        if self.writing_paused:
            self._slow.discard(self.transport)
        self.transport = None
        if self._drain is not None and not self._drain.done():
            if exc is None:
                self._drain.set_result(None)
            else:
                self._drain.set_exception(ConnectionResetError())

    def data_received(self, data: bytes) -> None:
        """Called with received bytes; with `b""` when a body that was full has room again."""
        if self._discarding:
            if self._upgrade is not None:
                self._upgrade.receive(data)
            return
        self._received_s = self._loop.time()
        size = len(data)
        if size > _PART_BYTES and not self._unread and self._is_within_body(size):
            self._read(data)
        elif size > _PART_BYTES or (size and self._unread):
            self._read_much(data)
        else:
            self._read(data)
            if self._unread:
                self._read_later()

    def _read(self, data: bytes | memoryview) -> None:
        """Parses bytes; a body's are kept as they come, as a view or not."""
        raise NotImplementedError

    def _read_much(self, data: bytes) -> None:
        """Parses more than a part at once, unless it may contain many requests or chunks."""
        if self._unread or self._paused or self._is_reading_later or not self._can_read():
            self._unread = b"".join((self._unread, data))
        elif len(data) >= _MUCH_BYTES:
            self._unread = data
            self._read_upload()
        elif _has_many_lines(data):
            self._unread = data
        else:
            self._read(data)
            return
        if self._is_reading_later or _has_many_lines(bytes(self._unread)):
            self.pause()
            self._read_later()
        else:
            self._read_parts(len(self._unread))

    def _read_upload(self) -> None:
        """Reads the start of what is unread, and the rest, if the body that has begun goes on."""
        self._unread = memoryview(self._unread)
        self._read_part(_PART_BYTES)
        if self._can_read() and self._is_within_body(len(self._unread)):
            self._read_part(len(self._unread))
        self._unread = bytes(self._unread)

    def _is_within_body(self, size: int) -> bool:
        """True if the next bytes, as many as `size`, belong to one body that has room for them."""
        raise NotImplementedError

    def _has_room(self) -> bool:
        """True if the queue has room for more requests."""
        raise NotImplementedError

    def _continue_reading(self) -> None:
        """Continues reading, because the queue has room again."""
        if self._unread:
            self._read_later()
        else:
            self.resume()

    def _read_parts(self, size: int = _PART_BYTES) -> None:
        """Parses received bytes, while there is room in the queue and time in this turn."""
        self._is_reading_later = False
        until_s = perf_counter() + TURN_LIMIT_S
        while self._unread and self._can_read():
            self._read_part(size)
            if perf_counter() > until_s:
                break
        if self._discarding:
            self._unread = b""
        elif self._unread:
            self.pause()
            if self._can_read():
                self._read_later()
        elif self._paused and self._has_room():
            self.resume()

    def _read_part(self, size: int) -> None:
        """Parses as many bytes, or more if they belong to one body."""
        if size >= len(self._unread) or self._is_within_body(len(self._unread)):
            part, self._unread = self._unread, b""
        else:
            part, self._unread = self._unread[:size], self._unread[size:]
        self._read(part)

    def _can_read(self) -> bool:
        return not (self._discarding or self._reading_paused) and self._has_room()

    def _read_later(self) -> None:
        if not self._is_reading_later:
            self._is_reading_later = True
            self.later(self._read_parts)

    def later(self, work: Callable[[], None]) -> None:
        """Runs `work` in a later turn of the loop, after other connections' work."""
        self._turns.later(work)

    def pause_writing(self) -> None:
        """Called when the write buffer is full because the client reads too slowly."""
        self.writing_paused = True
        if self.transport is not None:
            self._slow.add(self.transport, self.peer)

    def resume_writing(self) -> None:
        """Called when the write buffer has room again."""
        self.writing_paused = False
        self._slow.discard(self.transport)
        drain, self._drain = self._drain, None
        if drain is not None and not drain.done():
            drain.set_result(None)

    def pause_reading(self) -> None:
        """Pauses reading; called by a body that is full."""
        self._reading_paused = True
        self._parser.pause_reading()
        self._stop_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's
        """Resumes reading and parsing; called by a body that has room again.

        A body calls this each time some of it is read. Returning early if nothing was paused avoids
        2 % of the cost of a small request with a body.
        """
        if not self._reading_paused:
            return
        self._reading_paused = False
        if resume_parser:
            self.data_received(b"")
        self._start_reading()

    def send(self, head: bytes, body: bytes | memoryview, *, is_last: bool) -> None:
        """Sends a response at the end of this turn of the loop; at once if it is large or last."""
        if self.transport is None:
            return
        if len(body) <= MAX_JOINED_BYTES and not is_last:
            self._write_batch.add(self.transport, head + body)
        else:
            self._write_batch.flush()
            self._unsent_bytes = 0
            self.transport.writelines((head, body))

    def send_now(self, data: bytes) -> None:
        """Sends at once, so that the first message of a stream does not wait for the second.

        Raises:
            ConnectionResetError: the client has disconnected.
        """
        if self.transport is None:
            raise ConnectionResetError
        if self._write_batch.waiting:
            self._write_batch.flush()
        self.transport.write(data)

    def send_pieces(self, pieces: list[bytes | memoryview]) -> None:
        """Sends at once, as `send_now`; the pieces are large, and are not copied."""
        if self.transport is None:
            raise ConnectionResetError
        self._write_batch.flush()
        self.transport.writelines(pieces)

    async def drained(self) -> None:
        """Returns when the write buffer has room again.

        Raises:
            ConnectionResetError: the client has disconnected.
        """
        if self.writing_paused:
            if self.transport is None:
                raise ConnectionResetError
            # A future of a cancelled waiter is done, and cannot be used again.
            if self._drain is None or self._drain.done():
                self._drain = self._loop.create_future()
            await self._drain

    def pause(self) -> None:
        """Stops reading; `has_stalled` still detects that the client disconnects."""
        self._paused = True
        self._stop_reading()

    def resume(self) -> None:
        """Starts reading again."""
        self._paused = False
        self._start_reading()

    def _stop_reading(self) -> None:
        if self.transport is not None:
            # Not `suppress`, which costs several times as much, for each piece of an upload.
            try:  # noqa: SIM105
                self.transport.pause_reading()
            except RuntimeError:
                pass  # uvloop raises it for a transport that is closing

    def _start_reading(self) -> None:
        if self.transport is not None and not self._reading_paused and not self._paused:
            try:  # noqa: SIM105 - see above
                self.transport.resume_reading()
            except RuntimeError:
                pass

    def has_stalled(self, now_s: float, timeout_s: float) -> bool:
        """True if the client has disconnected, or has read nothing for `timeout_s` seconds.

        Also true at the end of a lingering close.
        """
        if self.transport is None:
            return False
        unsent_bytes = self.transport.get_write_buffer_size()
        if not unsent_bytes or unsent_bytes != self._unsent_bytes:
            self._unsent_bytes, self._unsent_since_s = unsent_bytes, now_s
        if now_s - self._unsent_since_s > timeout_s:
            return True
        if (self._reading_paused or self._paused) and peer_has_closed(self.transport):
            return True
        if unsent_bytes and self.is_lingering:
            self._linger_until_s = now_s + _LINGER_S
        return self.is_lingering and now_s > self._linger_until_s

    def begin_lingering_close(self) -> None:
        """Closes in a way that delivers the last response even if the client is still sending.

        Closing a socket with unread bytes resets it, and the response may be lost (RFC 9112 section
        9.6). So the sending side is closed first, and received bytes are dropped for a while.
        """
        self._closing = self._discarding = True
        if self.transport is None or self.transport.is_closing():
            return
        # OSError: the client has already disconnected. NotImplementedError: TLS has no half-close.
        with suppress(OSError, NotImplementedError):
            self.transport.write_eof()
        if self._reading_paused or self._paused:
            self._reading_paused = self._paused = False
            self._start_reading()
        self._linger_until_s = self._loop.time() + _LINGER_S


def _has_many_lines(data: bytes) -> bool:
    """True if data has more lines than are parsed at once."""
    at = -1
    for _ in range(_MAX_LINES_AT_ONCE + 1):
        # A search is ten times as fast as a count of all lines, of which a body may have many.
        at = data.find(b"\n", at + 1)
        if at < 0:
            return False
    return True

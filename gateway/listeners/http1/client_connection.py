"""What a client's connection can do whatever is spoken on it: send, hold back, and end well."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

from gateway.listeners.http1.peer_closed import peer_has_closed
from gateway.listeners.port import Port
from gateway.listeners.write_batch import JOINED_UP_TO_BYTES

_LINGER_S: Final = 2.0


class ClientConnection(asyncio.Protocol):
    """One client connection.

    What aiohttp's bodies ask of it is `connected`, `pause_reading` and `resume_reading`: a body of
    which too much waits to be taken holds the client back.
    """

    __slots__ = (
        "_closing",
        "_discarding",
        "_drain",
        "_linger_until_s",
        "_loop",
        "_parser",
        "_paused",
        "_reading_paused",
        "_slow",
        "_turns",
        "_unsent_bytes",
        "_unsent_since_s",
        "_write_batch",
        "peer",
        "transport",
        "writing_paused",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, port: Port) -> None:
        self.transport: asyncio.Transport | None = None
        """None before the connection is made, and once it is lost."""
        self.peer = ""
        """The client's address."""
        self.writing_paused = False
        """Whether the client is slow to take what is there for it."""
        self._loop = loop
        self._write_batch = port.write_batch
        self._turns = port.turns
        self._slow = port.slow
        self._parser: Any = None
        """What stops parsing while a body is full."""
        self._drain: asyncio.Future[None] | None = None
        self._reading_paused = False
        """Whether a body is full."""
        self._paused = False
        """Whether nothing is read for another reason."""
        self._closing = False
        """Whether no further request is taken."""
        self._discarding = False
        """Whether nothing is looked at any more."""
        self._linger_until_s = 0.0
        self._unsent_bytes = 0
        self._unsent_since_s = loop.time()

    @property
    def connected(self) -> bool:
        """Whether the client is there."""
        return self.transport is not None

    @property
    def is_lingering(self) -> bool:
        """Whether nothing more will be said, and what still comes is dropped."""
        return self._linger_until_s > 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client is gone: nobody waits for it any more."""
        self._slow.discard(self.transport)
        self.transport = None
        if self._drain is not None and not self._drain.done():
            if exc is None:
                self._drain.set_result(None)
            else:
                self._drain.set_exception(ConnectionResetError())

    def later(self, work: Callable[[], None]) -> None:
        """Does `work` in a later turn of the loop, after others have had theirs."""
        self._turns.later(work)

    def pause_writing(self) -> None:
        """The client takes what is sent too slowly."""
        self.writing_paused = True
        if self.transport is not None:
            self._slow.add(self.transport, self.peer)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.writing_paused = False
        self._slow.discard(self.transport)
        drain, self._drain = self._drain, None
        if drain is not None and not drain.done():
            drain.set_result(None)

    def pause_reading(self) -> None:
        """A body is full."""
        self._reading_paused = True
        self._parser.pause_reading()
        self._stop_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's
        """A body has room again; the parser goes on with what it has left.

        A body asks for it whenever some of it is taken. Where nothing was paused, not looking for
        what was left unparsed saves a fiftieth of what a small request with a body costs.
        """
        if not self._reading_paused:
            return
        self._reading_paused = False
        if resume_parser:
            self.data_received(b"")
        self._start_reading()

    def send(self, head: bytes, body: bytes, *, is_last: bool) -> None:
        """Sends an answer at the end of this turn of the loop; at once if it is large or last."""
        if self.transport is None:
            return
        if len(body) <= JOINED_UP_TO_BYTES and not is_last:
            self._write_batch.add(self.transport, head + body)
        else:
            self._write_batch.flush()
            self._unsent_bytes = 0
            self.transport.writelines((head, body))

    def send_now(self, data: bytes) -> None:
        """Sends at once: the first message must not wait for the second.

        Raises:
            ConnectionResetError: the client is gone.
        """
        if self.transport is None:
            raise ConnectionResetError
        self._write_batch.flush()
        self.transport.write(data)

    async def drained(self) -> None:
        """Returns once the client has taken enough of what is there for it.

        Raises:
            ConnectionResetError: the client is gone.
        """
        if self.writing_paused:
            if self.transport is None:
                raise ConnectionResetError
            if self._drain is None or self._drain.done():  # who waited before may have given up
                self._drain = self._loop.create_future()
            await self._drain

    def pause(self) -> None:
        """Stops reading; that the client leaves is looked for all the same."""
        self._paused = True
        self._stop_reading()

    def resume(self) -> None:
        """Reads again."""
        self._paused = False
        self._start_reading()

    def _stop_reading(self) -> None:
        if self.transport is not None:
            with suppress(RuntimeError):  # uvloop's word for a transport that is closing
                self.transport.pause_reading()

    def _start_reading(self) -> None:
        if self.transport is not None and not self._reading_paused and not self._paused:
            with suppress(RuntimeError):
                self.transport.resume_reading()

    def has_stalled(self, now_s: float, patience_s: float) -> bool:
        """Whether the client has left, or takes nothing of what is there for it."""
        if self.transport is None:
            return False
        unsent_bytes = self.transport.get_write_buffer_size()
        if not unsent_bytes or unsent_bytes != self._unsent_bytes:
            self._unsent_bytes, self._unsent_since_s = unsent_bytes, now_s
        if now_s - self._unsent_since_s > patience_s:
            return True
        if (self._reading_paused or self._paused) and peer_has_closed(self.transport):
            return True
        if unsent_bytes and self.is_lingering:
            self._linger_until_s = now_s + _LINGER_S
        return self.is_lingering and now_s > self._linger_until_s

    def begin_lingering_close(self) -> None:
        """Closes so that the last answer arrives even if the client is still sending.

        Closing a socket with unread bytes resets it, and the answer may be lost (RFC 9112 section
        9.6): the sending side is closed first, and what still comes is dropped for a while.
        """
        self._closing = self._discarding = True
        if self.transport is None or self.transport.is_closing():
            return
        with suppress(OSError, NotImplementedError):  # the client may be gone already; TLS has none
            self.transport.write_eof()
        if self._reading_paused or self._paused:
            self._reading_paused = self._paused = False
            self._start_reading()
        self._linger_until_s = self._loop.time() + _LINGER_S

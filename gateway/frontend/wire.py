"""What a client's connection can do whatever is spoken on it: send, hold back, and end well."""

import asyncio
from contextlib import suppress
from typing import Any

from aiohttp.base_protocol import BaseProtocol

from gateway.frontend.hangup import has_hung_up
from gateway.frontend.outbox import Outbox

JOINED_UP_TO_BYTES = 64 * 1024
"""Joining head and body saves a system call, and the client a wake-up; up to here."""
_LINGER_S = 2.0


class Wire(BaseProtocol):
    """One client connection."""

    __slots__ = (
        "_closing",
        "_deaf",
        "_linger_until_s",
        "_outbox",
        "_unsent_bytes",
        "_unsent_since_s",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, parser: Any, outbox: Outbox) -> None:
        super().__init__(loop, parser)
        self._outbox = outbox
        self._closing = False
        """Whether no further request is taken."""
        self._deaf = False
        """Whether nothing is looked at any more."""
        self._linger_until_s = 0.0
        self._unsent_bytes = 0
        self._unsent_since_s = loop.time()

    @property
    def is_lingering(self) -> bool:
        """Whether nothing more will be said, and what still comes is dropped."""
        return self._linger_until_s > 0

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's
        """Goes on where reading was paused.

        A body asks for it whenever some of it is taken. Where nothing was paused, not looking for
        what was left unparsed saves a fiftieth of what a small request with a body costs.
        """
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def send(self, head: bytes, body: bytes, *, is_last: bool) -> None:
        """Sends an answer at the end of this turn of the loop; at once if it is large or last."""
        if self.transport is None:
            return
        if len(body) <= JOINED_UP_TO_BYTES and not is_last:
            self._outbox.add(self.transport, head + body)
        else:
            self._outbox.flush()
            self._unsent_bytes = 0
            self.transport.writelines((head, body))

    def send_now(self, data: bytes) -> None:
        """Sends at once: the first message must not wait for the second.

        Raises:
            ConnectionResetError: the client is gone.
        """
        if self.transport is None:
            raise ConnectionResetError
        self._outbox.flush()
        self.transport.write(data)

    async def drained(self) -> None:
        """Returns once the client has taken enough of what is there for it."""
        if self._paused:
            await self._drain_helper()

    def hold(self) -> None:
        """Stops reading; that the client leaves is looked for all the same."""
        self._pause_reading_for_buffer()

    def go_on(self) -> None:
        """Reads again."""
        self._resume_reading_for_buffer()

    def is_forsaken(self, now_s: float, patience_s: float) -> bool:
        """Whether the client has left, or takes nothing of what is there for it."""
        if self.transport is None:
            return False
        unsent_bytes = self.transport.get_write_buffer_size()
        if not unsent_bytes or unsent_bytes != self._unsent_bytes:
            self._unsent_bytes, self._unsent_since_s = unsent_bytes, now_s
        if now_s - self._unsent_since_s > patience_s:
            return True
        if (self._reading_paused or self._buffer_paused) and has_hung_up(self.transport):
            return True
        if unsent_bytes and self.is_lingering:
            self._linger_until_s = now_s + _LINGER_S
        return self.is_lingering and now_s > self._linger_until_s

    def linger(self) -> None:
        """Closes so that the last answer arrives even if the client is still sending.

        Closing a socket with unread bytes resets it, and the answer may be lost (RFC 9112 section
        9.6): the sending side is closed first, and what still comes is dropped for a while.
        """
        self._closing = self._deaf = True
        if self.transport is None or self.transport.is_closing():
            return
        with suppress(OSError, NotImplementedError):  # the client may be gone already; TLS has none
            self.transport.write_eof()
        if self._reading_paused or self._buffer_paused:
            self._reading_paused = self._buffer_paused = False
            self._resume_transport_reading()
        self._linger_until_s = self._loop.time() + _LINGER_S

"""What a client's connection receives, read in parts where it would take long."""

import asyncio
from time import perf_counter
from typing import Final

from gateway.http.turns import AT_ONCE_S
from gateway.listeners.http1.client_connection import ClientConnection
from gateway.listeners.port import Port

_PART_BYTES: Final = 2 * 1024
# More than a part, in no more lines than this, can be neither many requests nor many chunks.
_LINES_AT_ONCE: Final = 128


class PacedConnection(ClientConnection):
    """A connection that looks at no more in one turn of the loop than others can wait for.

    Many requests or chunks of a few bytes take a thousand times as long as one body of their size.
    They are read in parts, and what is not read in a turn waits for a later one. Meanwhile nothing
    more is received.
    """

    __slots__ = ("_is_reading_later", "_unread")

    def __init__(self, loop: asyncio.AbstractEventLoop, port: Port) -> None:
        super().__init__(loop, port)
        self._unread = b""
        """What has come and waits for a later turn of the loop, or for room."""
        self._is_reading_later = False

    def data_received(self, data: bytes) -> None:
        """Bytes have come; `b""` where a body that was full has room again."""
        if data and (len(data) > _PART_BYTES or self._unread):
            self._unread += data
            if self._is_reading_later or self._unread.count(b"\n") > _LINES_AT_ONCE:
                self.pause()
                self._read_later()
            else:
                self._read_parts(len(self._unread))
        else:
            self._read(data)
            if self._unread:
                self._read_later()

    def _read(self, data: bytes) -> None:
        """Looks at bytes."""
        raise NotImplementedError

    def _has_room(self) -> bool:
        """Whether more requests can be taken."""
        raise NotImplementedError

    def _continue_reading(self) -> None:
        """Goes on reading, since there is room again."""
        if self._unread:
            self._read_later()
        else:
            self.resume()

    def _read_parts(self, size: int = _PART_BYTES) -> None:
        """Looks at what has come, as far as there is room and time for it."""
        self._is_reading_later = False
        until_s = perf_counter() + AT_ONCE_S
        while self._unread and self._can_read():
            part = self._unread[:size]
            self._unread = self._unread[size:]
            self._read(part)
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

    def _can_read(self) -> bool:
        return not (self._discarding or self._reading_paused) and self._has_room()

    def _read_later(self) -> None:
        if not self._is_reading_later:
            self._is_reading_later = True
            self.later(self._read_parts)

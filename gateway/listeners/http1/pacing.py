"""Parses the bytes of a connection in parts, so that one client does not block the event loop."""

import asyncio
from time import perf_counter
from typing import Final

from gateway.http.messages import Takeover
from gateway.http.turns import TURN_LIMIT_S
from gateway.listeners.http1.client_connection import ClientConnection
from gateway.listeners.port import Port

_PART_BYTES: Final = 2 * 1024
# Data with at most this many lines cannot contain many requests or chunks, so it is parsed whole.
_MAX_LINES_AT_ONCE: Final = 128


class PacedConnection(ClientConnection):
    """A connection that parses only a bounded amount of data in one turn of the event loop.

    Many requests or chunks of a few bytes take a thousand times as long to parse as one body of
    the same size. They are parsed in parts. Parts left over in one turn wait for a later turn;
    until then, reading is paused.
    """

    __slots__ = ("_is_reading_later", "_received_s", "_unread", "_upgrade")

    def __init__(self, loop: asyncio.AbstractEventLoop, port: Port) -> None:
        super().__init__(loop, port)
        self._unread = b""
        """Received bytes that wait for a later turn of the loop, or for room in the queue."""
        self._is_reading_later = False
        self._received_s = loop.time()
        self._upgrade: Takeover | None = None
        """The protocol that has taken the connection over, for example a WebSocket."""

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
        elif data and (size > _PART_BYTES or self._unread):
            self._unread = self._unread + data if self._unread else data
            if self._is_reading_later or _has_many_lines(self._unread):
                self.pause()
                self._read_later()
            else:
                self._read_parts(len(self._unread))
        else:
            self._read(data)
            if self._unread:
                self._read_later()

    def _read(self, data: bytes) -> None:
        """Parses bytes."""
        raise NotImplementedError

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
            if size >= len(self._unread) or self._is_within_body(len(self._unread)):
                part, self._unread = self._unread, b""
            else:
                part, self._unread = self._unread[:size], self._unread[size:]
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


def _has_many_lines(data: bytes) -> bool:
    """True if data has more lines than are parsed at once."""
    at = -1
    for _ in range(_MAX_LINES_AT_ONCE + 1):
        # A search is ten times as fast as a count of all lines, of which a body may have many.
        at = data.find(b"\n", at + 1)
        if at < 0:
            return False
    return True

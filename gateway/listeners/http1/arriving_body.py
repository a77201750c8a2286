"""The body of a plain head: its bytes as they were received, for one reader.

It does what aiohttp's stream does, which is that of every other body: it is full at the same sizes,
and pauses and resumes its connection at the same times. As machine code it takes a fraction of the
time. One that is read whole also takes all its pieces at once, without a pause for each.
"""

import asyncio
from typing import Any, Final

from aiohttp.streams import StreamReader

from gateway.message_stream import Parts

LOW_WATER_BYTES: Final = 128 * 1024
"""Below this size of what is not read yet a body has room again; above twice this it is full.

One read of a connection, which uvloop makes 256,000 bytes at most, fills none: to stop and start
the reading costs system calls.
"""


class ArrivingBody:
    """One body whose bytes are still coming."""

    __slots__ = (
        *("_connection", "_failure", "_is_eof", "_loop", "_most_bytes", "_pieces", "_unread_bytes"),
        *("_waiter", "_wakes_at_bytes", "total_bytes"),
    )

    def __init__(self, connection: object, loop: asyncio.AbstractEventLoop) -> None:
        self._connection: Any = connection
        self._loop = loop
        self._pieces: Parts = []
        self._unread_bytes = 0
        self._most_bytes = 2 * LOW_WATER_BYTES
        """Above this size of what is not read yet it is full."""
        self._wakes_at_bytes = 0
        """Above this size the read that waits has what it waits for."""
        self._is_eof = False
        self._failure: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.total_bytes = 0
        """The bytes that have come."""

    def feed_data(self, data: bytes | memoryview) -> None:
        """Adds bytes, which are kept as they came; pauses the connection if there are too many."""
        size = len(data)
        if not size:
            return
        self._pieces.append(data)
        self._unread_bytes += size
        self.total_bytes += size
        if self._unread_bytes > self._wakes_at_bytes:
            self._wake()
        if self._unread_bytes > self._most_bytes:
            self._connection.pause_reading()

    def feed_eof(self) -> None:
        """Notes that all bytes have come."""
        self._is_eof = True
        self._wake()
        self._connection.resume_reading(resume_parser=False)

    def is_eof(self) -> bool:
        """True if all bytes have come."""
        return self._is_eof

    def set_exception(self, failure: BaseException) -> None:
        """Makes each read fail from now on, also the one that waits."""
        self._failure = failure
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(failure)

    def read_nowait(self) -> bytes:
        """Returns what has come and is not read yet."""
        if self._failure is not None:
            raise self._failure
        return b"".join(self._taken())

    async def readany(self) -> bytes:
        """Returns what has come and is not read yet, once there is any; nothing at the end."""
        return b"".join(await self.pieces_after(0))

    async def readall(self, most_bytes: int) -> Parts:
        """Returns the rest in pieces, once all has come; or what has, once it is more than
        `most_bytes`."""
        self._most_bytes = max(self._most_bytes, most_bytes)  # the reader has room for so much
        self._connection.resume_reading()
        return await self.pieces_after(most_bytes)

    async def pieces_after(self, size: int) -> Parts:
        """Returns what has come and is not read yet, in the pieces in which it came, once it has
        more bytes than `size`, or is the rest."""
        if self._failure is not None:
            raise self._failure
        self._wakes_at_bytes = size
        while self._unread_bytes <= size and not self._is_eof:
            if not self._connection.connected:
                raise RuntimeError("the connection is closed")
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._taken()

    def _taken(self) -> Parts:
        pieces = self._pieces
        if pieces:
            self._pieces, self._unread_bytes = [], 0
            self._connection.resume_reading()  # more may come during this call
        return pieces

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


BodySource = StreamReader | ArrivingBody
"""The stream of any body."""

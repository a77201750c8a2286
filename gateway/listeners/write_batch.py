"""Small answers of one turn of the event loop, sent together at its end.

A send wakes a client that waits for it, and waking is most of what a send costs. Where many
requests are answered in one turn, as when a back end's replies come in one read, sending one answer
right after the other finds the client still awake.
"""

import asyncio
from typing import Final

JOINED_UP_TO_BYTES: Final = 64 * 1024
"""Joining head and body saves a system call, and the client a wake-up; up to here."""


class WriteBatch:
    """Holds bytes back until the turn ends, in order for each transport."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []

    def add(self, transport: asyncio.Transport, data: bytes) -> None:
        """Sends `data` when the turn ends."""
        if not self._waiting:
            self._loop.call_soon(self.flush)
        self._waiting.append((transport, data))

    def flush(self) -> None:
        """Sends what waits now; call it before writing to, or closing, a transport directly."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for transport, data in waiting:
                if not transport.is_closing():
                    transport.write(data)

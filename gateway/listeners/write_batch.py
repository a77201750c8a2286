"""Sends the small responses of one turn of the event loop together, at the end of the turn.

A send wakes the client's process, and this wake-up is most of the cost of a send. If one turn
answers many requests, for example when replies of a back end arrive in one read, sending all
responses one directly after another wakes the client only once.
"""

import asyncio
from typing import Final

MAX_JOINED_BYTES: Final = 64 * 1024
"""The size up to which head and body are joined: one system call and one wake-up of the client."""


class WriteBatch:
    """Collects bytes until the end of the turn, in order for each transport."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.waiting: list[tuple[asyncio.Transport, bytes]] = []
        """The bytes to send, each with its transport; if there are none, `flush` does nothing."""

    def add(self, transport: asyncio.Transport, data: bytes) -> None:
        """Sends `data` at the end of the turn."""
        if not self.waiting:
            self._loop.call_soon(self.flush)
        self.waiting.append((transport, data))

    def flush(self) -> None:
        """Sends all collected bytes now; call it before a direct write or close of a transport."""
        waiting, self.waiting = self.waiting, []
        for transport, data in waiting:
            if not transport.is_closing():
                transport.write(data)

"""Interfaces of a client's connection for code that writes to it, for any protocol."""

import asyncio
from collections.abc import Callable
from typing import Protocol


class StreamBrokenError(ConnectionError):
    """A stream failed, and its format cannot express errors.

    Only a connection that is closed early shows the failure to the client.
    """


class WritableConnection(Protocol):
    """The part of a client's connection that everything that writes to it needs."""

    transport: asyncio.Transport | None

    @property
    def writing_paused(self) -> bool:
        """True while the client reads too slowly and the write buffer is full."""
        ...

    def send_now(self, data: bytes) -> None:
        """Sends at once.

        Raises:
            ConnectionError: the client has disconnected.
        """
        ...

    async def drained(self) -> None:
        """Returns when the write buffer has room again."""
        ...


class StreamConnection(WritableConnection, Protocol):
    """The part of a client's connection that a streamed response needs."""

    def send_pieces(self, pieces: list[bytes | memoryview]) -> None:
        """Sends many bytes at once, without a copy where that is possible."""
        ...


class SocketConnection(WritableConnection, Protocol):
    """The part of a client's connection that a WebSocket needs."""

    def pause(self) -> None:
        """Stops reading."""
        ...

    def resume(self) -> None:
        """Starts reading again."""
        ...

    def later(self, work: Callable[[], None]) -> None:
        """Runs `work` in a later turn of the event loop, after other connections' work."""
        ...

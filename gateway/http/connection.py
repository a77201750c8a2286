"""A client's connection as those see it that write to it, whatever protocol it speaks."""

import asyncio
from collections.abc import Callable
from typing import Protocol


class StreamConnection(Protocol):
    """A client's connection, as far as a stream needs one."""

    transport: asyncio.Transport | None

    @property
    def writing_paused(self) -> bool:
        """Whether the client is slow to take what is there for it."""
        ...

    def send_now(self, data: bytes) -> None:
        """Sends at once, or raises `ConnectionError`."""
        ...

    async def drained(self) -> None:
        """Returns once the client has taken enough of what is there for it."""
        ...


class SocketConnection(StreamConnection, Protocol):
    """A client's connection, as far as a WebSocket needs one."""

    def pause(self) -> None:
        """Stops reading."""
        ...

    def resume(self) -> None:
        """Reads again."""
        ...

    def later(self, work: Callable[[], None]) -> None:
        """Does `work` in a later turn of the loop, after others have had theirs."""
        ...

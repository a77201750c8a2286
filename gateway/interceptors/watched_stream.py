"""The messages of a reply, each awaited under a condition that may fail the stream."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

from gateway.status import StatusError

T = TypeVar("T")

Wait = Callable[[Callable[[], Awaitable[bytes]]], Awaitable[bytes]]
"""Awaits what the given function starts, or raises if its condition fails first."""


async def watched_stream(
    messages: AsyncGenerator[bytes], wait: Wait, end: Callable[[], None] = lambda: None
) -> AsyncGenerator[bytes]:
    """Yields `messages`, awaiting each by `wait`; at the end it closes them and calls `end`."""
    following = messages.__anext__
    try:
        while True:
            try:
                message = await wait(following)
            except StopAsyncIteration:
                return
            yield message
    finally:
        end()
        await messages.aclose()


class LossWatch:
    """Interrupts the wait for a stream as soon as its credential is no longer valid."""

    def __init__(self, losing: asyncio.Task[StatusError]) -> None:
        self._losing = losing
        self._lost: StatusError | None = None
        self._waiting: asyncio.Timeout | None = None
        losing.add_done_callback(self._interrupt)

    async def unless_lost(self, start: Callable[[], Awaitable[T]]) -> T:
        """Awaits `start()`.

        Raises:
            StatusError: the credential became invalid before.
        """
        if self._lost is not None:
            raise self._lost  # even if a message is available
        try:
            # A timeout that is set only when it is due: asyncio cancels only this wait by it.
            async with asyncio.timeout(None) as self._waiting:
                return await start()
        except TimeoutError:
            if self._lost is None:
                raise
            raise self._lost from None
        finally:
            self._waiting = None

    def stop(self) -> None:
        """Ends the checks."""
        self._losing.cancel()

    def _interrupt(self, losing: asyncio.Task[StatusError]) -> None:
        if losing.cancelled():
            return
        self._lost = losing.result()
        if self._waiting is not None:
            self._waiting.reschedule(0)

"""Ends streams without a message in either direction for longer than allowed."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

from gateway.call import Call, Code, Handler, Reply, StatusError
from gateway.interceptors.watched_stream import watched_stream

T = TypeVar("T")


class IdleLimit:
    """Fails a stream with DEADLINE_EXCEEDED once it had no message for `idle_s` seconds."""

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Proceeds with a call for as long as its messages arrive in time."""
        watch = _Watch(self._idle_s)
        if call.messages is not None:
            call.messages = _heard(call.messages, watch)
        reply = await watch.unless_silent(lambda: proceed(call))
        if reply.messages is not None:
            reply.messages = watched_stream(reply.messages, watch.unless_silent)
        return reply


class _Watch:
    """The time limit of the wait for the back end; every message of the client restarts it."""

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self._time_s = asyncio.get_running_loop().time
        self._waiting: asyncio.Timeout | None = None

    async def unless_silent(self, start: Callable[[], Awaitable[T]]) -> T:
        """Awaits `start()`.

        Raises:
            StatusError: DEADLINE_EXCEEDED, if there was no message for too long.
        """
        try:
            async with asyncio.timeout(self._idle_s) as self._waiting:
                return await start()
        except TimeoutError:
            if self._waiting is None or not self._waiting.expired():
                raise  # of another interceptor
            raise StatusError(
                Code.DEADLINE_EXCEEDED, f"the stream had no message for {self._idle_s:g} seconds"
            ) from None
        finally:
            self._waiting = None

    def heard(self) -> None:
        """Restarts the time limit after a message."""
        waiting = self._waiting
        if waiting is not None and not waiting.expired():
            waiting.reschedule(self._time_s() + self._idle_s)


async def _heard(messages: AsyncGenerator[bytes], watch: _Watch) -> AsyncGenerator[bytes]:
    """Yields the messages of a request; each restarts the time limit."""
    try:
        async for message in messages:
            watch.heard()
            yield message
    finally:
        await messages.aclose()

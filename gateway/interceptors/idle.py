"""Ends streams in which nothing happens: no message, whichever way, for longer than allowed."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

from gateway.call import Call, Handler, Reply
from gateway.interceptors.watched_stream import watched_stream
from gateway.status import Code, StatusError

T = TypeVar("T")


class IdleLimit:
    """Fails a stream with DEADLINE_EXCEEDED once it has been silent for `idle_s` seconds."""

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Answers a call for as long as there is something to hear."""
        watch = _Watch(self._idle_s)
        if call.messages is not None:
            call.messages = _heard(call.messages, watch)
        reply = await watch.unless_silent(lambda: proceed(call))
        if reply.messages is not None:
            reply.messages = watched_stream(reply.messages, watch.unless_silent)
        return reply


class _Watch:
    """The wait for the back end, put off by every message of the client."""

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self._time_s = asyncio.get_running_loop().time
        self._waiting: asyncio.Timeout | None = None

    async def unless_silent(self, start: Callable[[], Awaitable[T]]) -> T:
        """What `start()` gives; the failure, if nothing is heard for too long."""
        try:
            async with asyncio.timeout(self._idle_s) as self._waiting:
                return await start()
        except TimeoutError:
            raise StatusError(
                Code.DEADLINE_EXCEEDED, f"the stream had no message for {self._idle_s:g} seconds"
            ) from None
        finally:
            self._waiting = None

    def heard(self) -> None:
        """Something has come: the wait begins anew."""
        waiting = self._waiting
        if waiting is not None and not waiting.expired():
            waiting.reschedule(self._time_s() + self._idle_s)


async def _heard(messages: AsyncGenerator[bytes], watch: _Watch) -> AsyncGenerator[bytes]:
    """The messages of a request, each noted."""
    try:
        async for message in messages:
            watch.heard()
            yield message
    finally:
        await messages.aclose()

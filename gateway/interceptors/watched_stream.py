"""The messages of a reply, each awaited under a condition that may fail the stream."""

from collections.abc import AsyncGenerator, Awaitable, Callable

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

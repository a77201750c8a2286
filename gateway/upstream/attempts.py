"""Sends a call again that no back end has processed (gRFC A6, transparent retries).

No call is processed twice by that: `Unprocessed` is raised only if the first attempt was not.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, Protocol

from gateway.call import CallHead, Metadata, Reply
from gateway.schema.catalog import Method
from gateway.upstream.channels.failures import HeldRequest, Unprocessed

MAX_ATTEMPTS: Final = 3
"""The most attempts of one call: more would hide a back end that refuses all of them."""


class Attempted(Protocol):
    """A channel that makes one attempt, and can go on with a streaming request of another."""

    def call(
        self,
        method: Method,
        request: bytes | AsyncGenerator[bytes] | HeldRequest,
        metadata: Metadata | CallHead,
        timeout_s: float | None,
    ) -> Awaitable[Reply]:
        """Calls `method` once; see `Channel.call`."""
        ...

    async def close(self, grace_s: float = 0.0) -> None:
        """Closes the channel; see `Channel.close`."""
        ...


def repeats(failure: Unprocessed, attempts: int) -> bool:
    """True if the same endpoint may be sent a call again that failed so after `attempts`."""
    return failure.may_repeat_here and attempts < MAX_ATTEMPTS


class Repeating:
    """A channel that sends a call again while the back end is certain not to have processed it."""

    def __init__(self, channel: Attempted, clock: Callable[[], float] = time.monotonic) -> None:
        self._channel = channel
        self._clock = clock

    def __repr__(self) -> str:
        return f"<Repeating {self._channel!r}>"

    async def call(
        self,
        method: Method,
        request: bytes | AsyncGenerator[bytes],
        metadata: Metadata | CallHead,
        timeout_s: float | None,
    ) -> Reply:
        """Calls `method`, at most `MAX_ATTEMPTS` times; see `Channel.call`."""
        started_s = self._clock()
        try:
            return await self._channel.call(method, request, metadata, timeout_s)
        except Unprocessed as failure:
            if failure.request is None and not failure.may_repeat_here:
                raise
            first = failure
        until_s = None if timeout_s is None else started_s + timeout_s
        return await self._call_again(method, request, metadata, until_s, first)

    async def close(self, grace_s: float = 0.0) -> None:
        """Closes the channel; see `Channel.close`."""
        await self._channel.close(grace_s)

    async def _call_again(
        self,
        method: Method,
        request: bytes | AsyncGenerator[bytes] | HeldRequest,
        metadata: Metadata | CallHead,
        until_s: float | None,
        failure: Unprocessed,
    ) -> Reply:
        attempts = 1
        while repeats(failure, attempts):
            if not isinstance(request, bytes):
                if failure.request is None:
                    break
                request = failure.request
            attempts += 1
            timeout_s = None if until_s is None else until_s - self._clock()
            try:
                return await self._channel.call(method, request, metadata, timeout_s)
            except Unprocessed as next_failure:
                failure = next_failure
        if failure.request is not None:
            await failure.request.stop()
        raise failure

"""Limits the calls to an upstream: those above fail at once, before they reach it.

A channel is wrapped only where a limit is set, so that others do not pay for it.
"""

import time
from collections.abc import Callable

from gateway.upstream.fullness import Fullness
from gateway.upstream.gradient import Gradient
from gateway.upstream.interfaces import (
    AroundUpstream,
    Code,
    Reply,
    StatusError,
    UpstreamCall,
    UpstreamChannel,
    WatchedMessages,
    overloaded,
)

__all__ = ["Fullness", "Gradient", "LimitedChannel"]


class LimitedChannel(AroundUpstream):
    """The channel to an upstream that takes at most `most` calls at once, or as many as `adaptive`
    says; None for no such limit. A stream counts until it ends.
    """

    def __init__(
        self,
        name: str,
        channel: UpstreamChannel,
        most: int | None,
        adaptive: Gradient | None,
        *,
        fullness: Fullness,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name, channel)
        self._most = most
        self._adaptive = adaptive
        self._clock = clock
        self._under_way = 0
        self._fullness = fullness

    def __repr__(self) -> str:
        return f"<LimitedChannel {self._name}, {self._under_way} of {self.limit} calls>"

    @property
    def under_way(self) -> int:
        """The number of calls that have started and not ended."""
        return self._under_way

    @property
    def limit(self) -> int | None:
        """The most calls at once, at this time; None for no limit."""
        if self._adaptive is None:
            return self._most
        limit = self._adaptive.limit
        return limit if self._most is None else min(limit, self._most)

    async def send(self, call: UpstreamCall) -> Reply:
        """Sends `call`, below the limit.

        Raises:
            StatusError: UNAVAILABLE at the limit; and what the call itself raises.
        """
        limit = self.limit
        if limit is not None and self._under_way >= limit:
            setting = "max_requests" if limit == self._most else "adaptive"
            text = f"has too many calls: {limit} are under way ({setting})"
            self._fullness.refused(setting, text)
            if not isinstance(call.request, bytes):
                await call.request.aclose()
            raise overloaded(self._name, f'too many calls are under way to upstream "{self._name}"')
        self._under_way += 1
        started_s = self._clock()
        lasts = False
        try:
            reply = await self.pass_on(call)
            if reply.messages is not None:
                lasts = True
                reply.messages = WatchedMessages(
                    reply.messages, lambda _: self._end()
                ).as_generator()
            elif isinstance(call.request, bytes):
                self._sample(started_s)
        except StatusError as error:
            is_unary = isinstance(call.request, bytes) and not call.method.server_streaming
            if error.code is Code.DEADLINE_EXCEEDED and is_unary:
                self._sample(started_s)
            raise
        else:
            return reply
        finally:
            if not lasts:
                self._end()

    def _sample(self, started_s: float) -> None:
        if self._adaptive is not None:
            now_s = self._clock()
            self._adaptive.sample(now_s, now_s - started_s, self._under_way)

    def _end(self) -> None:
        self._under_way -= 1

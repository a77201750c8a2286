"""Slows down whoever guesses passwords and client secrets.

Failures are counted by name and address together, and, ten times as many, by each alone: one that
guesses cannot easily lock others out, and many that guess together are still slowed down.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from hashlib import sha256
from math import ceil

from gateway.audit import Audit
from gateway.auth.client_networks import network_of
from gateway.config.auth import TokenOptions
from gateway.stores.base import CounterStore, TokenBucket

_WIDER = 10


class TooManyAttemptsError(Exception):
    """Too many have failed; the next may be made after so many seconds."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("too many failed attempts; wait before the next")
        self.retry_after_s = retry_after_s


class Attempts:
    """Counts failures in a store, so that they count on every worker and node."""

    def __init__(self, counters: CounterStore, audit: Audit, options: TokenOptions) -> None:
        self._counters = counters
        self._audit = audit
        window_s = options.failure_window_s
        self._narrow = TokenBucket(options.failures, window_s)
        self._wide = TokenBucket(options.failures * _WIDER, window_s)
        self._turns = _Turns()

    @asynccontextmanager
    async def one(self, names: Sequence[str], peer: str) -> AsyncIterator["Attempt"]:
        """One attempt by someone at `peer` who says to be all of `names`.

        Raises:
            TooManyAttemptsError: after too many failures.
            StoreUnavailableError: nobody can tell.
        """
        by_name = {name: self._limits(name, peer) for name in names}
        limits = {key: limit for one in by_name.values() for key, limit in one.items()}
        async with AsyncExitStack() as turns:
            # In one order for all, from the narrowest: so nobody waits in a circle.
            for key in sorted(limits, key=lambda key: (limits[key].limit, key)):
                left = partial(self._left, key, limits[key])
                await turns.enter_async_context(self._turns.one(key, left))
            yield Attempt(self._counters, self._audit, peer, by_name)

    def _limits(self, name: str, peer: str) -> dict[str, TokenBucket]:
        # A digest: what somebody typed as a name may be long, or a password.
        who, where = sha256(name.encode()).hexdigest()[:32], network_of(peer)
        return {
            f"login:{who}:{where}": self._narrow,
            f"login:{who}:": self._wide,
            f"login::{where}": self._wide,
        }

    async def _left(self, key: str, limit: TokenBucket) -> int:
        taken = await self._counters.take(key, limit, 0)
        if taken.remaining < 1:
            raise TooManyAttemptsError(max(1, ceil(limit.window_s / limit.limit)))
        return taken.remaining


class Attempt:
    """An attempt under way."""

    def __init__(
        self,
        counters: CounterStore,
        audit: Audit,
        peer: str,
        limits: Mapping[str, Mapping[str, TokenBucket]],
    ) -> None:
        self._counters = counters
        self._audit = audit
        self._peer = peer
        self._limits = limits

    async def fail(self, name: str, reason: str) -> None:
        """Counts and writes down that it was not `name`."""
        self._audit.record("login.failed", principal=name, peer=self._peer, reason=reason)
        for key, limit in self._limits[name].items():
            await self._counters.take(key, limit)


class _Turns:
    """Lets through for each key as many at once as may still fail; the others wait in line.

    So whoever guesses at once gets no more guesses, and who is right only waits for others.
    """

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    @asynccontextmanager
    async def one(self, key: str, left: Callable[[], Awaitable[int]]) -> AsyncIterator[None]:
        """A turn; `left` tells how many may still fail, or raises."""
        line = self._lines.setdefault(key, _Line())
        line.users += 1
        try:
            async with line.head:
                await _room(line, left)
                line.under_way += 1
            try:
                yield
            finally:
                line.under_way -= 1
                line.ended.set()
        finally:
            line.users -= 1
            if not line.users:
                del self._lines[key]


class _Line:
    def __init__(self) -> None:
        self.head = asyncio.Lock()
        self.ended = asyncio.Event()
        self.under_way = 0
        self.users = 0


async def _room(line: _Line, left: Callable[[], Awaitable[int]]) -> None:
    while True:
        line.ended.clear()
        # Before the question: whoever ends while it is asked may not be in the answer.
        under_way = line.under_way
        if await left() > under_way:
            return
        await line.ended.wait()

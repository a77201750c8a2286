"""Slows down clients that guess passwords and client secrets.

Failures are counted per name and address together, and, with ten times the limit, per name and per
address alone: one attacker cannot easily lock others out, and many together are still slowed down.

An attempt counts as failed from its start, in the store and so on all workers and nodes; a success
takes that back. Otherwise all attempts that are checked at one moment would be free guesses.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from hashlib import sha256
from math import ceil

from gateway.audit import Audit
from gateway.auth.client_networks import network_of
from gateway.config.auth import TokenOptions
from gateway.stores.base import CounterStore, Demand, StoreUnavailableError, TokenBucket

_WIDER = 10


# An attempt that waits for others to end looks again this often, and waits this long at most.
_LOOK_EVERY_S = 0.05
_MOST_WAIT_S = 5.0
# An attempt of a worker that was killed no longer counts as in progress after this long.
_UNDER_WAY_S = 300.0


class TooManyAttemptsError(Exception):
    """Too many attempts failed; the next may be made after `retry_after_s`."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("too many failed attempts; wait before the next")
        self.retry_after_s = retry_after_s


class LoginThrottle:
    """Counts failed logins in a store, for every worker and node."""

    def __init__(self, counters: CounterStore, audit: Audit, options: TokenOptions) -> None:
        self._counters = counters
        self._audit = audit
        window_s = options.failure_window_s
        self._narrow = TokenBucket(options.failures, window_s)
        self._wide = TokenBucket(options.failures * _WIDER, window_s)
        self._queues = _Queues()

    @asynccontextmanager
    async def attempt(self, names: Sequence[str], peer: str) -> AsyncIterator["LoginAttempt"]:
        """One attempt from `peer` that claims to be all of `names`.

        Raises:
            TooManyAttemptsError: too many attempts failed.
            StoreUnavailableError: the failures cannot be counted.
        """
        by_name = {name: self._limits(name, peer) for name in names}
        limits = {key: limit for one in by_name.values() for key, limit in one.items()}
        attempt = LoginAttempt(self._audit, peer, by_name)
        async with AsyncExitStack() as turns:
            # Attempts with one name and address queue, and only the first looks at the counters.
            # All queue in the same order, so that no deadlock is possible.
            for key in sorted(key for key, limit in limits.items() if limit is self._narrow):
                await turns.enter_async_context(self._queues.turn(key))
            await self._claim(limits)
        try:
            yield attempt
        finally:
            await self._give_back(limits, attempt.failed)

    def _limits(self, name: str, peer: str) -> dict[str, TokenBucket]:
        # A digest: the text sent as a name may be long, or a password.
        name_digest, network = sha256(name.encode()).hexdigest()[:32], network_of(peer)
        return {
            f"login:{name_digest}:{network}": self._narrow,
            f"login:{name_digest}:": self._wide,
            f"login::{network}": self._wide,
        }

    async def _claim(self, limits: Mapping[str, TokenBucket]) -> None:
        """Counts an attempt as failed in advance, as soon as the limits allow it."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _MOST_WAIT_S
        # The limits come first, then the attempts in progress, both in the same order.
        demands: list[Demand] = [(key, limit, 1) for key, limit in limits.items()]
        demands += [(_in_progress(key), _pending(limit), 1) for key, limit in limits.items()]
        while True:
            taken = await self._counters.take_all(demands)
            if all(one.allowed for one in taken):
                return
            # Only attempts in progress can still succeed, and so make room.
            rows = zip(limits.values(), taken[: len(limits)], taken[len(limits) :], strict=True)
            failed = [
                limit
                for limit, now, pending in rows
                if not now.allowed and pending.remaining >= limit.limit
            ]
            if failed or loop.time() >= until_s:
                longest = max(failed or limits.values(), key=_one_more_s)
                raise TooManyAttemptsError(max(1, ceil(_one_more_s(longest))))
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _give_back(self, limits: Mapping[str, TokenBucket], failed: Collection[str]) -> None:
        demands: list[Demand] = [
            (_in_progress(key), _pending(limit), -1) for key, limit in limits.items()
        ]
        demands += [(key, limit, -1) for key, limit in limits.items() if key not in failed]
        # If the store is unavailable, the claim counts as failed until the window ends.
        with suppress(StoreUnavailableError):
            await self._counters.take_all(demands)


def _in_progress(key: str) -> str:
    return f"{key}:under way"


def _pending(limit: TokenBucket) -> TokenBucket:
    return TokenBucket(limit.limit, _UNDER_WAY_S)


def _one_more_s(limit: TokenBucket) -> float:
    """Seconds until one more attempt is allowed."""
    return limit.window_s / limit.limit


class LoginAttempt:
    """An attempt in progress."""

    def __init__(
        self, audit: Audit, peer: str, limits: Mapping[str, Mapping[str, TokenBucket]]
    ) -> None:
        self.failed: set[str] = set()
        """The keys of the counters that keep this attempt as failed."""
        self._audit = audit
        self._peer = peer
        self._limits = limits

    async def fail(self, name: str, reason: str) -> None:
        """Counts and records that the login as `name` failed."""
        self._audit.record(
            "login.failed", principal=name, peer=self._peer, kind="login", reason=reason
        )
        self.failed.update(self._limits[name])


class _Queues:
    """A queue for each key, kept while it is in use."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Waits for the head of the queue, and holds it while the block runs."""
        queue = self._queues.setdefault(key, _Queue())
        queue.users += 1
        try:
            async with queue.lock:
                yield
        finally:
            queue.users -= 1
            if not queue.users:
                del self._queues[key]


class _Queue:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0

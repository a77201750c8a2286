"""Caches lookups in a store for less than a second.

A client sends its token with every request, and a token almost never changes, so asking the store
each time would be most of the cost of a request. Entries expire after `MAX_AGE_S`, so a revocation
takes effect on every worker and node within one second, without messages that can be lost. The
other half of that second is for streams, which are checked periodically.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MAX_AGE_S = 0.5
_MOST = 10_000


class RecentValues(OrderedDict[K, tuple[float, V]]):
    """The last `most` values that were put, each with the time at which it expires.

    A look-up is that of a dict, because each request makes one; the caller compares the time.
    """

    def __init__(self, most: int = _MOST) -> None:
        super().__init__()
        self._most = most

    def put(self, key: K, value: V, until_s: float) -> None:
        """Holds a value until a time, as the newest; the oldest goes where there are too many."""
        self.pop(key, None)
        self[key] = (until_s, value)
        if len(self) > self._most:
            self.popitem(last=False)


class TtlCache(Generic[V]):
    """Caches the results of `ask`, misses included, for half a second.

    Keys are secrets: they stay in this process, and are neither printed nor returned.
    """

    def __init__(
        self,
        ask: Callable[[str], Awaitable[V | None]],
        is_plausible: Callable[[str], bool] = lambda _: True,
        *,
        max_age_s: float = MAX_AGE_S,
        most: int = _MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._is_plausible = is_plausible
        self._max_age_s = max_age_s
        self._clock = clock
        self._known = RecentValues[str, V | None](most)
        self._asking: dict[str, asyncio.Future[V | None]] = {}

    def __repr__(self) -> str:
        return f"<TtlCache, {len(self._known)} entries>"

    def cached(self, text: str) -> V | None:
        """The cached value for `text`; None if there is none, or if it was a miss."""
        known = self._known.get(text)
        return known[1] if known is not None and known[0] > self._clock() else None

    async def __call__(self, text: str) -> V | None:
        """The value for `text`, from the cache or from `ask`; raises what `ask` raises."""
        known = self._known.get(text)
        if known is not None and known[0] > self._clock():
            return known[1]
        if not self._is_plausible(text):
            return None  # and is not cached: invented texts would push valid ones out
        asking = self._asking.get(text)
        if asking is None:
            # Many requests with the same token cause one lookup in the store.
            asking = self._asking[text] = asyncio.ensure_future(self._fetch(text))
            asking.add_done_callback(lambda done: self._finished(text, done))
        # Shielded: a caller that is cancelled must not cancel the lookup for the others.
        return await asyncio.shield(asking)

    def _finished(self, text: str, done: asyncio.Future[V | None]) -> None:
        del self._asking[text]
        if not done.cancelled():
            done.exception()  # marks it as retrieved: all callers may have been cancelled

    async def _fetch(self, text: str) -> V | None:
        # The age counts from before the lookup: the value may be that old.
        until_s = self._clock() + self._max_age_s
        answer = await self._ask(text)
        self._known.put(text, answer, until_s)
        return answer

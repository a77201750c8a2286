"""Answers of a store, remembered for less than a second.

A token is shown with every request and changes almost never, so asking the store each time would be
most of what a request costs. Forgetting after `MAX_AGE_S` is what makes a revocation hold on every
worker and node within one second, with nobody to tell and nothing to miss; half of it is left for
streams, which are looked at in turns.
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
    """What `ask` answered for a text, if that is recent; "nobody" is an answer too.

    Texts are secrets: they stay in this process, and are neither printed nor handed out.
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
        return f"<TtlCache, {len(self._known)} answers>"

    def recent(self, text: str) -> V | None:
        """What is remembered for `text`; None if that is nothing, or nobody."""
        known = self._known.get(text)
        return known[1] if known is not None and known[0] > self._clock() else None

    async def __call__(self, text: str) -> V | None:
        """The answer for `text`; whatever `ask` raises."""
        known = self._known.get(text)
        if known is not None and known[0] > self._clock():
            return known[1]
        if not self._is_plausible(text):
            return None  # and is not remembered: made-up texts would push real ones out
        asking = self._asking.get(text)
        if asking is None:
            # Many requests with one token cost the store one question.
            asking = self._asking[text] = asyncio.ensure_future(self._learn(text))
            asking.add_done_callback(lambda done: self._over(text, done))
        # One of those who wait may leave without taking the answer from the others.
        return await asyncio.shield(asking)

    def _over(self, text: str, done: asyncio.Future[V | None]) -> None:
        del self._asking[text]
        if not done.cancelled():
            done.exception()  # whoever waited for it may have gone

    async def _learn(self, text: str) -> V | None:
        # Counted from before the question, for that is how old the answer may be.
        until_s = self._clock() + self._max_age_s
        answer = await self._ask(text)
        self._known.put(text, answer, until_s)
        return answer

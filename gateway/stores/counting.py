"""The arithmetic of limits, without a store or a clock.

Between two calls a counter keeps a tuple of numbers, whose meaning depends on its limit.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from gateway.stores.base import Demand, Limit, SlidingWindow, TokenBucket
from gateway.stores.taken import Taken

State = tuple[float, float, float]
"""A bucket: tokens, their time, 0. A window: its start, its count, the previous one's count."""


def take(limit: Limit, state: State | None, cost: int, now_s: float) -> tuple[Taken, State]:
    """The result of taking `cost`, and the counter's next state; `state` is None for a new one."""
    return arithmetic(limit).take(state, cost, now_s)


class Arithmetic:
    """`take` for one limit, with its constants computed in advance."""

    def take(self, state: State | None, cost: int, now_s: float) -> tuple[Taken, State]:
        """The result of taking `cost`, and the counter's next state."""
        raise NotImplementedError


@lru_cache(maxsize=1024)
def arithmetic(limit: Limit) -> Arithmetic:
    """The arithmetic of a limit; the same for equal ones."""
    return _OfBucket(limit) if isinstance(limit, TokenBucket) else _OfWindow(limit)


@dataclass(frozen=True, slots=True)
class Taker:
    """Takes the cost of a call from the counters of one limit, which are in memory."""

    counters: OrderedDict[str, State]
    most: int
    """The number of counters that are kept."""
    clock: Callable[[], float]
    limit: Arithmetic
    cost: int

    def take(self, key: str) -> Taken:
        """Takes from one of the counters."""
        counters = self.counters
        taken, state = self.limit.take(counters.get(key), self.cost, self.clock())
        counters[key] = state
        counters.move_to_end(key)
        if len(counters) > self.most:
            counters.popitem(last=False)
        return taken


def take_all(
    demands: Sequence[Demand], states: Sequence[State | None], now_s: float
) -> list[tuple[Taken, State]]:
    """The results of several demands; if one limit refuses, nothing is taken from any."""
    outcomes = []
    is_refused = False
    for (_, limit, cost), state in zip(demands, states, strict=True):
        outcome = take(limit, state, cost, now_s)
        outcomes.append(outcome)
        is_refused = is_refused or not outcome[0].allowed
    if is_refused:
        for n, ((_, limit, _), state) in enumerate(zip(demands, states, strict=True)):
            if outcomes[n][0].allowed:
                outcomes[n] = take(limit, state, 0, now_s)
    return outcomes


class _OfBucket(Arithmetic):
    def __init__(self, bucket: TokenBucket) -> None:
        self._limit = float(bucket.limit)
        self._per_second = self._limit / bucket.window_s

    def take(self, state: State | None, cost: int, now_s: float) -> tuple[Taken, State]:
        limit, per_second = self._limit, self._per_second
        tokens = limit
        # Comparisons, not min and max: those would be half of the cost, and every call runs this.
        if state is not None:
            before, at_s, _ = state
            # A clock that was set back adds and removes nothing.
            filled = before + (now_s - at_s) * per_second if now_s > at_s else before
            if filled < limit:
                tokens = filled
        wait_s = 0.0
        allowed = tokens >= cost
        if allowed:
            tokens -= cost
        else:
            wait_s = (cost - tokens) / per_second
        taken = Taken(
            allowed=allowed,
            remaining=int(tokens),
            retry_after_s=wait_s,
            reset_after_s=(limit - tokens) / per_second,
        )
        return taken, (tokens, now_s, 0.0)


class _OfWindow(Arithmetic):
    def __init__(self, window: SlidingWindow) -> None:
        self._window = window

    def take(self, state: State | None, cost: int, now_s: float) -> tuple[Taken, State]:
        window = self._window
        began_s = now_s - now_s % window.window_s
        count = before = 0.0
        if state is not None:
            # With a tolerance: the start of most windows has no exact binary fraction.
            windows_ago = round((began_s - state[0]) / window.window_s)
            if windows_ago == 0:
                _, count, before = state
            elif windows_ago == 1:
                before = state[1]
        elapsed = (now_s - began_s) / window.window_s
        # The previous window counts by the part of it that is less than one window ago.
        used = count + before * (1 - elapsed)
        allowed = used + cost <= window.limit
        if allowed:
            count += cost
            used += cost
        left = window.limit - used
        taken = Taken(
            allowed=allowed,
            remaining=int(left) if left > 0 else 0,
            retry_after_s=0.0 if allowed else _window_wait_s(window, count, before, cost, elapsed),
            reset_after_s=window.window_s * ((2 if count else 1) - elapsed),
        )
        return taken, (began_s, count, before)


def _window_wait_s(
    window: SlidingWindow, count: float, before: float, cost: int, elapsed: float
) -> float:
    """Seconds until the estimate has fallen enough for `cost`."""
    room = window.limit - cost
    if before and count <= room:
        return (1 - (room - count) / before - elapsed) * window.window_s
    # Not in this window, but in the next, once enough of this one's count has aged.
    aged = 1 - room / count if count else 0.0
    return (1 - elapsed + max(0.0, aged)) * window.window_s

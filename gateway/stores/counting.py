"""The arithmetic of limits, without a store or a clock.

Between two calls a counter keeps a tuple of numbers, whose meaning depends on its limit.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Final

from gateway.stores.base import Demand, Limit, SlidingWindow, Taken, TokenBucket

# Creates a `Taken`. Calling `Taken(...)` instead would be a sixth of the cost of a question.
_taken: Final = partial(tuple.__new__, Taken)

State = tuple[float, float, float]
"""A bucket: tokens, their time, 0. A window: its start, its count, the previous one's count."""


def take(limit: Limit, state: State | None, cost: int, now_s: float) -> tuple[Taken, State]:
    """The result of taking `cost`, and the counter's next state; `state` is None for a new one."""
    return taking(limit)(state, cost, now_s)


@lru_cache(maxsize=1024)
def taking(limit: Limit) -> Callable[[State | None, int, float], tuple[Taken, State]]:
    """`take` for one limit, with its constants computed in advance."""
    if isinstance(limit, TokenBucket):
        return _from_bucket(limit)
    return partial(_take_from_window, limit)


def taker(
    counters: OrderedDict[str, State],
    most: int,
    clock: Callable[[], float],
    limit: Limit,
    cost: int,
) -> Callable[[str], Taken]:
    """Returns a function that takes `cost` from one of the counters, of which it keeps `most`."""
    take = taking(limit)

    def take_from(key: str) -> Taken:
        taken, state = take(counters.get(key), cost, clock())
        counters[key] = state
        counters.move_to_end(key)
        if len(counters) > most:
            counters.popitem(last=False)
        return taken

    return take_from


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


def _from_bucket(
    bucket: TokenBucket,
) -> Callable[[State | None, int, float], tuple[Taken, State]]:
    limit = float(bucket.limit)
    per_second = limit / bucket.window_s

    def take(state: State | None, cost: int, now_s: float) -> tuple[Taken, State]:
        tokens = limit
        # Comparisons, not min and max: those would be half of the cost, and every call runs this.
        if state is not None:
            before, at_s, _ = state
            # A clock that was set back adds and removes nothing.
            filled = before + (now_s - at_s) * per_second if now_s > at_s else before
            if filled < limit:
                tokens = filled
        if tokens < cost:
            wait_s, full_after_s = (cost - tokens) / per_second, (limit - tokens) / per_second
            return _taken((False, int(tokens), wait_s, full_after_s)), (tokens, now_s, 0.0)
        tokens -= cost
        return _taken((True, int(tokens), 0.0, (limit - tokens) / per_second)), (tokens, now_s, 0.0)

    return take


def _take_from_window(
    window: SlidingWindow, state: State | None, cost: int, now_s: float
) -> tuple[Taken, State]:
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
    wait_s = 0.0 if allowed else _window_wait_s(window, count, before, cost, elapsed)
    left = window.limit - used
    remaining = int(left) if left > 0 else 0
    reset_s = window.window_s * ((2 if count else 1) - elapsed)
    return _taken((allowed, remaining, wait_s, reset_s)), (began_s, count, before)


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

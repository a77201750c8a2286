"""Waits for an event that has no signal of its own: polls with a bound, no sleeps of fixed length.

A fixed sleep is too long on an idle machine and too short on a busy one. `asyncio.sleep` stays
where time itself is tested, and where a test double plays a slow peer.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_POLL_EVERY_S = 0.01
_POLLS_FOR_STILLNESS = 10


async def until(happened: Callable[[], object], *, within_s: float = 10.0) -> None:
    """Returns once the condition holds.

    Raises:
        TimeoutError: it does not hold within `within_s`.
    """
    async with asyncio.timeout(within_s):
        while not happened():  # noqa: ASYNC110 - the condition has no event
            await asyncio.sleep(_POLL_EVERY_S)


async def first(
    ask: Callable[[], Awaitable[T]], wanted: Callable[[T], object], *, within_s: float = 10.0
) -> T:
    """Asks again and again; returns the first answer that is `wanted`.

    Raises:
        TimeoutError: no such answer comes within `within_s`.
    """
    async with asyncio.timeout(within_s):
        while not wanted(answer := await ask()):  # noqa: ASYNC110 - the answer has no event
            await asyncio.sleep(_POLL_EVERY_S)
    return answer


async def still(value: Callable[[], T], *, for_s: float = 0.3, within_s: float = 20.0) -> T:
    """Returns the value once it has not changed for `for_s`, seen by several polls.

    A pause of this process is no stillness: it is one poll, however long it takes.

    Raises:
        TimeoutError: the value goes on changing.
    """
    async with asyncio.timeout(within_s):
        last, polls = value(), 0
        while polls < _POLLS_FOR_STILLNESS:
            await asyncio.sleep(for_s / _POLLS_FOR_STILLNESS)
            now = value()
            last, polls = now, polls + 1 if now == last else 0
    return last


async def turns(count: int = 5) -> None:
    """Lets all tasks that are ready run: a few turns of the loop."""
    for _ in range(count):
        await asyncio.sleep(0)


def until_sync(happened: Callable[[], object], *, within_s: float = 10.0) -> None:
    """Does the same as `until` for tests without a loop.

    Raises:
        TimeoutError: the condition does not hold within `within_s`.
    """
    end_s = time.monotonic() + within_s
    while not happened():
        if time.monotonic() > end_s:
            raise TimeoutError
        time.sleep(_POLL_EVERY_S)

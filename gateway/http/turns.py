"""Shares the turns of the event loop out among connections that have more to do than one allows.

The loop serves one connection after another, and each waits for those before it. A client that
sends ten thousand small things at once must not get all of them looked at in one turn: a part is,
and the rest waits here for the next turns, in which everybody else has theirs as well.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Final

AT_ONCE_S: Final = 0.001
"""How long one connection may work on what it has received before others have their turn."""
MESSAGES_AT_ONCE: Final = 16
"""How many messages of one stream are passed on, one after the other, before the loop's next turn.

Each takes up to some 40 µs. Only where they come faster than they are passed on does it count.
"""
_ALL_AT_ONCE_S: Final = 0.002


class Turns:
    """Work that waits for a later turn of one event loop, in order."""

    __slots__ = ("_is_due", "_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_due = False

    def later(self, work: Callable[[], None]) -> None:
        """Does `work` in one of the next turns.

        It is to take no longer than `AT_ONCE_S`, and may ask for another turn itself.
        """
        self._waiting.append(work)
        self._call_soon()

    def _call_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        self._is_due = False
        until_s = perf_counter() + _ALL_AT_ONCE_S
        for _ in range(len(self._waiting)):
            try:
                self._waiting.popleft()()
            finally:
                if self._waiting:
                    self._call_soon()
            if perf_counter() >= until_s:
                break

"""Divides the time of the event loop fairly among connections with much work.

The loop serves one connection after another. A client that sends ten thousand small messages at
once must not keep the loop until all are processed. Its connection processes a part in one turn of
the loop; the rest waits here for later turns, and other connections run between them.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Final

TURN_LIMIT_S: Final = 0.001
"""Seconds that one connection may process received data before it yields to others."""
MESSAGES_PER_TURN: Final = 16
"""The number of messages that one stream passes on before it yields to the event loop.

A message takes up to about 40 µs. The limit matters only for messages that arrive faster than they
are passed on.
"""
_ALL_TURNS_LIMIT_S: Final = 0.002


class Turns:
    """The work that waits for a later turn of one event loop, in order."""

    __slots__ = ("_is_due", "_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_due = False

    def later(self, work: Callable[[], None]) -> None:
        """Runs `work` in one of the next turns.

        It should take no longer than `TURN_LIMIT_S`, and may call `later` again.
        """
        self._waiting.append(work)
        self._call_soon()

    def _call_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        self._is_due = False
        until_s = perf_counter() + _ALL_TURNS_LIMIT_S
        for _ in range(len(self._waiting)):
            try:
                self._waiting.popleft()()
            finally:
                if self._waiting:
                    self._call_soon()
            if perf_counter() >= until_s:
                break

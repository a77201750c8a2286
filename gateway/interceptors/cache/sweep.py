"""Removes expired replies from memory, a little each second: nobody may ask for them again."""

import asyncio
import time
from typing import Final

from gateway.cache.memory import MemoryCache

_EVERY_S: Final = 1.0
_FOR_S: Final = 0.001


class Sweep:
    """The sweep of one memory, from the first reply in it until it is empty."""

    def __init__(self, memory: MemoryCache) -> None:
        self._memory = memory
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Sweeps from now on, if it does not yet; the event loop must be running."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_EVERY_S, self._look)

    def close(self) -> None:
        """Stops."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        """Looks at as many replies as it can in a millisecond; the next time goes on from there."""
        began_s = time.monotonic()
        while self._memory.sweep(began_s) and time.monotonic() - began_s < _FOR_S:
            pass
        self._timer = None
        if len(self._memory):
            self.begin()

"""A circuit breaker in front of a store that is reached over a network.

A store that is frozen, or behind a broken network, answers nothing. Without a breaker every
question would wait for the time limit, and all of them together would hold connections and memory.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.stores.base import StoreUnavailableError

T = TypeVar("T")

logger = logging.getLogger("gateway")

_MOST_FAILURES = 5
_PROBE_EVERY_S = 0.5
# A probe keeps no caller waiting, so it has time for new connections and the search for a master.
_PROBE_TIMEOUT_S = 1.0


class Breaker:
    """Bounds the time of each question; while the store is unavailable, refuses all at once.

    It opens after five failures in a row. A task then probes the store, and closes the breaker when
    the store has answered: no caller has to wait to find out.
    """

    def __init__(self, name: str, timeout_s: float, probe: Callable[[], Awaitable[object]]) -> None:
        """`name` is that of the store in messages.

        `probe` returns if the store can be used, and raises `StoreUnavailableError` if not.
        """
        self._name = name
        self._timeout_s = timeout_s
        self._probe = probe
        self._failures = 0
        self._reason: StoreUnavailableError | None = None
        """The failure that opened the breaker; None while it is closed."""
        self._probing: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """True while the store is not asked."""
        return self._reason is not None

    async def run(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer of the store to the question that `ask` sends.

        Raises:
            StoreUnavailableError: the store failed, took longer than `timeout_s`, or was not asked,
                because it has failed before and no probe has reached it since.
        """
        if self._reason is not None:
            raise StoreUnavailableError(str(self._reason))
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await ask()
        except TimeoutError:
            error = StoreUnavailableError(f"{self._name}: no answer within {self._timeout_s:g} s")
            self._fail(error)
            raise error from None
        except StoreUnavailableError as error:
            self._fail(error)
            raise
        self._failures = 0
        return answer

    async def close(self) -> None:
        """Stops probing."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])

    def _fail(self, error: StoreUnavailableError) -> None:
        self._failures += 1
        if self._failures < _MOST_FAILURES or self._reason is not None:
            return
        self._reason = error
        logger.warning("the store is unavailable and is not asked until it is back: %s", error)
        self._probing = asyncio.create_task(self._close_when_back())

    async def _close_when_back(self) -> None:
        while self._reason is not None:
            await asyncio.sleep(_PROBE_EVERY_S)
            try:
                async with asyncio.timeout(_PROBE_TIMEOUT_S):
                    await self._probe()
            except (StoreUnavailableError, TimeoutError):
                continue
            except Exception:
                # A fault of ours. The probe goes on: without it the breaker would stay open.
                logger.exception("the store cannot be probed: %s", self._name)
                continue
            self._failures = 0
            self._reason = None
        logger.warning("the store is available again: %s", self._name)


class GuardedStore:
    """The base of stores that are asked through a breaker."""

    _breaker: Breaker

    @property
    def is_available(self) -> bool:
        """False while the store is not asked because it has failed."""
        return not self._breaker.is_open

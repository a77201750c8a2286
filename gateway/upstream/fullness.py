"""Notes when the limits of an upstream refuse calls, for the log and the metrics."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Final

from gateway.telemetry.event import about

logger = logging.getLogger("gateway.upstream")

STEADY_S: Final = 10.0
"""Seconds without a refused call after which a limit counts as kept again."""
_WARN_AGAIN_S: Final = 60.0
"""Seconds until the log repeats a warning."""


class Fullness:
    """The limits of one upstream that refuse calls at this time."""

    def __init__(self, name: str, limits: Iterable[str], steady_s: float = STEADY_S) -> None:
        """Takes the settings of the limits that there are."""
        self._name = name
        self._limits = tuple(limits)
        self._steady_s = steady_s
        self._open: dict[str, _Refusals] = {}

    def refusing(self) -> Mapping[str, bool]:
        """Returns each limit, and whether it has refused a call lately."""
        return {one: one in self._open for one in self._limits}

    def refused(self, limit: str, text: str) -> None:
        """Counts a call that `limit` has refused; logs `text`, but at most once a minute."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        refusals = self._open.get(limit)
        if refusals is None:
            refusals = self._open[limit] = _Refusals(now_s)
            loop.call_later(self._steady_s, self._look, limit)
        refusals.count += 1
        refusals.last_s = now_s
        if now_s >= refusals.warn_at_s:
            refusals.warn_at_s = now_s + _WARN_AGAIN_S
            extra = about(
                "gateway.upstream.full", gateway__upstream=self._name, gateway__limit=limit
            )
            logger.warning("upstream %s %s", self._name, text, extra=extra)

    def _look(self, limit: str) -> None:
        """Reports the end of the refusals; if there was a later one, looks again after a pause."""
        loop = asyncio.get_running_loop()
        refusals = self._open[limit]
        left_s = refusals.last_s + self._steady_s - loop.time()
        if left_s > 0:
            loop.call_later(left_s, self._look, limit)
            return
        del self._open[limit]
        logger.info(
            "upstream %s takes all calls again, after it refused %d (%s)",
            self._name,
            refusals.count,
            limit,
            extra=about(
                "gateway.upstream.full_over",
                gateway__upstream=self._name,
                gateway__limit=limit,
                gateway__refused=refusals.count,
            ),
        )


class _Refusals:
    """The calls that one limit refuses, without a long pause between them."""

    def __init__(self, now_s: float) -> None:
        self.count = 0
        self.last_s = self.warn_at_s = now_s

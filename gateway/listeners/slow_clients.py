"""Limits the memory of replies that wait for slow clients.

A reply stays in memory until its client has read it. A client that reads a few bytes from time to
time never times out, and could keep megabytes for hours; ten thousand such clients could use all
the memory.
"""

import asyncio
import logging
from typing import Final

from gateway.config.limits import Limits
from gateway.telemetry.event import about

logger = logging.getLogger("gateway")

_CHECK_EVERY_S: Final = 0.05
# The reading rate of a client is unknown at first. Below twice the budget, a client is not cut off
# before this time.
_RATE_KNOWN_AFTER_S: Final = 1.0


class _SlowClient:
    """One client whose write buffer is full."""

    __slots__ = ("peer", "since_s", "transport", "unsent_bytes")

    def __init__(self, transport: asyncio.Transport, peer: str, now_s: float) -> None:
        self.transport = transport
        self.peer = peer
        self.since_s = now_s
        """The time from which the rate is measured; `unsent_bytes` is the amount at that time."""
        self.unsent_bytes = transport.get_write_buffer_size()

    def rate(self, now_s: float, unsent_bytes: int) -> float:
        """Returns the bytes that the client read per second; nothing is added while it is slow."""
        return (self.unsent_bytes - unsent_bytes) / max(now_s - self.since_s, 0.001)


class SlowClients:
    """The clients of one port whose write buffers are full."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits) -> None:
        self._loop = loop
        self._budget_bytes = limits.unsent_bytes
        self._min_rate = limits.reading_bytes_per_s
        self._timeout_s = limits.body_timeout_s
        self._clients: dict[asyncio.Transport, _SlowClient] = {}
        self._check_due = False

    def apply(self, limits: Limits) -> None:
        """Applies new limits."""
        self._budget_bytes = limits.unsent_bytes
        self._min_rate = limits.reading_bytes_per_s
        self._timeout_s = limits.body_timeout_s

    def add(self, transport: asyncio.Transport, peer: str) -> None:
        """Starts to watch a client."""
        self._clients[transport] = _SlowClient(transport, peer, self._loop.time())
        if not self._check_due:
            self._check_due = True
            self._loop.call_later(_CHECK_EVERY_S, self._check)

    def discard(self, transport: asyncio.Transport | None) -> None:
        """Stops watching a client that has caught up or disconnected."""
        if transport is not None:
            self._clients.pop(transport, None)

    def sweep(self, now_s: float) -> None:
        """Cuts off clients that read too slowly or exceed the budget; called regularly."""
        for slow in list(self._clients.values()):
            if now_s - slow.since_s < self._timeout_s:
                continue
            unsent_bytes = slow.transport.get_write_buffer_size()
            rate = slow.rate(now_s, unsent_bytes)
            if rate < self._min_rate:
                self._cut(slow, unsent_bytes, rate, "limits.reading_bytes_per_s")
            else:
                slow.since_s, slow.unsent_bytes = now_s, unsent_bytes
        self._check()

    def _check(self) -> None:
        """Cuts off the slowest clients while the unsent bytes of all exceed the budget."""
        self._check_due = False
        unsent = {slow: slow.transport.get_write_buffer_size() for slow in self._clients.values()}
        total_bytes = sum(unsent.values())
        if total_bytes <= self._budget_bytes:
            return
        now_s = self._loop.time()
        rates = {slow: slow.rate(now_s, unsent[slow]) for slow in unsent}
        for slow in sorted(unsent, key=lambda each: (rates[each], -unsent[each])):
            is_known = now_s - slow.since_s >= _RATE_KNOWN_AFTER_S
            if is_known or total_bytes > 2 * self._budget_bytes:
                self._cut(slow, unsent[slow], rates[slow], "limits.unsent_bytes")
                total_bytes -= unsent[slow]
            if total_bytes <= self._budget_bytes:
                return

    def _cut(self, slow: _SlowClient, unsent_bytes: int, rate: float, setting: str) -> None:
        self.discard(slow.transport)
        logger.warning(
            "cut off a client at %s that reads too slowly, %d bytes a second, while %d bytes"
            " waited for it: see %s",
            slow.peer,
            rate,
            unsent_bytes,
            setting,
            extra=about("gateway.client.slow", client__address=slow.peer),
        )
        slow.transport.abort()

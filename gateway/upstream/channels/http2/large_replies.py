"""Limits how much of large replies is in memory before it is sent to clients.

A reply takes memory from its first byte until it has been transcoded. Thirty clients that ask for
15 MB each would take half a gigabyte at once. So a large reply needs a share of a budget. While the
budget is used up, the next large reply waits at its back end: its HTTP/2 window is not opened
further (RFC 9113 section 5.2), and other calls on the connection go on.
"""

from collections.abc import Callable
from typing import Final

from gateway.http2.stream import STREAM_WINDOW

LARGE_BYTES: Final = STREAM_WINDOW
"""The size above which a reply needs a share. A smaller one arrives within one window, so it could
not be held back."""


class LargeReplies:
    """The budget of one channel."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._used_bytes = 0
        self._waiting: dict[Share, None] = {}
        """In the order in which they asked."""

    def ask(self, size: int, on_granted: Callable[[], None]) -> "Share":
        """Asks for a share of `size` bytes; `on_granted` is called if it is granted later."""
        share = Share(self, size, on_granted)
        self._waiting[share] = None
        self._grant()
        return share

    def returned(self, share: "Share") -> None:
        """Takes back a share, or the request for one."""
        if share.is_granted:
            self._used_bytes -= share.size
        else:
            self._waiting.pop(share, None)
        self._grant()

    def _grant(self) -> None:
        while self._waiting:
            share = next(iter(self._waiting))
            # A reply that is larger than the whole budget is received alone.
            if self._used_bytes and self._used_bytes + share.size > self._budget_bytes:
                return
            del self._waiting[share]
            self._used_bytes += share.size
            share.grant()


class Share:
    """The part of the budget that one reply has, or waits for; given back when it is dropped."""

    def __init__(self, budget: LargeReplies, size: int, on_granted: Callable[[], None]) -> None:
        self.size = size
        self.is_granted = False
        self._budget: LargeReplies | None = budget
        self._on_granted: Callable[[], None] | None = on_granted

    def __del__(self) -> None:
        # The reply was transcoded, or its call has failed: in every case nothing holds it.
        self.give_back()

    def grant(self) -> None:
        """Called by the budget when the reply may be received."""
        self.is_granted = True
        on_granted, self._on_granted = self._on_granted, None
        if on_granted is not None:
            on_granted()

    def give_back(self) -> None:
        """Gives the share back, or stops waiting for it."""
        budget, self._budget, self._on_granted = self._budget, None, None
        if budget is not None:
            budget.returned(self)

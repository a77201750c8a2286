"""Limits how much of large replies is in memory before it is sent to clients.

A message takes memory from its first byte until it has been transcoded. Thirty clients that ask for
15 MB each would take half a gigabyte at once. So a large message, of a single reply or of a stream,
needs a share of a budget. While the budget is used up, the next one waits for a bounded time: over
HTTP/2 at its back end, because its window is not opened further (RFC 9113 section 5.2), and other
calls on the connection go on. grpcio reads a message whole, and so does decompression: such
messages wait in memory, and are refused if those that wait would exceed the budget once more.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from gateway.http2.stream import STREAM_WINDOW
from gateway.status import Code, StatusError

LARGE_BYTES: Final = STREAM_WINDOW
"""The size above which a message needs a share. A smaller one arrives within one window, so it
could not be held back."""


class LargeReplies:
    """The budget of one upstream; used on the thread of the event loop that makes it."""

    def __init__(self, upstream: str, budget_bytes: int, wait_s: float) -> None:
        """Takes the name of the upstream, and the longest wait for a share."""
        self._upstream = upstream
        self._budget_bytes = budget_bytes
        self._wait_s = wait_s
        self._used_bytes = 0
        self._whole_bytes = 0
        """The size of the messages that wait in memory."""
        self._waiting: dict[Share, None] = {}
        """In the order in which they asked."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def ask(
        self, size: int, on_granted: Callable[[], None], on_refused: Callable[[StatusError], None]
    ) -> "Share":
        """Asks for a share of `size` bytes.

        `on_granted` is called when it is granted, at once or later; `on_refused` is called with
        RESOURCE_EXHAUSTED if that takes too long.
        """
        share = Share(self, size, on_granted, on_refused)
        self._waiting[share] = None
        self._grant()
        if not share.is_granted:
            share.refuse_after(self._loop, self._wait_s)
        return share

    async def room(self, size: int) -> "Share | None":
        """The share of a message of `size` bytes that is in memory already; None if it is small.

        Raises:
            StatusError: RESOURCE_EXHAUSTED, if there is none in time, or too many wait.
        """
        if size <= LARGE_BYTES:
            return None
        granted: asyncio.Future[None] = self._loop.create_future()
        share = self.ask(size, lambda: _resolve(granted), lambda error: _fail(granted, error))
        if share.is_granted:
            return share
        if self._whole_bytes and self._whole_bytes + size > self._budget_bytes:
            share.give_back()
            raise self.refusal()
        self._whole_bytes += size
        try:
            await granted
        except BaseException:
            share.give_back()
            raise
        finally:
            self._whole_bytes -= size
        return share

    async def admit(self, message: bytes) -> bytes:
        """The message, which holds its share if it is large.

        Raises:
            StatusError: as `room`.
        """
        share = await self.room(len(message))
        return message if share is None else share.held_by(message)

    def refusal(self) -> StatusError:
        """The failure of a call whose reply found no room."""
        return StatusError(
            Code.RESOURCE_EXHAUSTED,
            "too many large replies are in memory",
            headers=[("Retry-After", "1")],
        )

    def returned(self, share: "Share") -> None:
        """Takes back a share, or the request for one."""
        if share.is_granted:
            self._freed(share.size)
        elif self._waiting.pop(share, _ABSENT) is not _ABSENT:
            self._grant()

    def dropped(self, size: int) -> None:
        """Takes back a granted share that nothing holds any more, on any thread."""
        if threading.get_ident() == self._thread:
            self._freed(size)
        else:
            # A message may be dropped last by the thread that transcoded it.
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._freed, size)

    def _freed(self, size: int) -> None:
        self._used_bytes -= size
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
    """The part of the budget that one message has, or waits for; given back when it is dropped."""

    def __init__(
        self,
        budget: LargeReplies,
        size: int,
        on_granted: Callable[[], None],
        on_refused: Callable[[StatusError], None],
    ) -> None:
        self.size = size
        self.is_granted = False
        self._budget: LargeReplies | None = budget
        self._on_granted: Callable[[], None] | None = on_granted
        self._on_refused: Callable[[StatusError], None] | None = on_refused
        self._timer: asyncio.TimerHandle | None = None

    def __del__(self) -> None:
        # The message was transcoded, or its call has failed: in every case nothing holds it. One
        # that waits is held by its timer.
        self.drop()

    def drop(self) -> None:
        """Gives a granted share back, on any thread."""
        if self._budget is not None and self.is_granted:
            budget, self._budget = self._budget, None
            budget.dropped(self.size)

    def refuse_after(self, loop: asyncio.AbstractEventLoop, wait_s: float) -> None:
        """Gives up if the share is not granted within `wait_s` seconds."""
        self._timer = loop.call_later(wait_s, self._refuse)

    def grant(self) -> None:
        """Called by the budget when the message may be received."""
        self.is_granted = True
        on_granted = self._on_granted
        self._forget()
        if on_granted is not None:
            on_granted()

    def held_by(self, message: bytes) -> "HeldMessage":
        """The same message; it has the share for as long as it is in memory."""
        held = HeldMessage(message)
        held.share = self
        return held

    def give_back(self) -> None:
        """Gives the share back, or stops waiting for it."""
        budget, self._budget = self._budget, None
        self._forget()
        if budget is not None:
            budget.returned(self)

    def _refuse(self) -> None:
        budget, on_refused = self._budget, self._on_refused
        self.give_back()
        if budget is not None and on_refused is not None:
            on_refused(budget.refusal())

    def _forget(self) -> None:
        self._on_granted = self._on_refused = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class HeldMessage(bytes):
    """A large message that holds its share for as long as it is in memory."""

    share: Share

    def __del__(self) -> None:
        # The share itself may be held longer, by the call that gives it back with the next message.
        self.share.drop()


_ABSENT: Final = object()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: asyncio.Future[None], error: StatusError) -> None:
    if not future.done():
        future.set_exception(error)

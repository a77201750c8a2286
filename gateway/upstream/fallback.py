"""Gives calls that could not be sent to an upstream to another one."""

import logging
import time
from collections.abc import Callable
from typing import Final

from gateway.call import Call, Handler, Reply
from gateway.telemetry.event import about
from gateway.upstream.channels.failures import Overloaded, Progress, Unprocessed

logger = logging.getLogger("gateway.upstream")

_STEADY_S: Final = 10.0
"""Seconds without a call for the fallback after which the log says that the upstream is back."""


class Fallback:
    """The calls of one upstream that another one gets: only those that were never sent.

    A call that a back end refused, or may have seen, keeps its failure. So does a call that its
    upstream has no room for: the fallback would be overloaded next. So does a streaming request, of
    which a part may have been read.
    """

    def __init__(
        self, upstream: str, other: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Takes the names of the upstream and of its fallback."""
        self._upstream = upstream
        self._other = other
        self._clock = clock
        self._last_s: float | None = None
        """The time of the last call that the fallback got; None while it gets none."""

    def between(self, first: Handler, second: Handler) -> Handler:
        """The handler that passes calls to `first`, and to `second` those that were never sent.

        Both share the deadline of the call.
        """

        async def send(call: Call) -> Reply:
            try:
                reply = await first(call)
            except Unprocessed as failure:
                if call.messages is not None or not _was_unreachable(failure):
                    raise
                self._note_fallback()
            else:
                if self._last_s is not None:
                    self._note_answer(self._last_s)
                return reply
            return await second(call)

        return send

    def _note_fallback(self) -> None:
        if self._last_s is None:
            self._report("gateway.upstream.fallback", "is unreachable; its calls go to")
        self._last_s = self._clock()

    def _note_answer(self, last_s: float) -> None:
        if self._clock() - last_s >= _STEADY_S:
            self._last_s = None
            self._report("gateway.upstream.fallback_over", "answers again; it has its calls from")

    def _report(self, event: str, text: str) -> None:
        logger.warning(
            "upstream %s %s %s",
            self._upstream,
            text,
            self._other,
            extra=about(
                event, gateway__upstream=self._upstream, gateway__upstream__fallback=self._other
            ),
        )


def _was_unreachable(failure: Unprocessed) -> bool:
    if failure.progress is not Progress.UNSENT or isinstance(failure, Overloaded):
        return False
    return failure.may_go_elsewhere

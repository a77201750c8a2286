"""Measures each call to its back end."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from gateway.call import Call, Code, Handler, Reply, StatusError, Trace
from gateway.telemetry.metrics.accumulators import Accumulator

_OK: Final = Code.OK
_now_s: Final = time.monotonic

OpenDurations = Callable[[Code], list[Accumulator]]
"""Returns the histograms of the durations, in seconds, of the calls that end with a code."""


class Measure:
    """Reports the codes and durations of calls, as a stage of their chain or as they end.

    A streaming reply ends with its call. Repeated attempts of one call are one, as OpenTelemetry's
    `rpc.client.call.duration` counts them.
    """

    def __init__(
        self, open_durations: OpenDurations | None, *, upstream: str | None = None
    ) -> None:
        """Takes `upstream`, the name of the back end, if calls are noted in their traces too."""
        self._open = open_durations
        self._upstream = upstream
        self._opened: dict[Code, list[Accumulator]] = {}
        self._last_code: Code | None = None
        self._last: list[Accumulator] = []

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Passes a call on, to channels that do not tell how calls end."""
        started_s = _now_s()
        try:
            reply = await proceed(call)
        except BaseException as error:
            self.ended(call, error, started_s)
            raise
        self.ended(call, reply, started_s)
        return reply

    def ended(self, call: Call, outcome: Reply | BaseException, started_s: float) -> None:
        """Reports a call that has ended, or will when its reply has been streamed.

        It began at `started_s`, of the monotonic clock.
        """
        if isinstance(outcome, Reply):
            if outcome.messages is not None:
                trace = call.trace  # a hook that held the call would make a reference cycle
                call.on_end(partial(self._report, trace, started_s))
                return
            code = _OK
        elif isinstance(outcome, StatusError):
            call.back_end_failed = True
            code = outcome.code
        elif isinstance(outcome, asyncio.CancelledError):
            call.back_end_failed = True
            code = _why_cancelled(call)
        elif isinstance(outcome, Exception):  # of a policy or resolver of the program's own
            code = Code.INTERNAL
        else:
            return
        self._report(call.trace, started_s, code)

    def _report(self, trace: Trace | None, started_s: float, code: Code) -> None:
        now_s = _now_s()
        if self._open is not None:
            # Mostly a call ends as the one before: a comparison costs less than a look-up.
            if code is not self._last_code:
                durations = self._opened.get(code)
                if durations is None:
                    durations = self._opened[code] = self._open(code)
                self._last_code, self._last = code, durations
            for one in self._last:
                one.add(now_s - started_s)
        if trace is not None and self._upstream is not None:
            trace.note_call(self._upstream, code, started_s, now_s)


def _why_cancelled(call: Call) -> Code:
    """Returns DEADLINE_EXCEEDED if the time of a cancelled call was over, and else CANCELLED."""
    is_over = call.deadline is not None and call.deadline.at_s <= _now_s()
    return Code.DEADLINE_EXCEEDED if is_over else Code.CANCELLED

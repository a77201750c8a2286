"""Measures each call to its back end."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from gateway.call import Call, Handler, Reply
from gateway.status import Code, StatusError

_OK: Final = Code.OK
_now_s: Final = time.monotonic

Observe = Callable[[Code, float], None]
"""Takes the code of a call that has ended, and its duration in seconds."""


class Measure:
    """Passes calls on, and reports their codes and durations.

    A streaming reply ends with its call. Repeated attempts of one call are one, as OpenTelemetry's
    `rpc.client.call.duration` counts them.
    """

    def __init__(self, observe: Observe) -> None:
        self._observe = observe

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Passes a call on."""
        started_s = _now_s()
        try:
            reply = await proceed(call)
        except StatusError as error:
            self._observe(error.code, _now_s() - started_s)
            raise
        except asyncio.CancelledError:
            self._observe(_why_cancelled(call), _now_s() - started_s)
            raise
        if reply.messages is None:
            self._observe(_OK, _now_s() - started_s)
        else:
            call.on_end(lambda code: self._observe(code, _now_s() - started_s))
        return reply


def _why_cancelled(call: Call) -> Code:
    """Returns DEADLINE_EXCEEDED if the time of a cancelled call was over, and else CANCELLED."""
    is_over = call.deadline is not None and call.deadline.at_s <= _now_s()
    return Code.DEADLINE_EXCEEDED if is_over else Code.CANCELLED

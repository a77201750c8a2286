"""Makes calls late, or makes them fail, before they are sent (gRFC A33)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from gateway.call import Call, Handler, Reply
from gateway.config.faults import FaultRule
from gateway.status import Code, StatusError
from gateway.upstream.splitting import condition


def with_faults(rules: Sequence[FaultRule], then: Handler, random: Random) -> Handler:
    """The handler that applies the first rule that a call matches, and passes on the others."""
    faults = [(condition(one.match), _Fault(one, then, random)) for one in rules]

    def send(call: Call) -> Awaitable[Reply]:
        for fits, fault in faults:
            if fits(call):
                return fault.send(call)
        return then(call)

    return send


class _Fault:
    """One rule; its delay and its failure are decided apart, the delay comes first (gRFC A33)."""

    def __init__(
        self,
        rule: FaultRule,
        then: Handler,
        random: Random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rule = rule
        self._then = then
        self._random = random
        self._clock = clock
        self._waiting = 0

    async def send(self, call: Call) -> Reply:
        """Passes a call on, perhaps late.

        Raises:
            StatusError: the call was made to fail, or its time was over; it was not sent.
        """
        rule = self._rule
        if rule.delay_s and self._chance(rule.delay_percent) and self._waiting < rule.max_active:
            await self._wait(call)
        if rule.abort is not None and self._chance(rule.abort_percent):
            raise StatusError(Code[rule.abort], "a fault made for a test (faults)")
        return await self._then(call)

    async def _wait(self, call: Call) -> None:
        wait_s = self._rule.delay_s
        if call.deadline is not None:
            wait_s = min(wait_s, call.deadline.remaining_s(self._clock()))
        self._waiting += 1
        try:
            await asyncio.sleep(wait_s)
        finally:
            self._waiting -= 1

    def _chance(self, percent: float) -> bool:
        return self._random.random() * 100 < percent

"""Makes calls late, or makes them fail, before they are sent (gRFC A33)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, NamedTuple

from gateway.call import Call, Handler, Reply
from gateway.config.faults import FaultRule
from gateway.status import Code, StatusError, code_of_proxy, invalid_argument

_DELAY, _DELAY_PERCENT = "x-fault-delay-ms", "x-fault-delay-percent"
_ABORT, _ABORT_PERCENT = "x-fault-abort", "x-fault-abort-percent"
_DIGITS: Final = 9
"""The most digits of a number in a header."""


def with_faults(
    rules: Sequence[tuple[Callable[[Call], bool], FaultRule]], then: Handler, random: Random
) -> Handler:
    """The handler that applies the first rule that a call matches, and passes on the others.

    Each rule comes with the condition that a call has to meet.
    """
    faults = [(fits, _Fault(one, then, random)) for fits, one in rules]

    def send(call: Call) -> Awaitable[Reply]:
        for fits, fault in faults:
            if fits(call):
                return fault.send(call)
        return then(call)

    return send


class _Chosen(NamedTuple):
    """The delay and the failure that a call may get."""

    delay_s: float
    delay_percent: float
    code: Code | None
    abort_percent: float


@dataclass(eq=False)
class _Fault:
    """One rule; its delay and its failure are decided apart, the delay comes first (gRFC A33)."""

    _rule: FaultRule
    _then: Handler
    _random: Random
    _clock: Callable[[], float] = time.monotonic
    _waiting: int = 0

    def __post_init__(self) -> None:
        """Decides what the rule does to calls that ask for nothing else."""
        rule = self._rule
        code = None if rule.abort is None else Code[rule.abort]
        if rule.abort_http_status is not None:
            code = code_of_proxy(str(rule.abort_http_status))
        self._own = _Chosen(rule.delay_s, rule.delay_percent, code, rule.abort_percent)

    async def send(self, call: Call) -> Reply:
        """Passes a call on, perhaps late.

        Raises:
            StatusError: the call was made to fail, a header asks for no fault that there is, or the
                time of the call was over; it was not sent.
        """
        rule = self._rule
        fault = _asked_for(rule, call.headers) if rule.headers else self._own
        waits = fault.delay_s and self._chance(fault.delay_percent)
        if waits and self._waiting < rule.max_active:
            await self._wait(call, fault.delay_s)
        if fault.code is not None and self._chance(fault.abort_percent):
            raise StatusError(fault.code, "a fault made for a test (faults)")
        return await self._then(call)

    async def _wait(self, call: Call, wait_s: float) -> None:
        if call.deadline is not None:
            wait_s = min(wait_s, call.deadline.remaining_s(self._clock()))
        self._waiting += 1
        try:
            await asyncio.sleep(wait_s)
        finally:
            self._waiting -= 1

    def _chance(self, percent: float) -> bool:
        return self._random.random() * 100 < percent


def _asked_for(rule: FaultRule, headers: Mapping[str, str]) -> _Chosen:
    """The fault that the headers of a request choose, within the bounds of its rule.

    Raises:
        StatusError: a header is not valid.
    """
    delay_ms = _number(headers, _DELAY, 0)
    delay_percent = min(_number(headers, _DELAY_PERCENT, 100), rule.delay_percent)
    abort_percent = min(_number(headers, _ABORT_PERCENT, 100), rule.abort_percent)
    code = _code(headers.get(_ABORT, "").strip())
    return _Chosen(min(delay_ms / 1000, rule.delay_s), delay_percent, code, abort_percent)


def _number(headers: Mapping[str, str], name: str, otherwise: int) -> int:
    text = headers.get(name)
    if text is None:
        return otherwise
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _DIGITS:
        raise invalid_argument(name, f"expected a number of at most {_DIGITS} digits")
    return int(digits)


def _code(text: str) -> Code | None:
    if not text:
        return None
    if text in Code.__members__ and text != Code.OK.name:
        return Code[text]
    if len(text) == 3 and text.isascii() and text.isdigit() and "200" <= text <= "599":
        return code_of_proxy(text)
    raise invalid_argument(_ABORT, "expected a code, such as UNAVAILABLE, or an HTTP status, 503")

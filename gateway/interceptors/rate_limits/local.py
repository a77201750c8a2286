"""The most usual rate limit: one limit of a method, counted in this process."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gateway.call import Call, Handler, Reply
from gateway.interceptors.rate_limits.refusal import Quotas
from gateway.stores.base import Taken
from gateway.stores.counting import Taker

Refuse = Callable[[Call, Sequence[str], Sequence[Taken]], None]
"""Raises the error of a call that exceeds a limit, with the keys and results of all its limits."""


@dataclass(frozen=True, slots=True)
class LocalLimit:
    """Passes calls within one limit, whose parts are bound once for all calls of a method."""

    key: Callable[[Call], str]
    taker: Taker
    quotas: Quotas | None
    """States the rest of the limit; None to state nothing."""
    refuse: Refuse

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Proceeds with a call within the limit."""
        key = self.key(call)
        taken = self.taker.take(key)
        if self.quotas is not None:
            call.response_headers += self.quotas.headers_of_one(taken)
        if not taken.allowed:
            self.refuse(call, [key], [taken])
        return proceed(call)

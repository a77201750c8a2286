"""The most usual rate limit: one limit of a method, counted in this process."""

from collections.abc import Callable

from gateway.call import Call, Check
from gateway.interceptors.rate_limits.refusal import Quotas, Refuse
from gateway.stores.counting import Taker


class LocalLimit(Check):
    """Passes calls within one limit, whose parts are bound once for all calls of a method."""

    def __init__(
        self,
        key: Callable[[Call], str],
        taker: Taker,
        quotas: Quotas | None,
        refuse: Refuse,
    ) -> None:
        """Takes `quotas`, which states the rest of the limit; None to state nothing."""
        self._key = key
        self._taker = taker
        self._quotas = quotas
        self._refuse = refuse

    def check(self, call: Call) -> None:
        """Passes a call within the limit."""
        key = self._key(call)
        taken = self._taker.take(key)
        if self._quotas is not None:
            self._quotas.state_one(taken, call.response_headers)
        if not taken.allowed:
            self._refuse(call, [key], [taken])

"""The most usual rate limit: one limit of a method, counted in this process."""

from collections.abc import Awaitable, Callable, Sequence

from gateway.call import Call, Handler, Reply
from gateway.interceptors.rate_limits.refusal import Quotas
from gateway.stores.counting import Taker
from gateway.stores.taken import Taken

Refuse = Callable[[Call, Sequence[str], Sequence[Taken]], None]
"""Raises the error of a call that exceeds a limit, with the keys and results of all its limits."""


class LocalLimit:
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

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Proceeds with a call within the limit."""
        key = self._key(call)
        taken = self._taker.take(key)
        if self._quotas is not None:
            call.response_headers += self._quotas.headers_of_one(taken)
        if not taken.allowed:
            self._refuse(call, [key], [taken])
        return proceed(call)

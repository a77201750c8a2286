"""The most usual rate limit: one limit of a method, counted in this process."""

from collections.abc import Awaitable, Callable, Sequence

from gateway.call import Call, Handler, Reply
from gateway.stores.base import Taken

Refuse = Callable[[Call, Sequence[str], Sequence[Taken]], None]
"""Raises the error of a call that exceeds a limit, with the keys and results of all its limits."""


class LocalLimit:
    """Passes calls within one limit, whose parts are bound once for all calls of a method."""

    def __init__(
        self,
        key: Callable[[Call], str],
        take: Callable[[str], Taken],
        headers: Callable[[Taken], Sequence[tuple[str, str]]] | None,
        refuse: Refuse,
    ) -> None:
        """Takes `headers`, which states the rest of the limit; None to state nothing."""
        self._key = key
        self._take = take
        self._headers = headers
        self._refuse = refuse

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Proceeds with a call within the limit."""
        key = self._key(call)
        taken = self._take(key)
        if self._headers is not None:
            call.response_headers += self._headers(taken)
        if not taken.allowed:
            self._refuse(call, [key], [taken])
        return proceed(call)

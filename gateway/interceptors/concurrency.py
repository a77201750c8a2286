"""Rejects calls of a method while its maximum number of calls is under way in this process."""

from collections.abc import Awaitable

from gateway.call import Call, Code, Handler, Method, Refused, Reply
from gateway.interceptors.rate_limits.refusal import too_many_at_once


class ConcurrencyLimit:
    """Admits `most` calls of a method at once; a stream counts for as long as it lasts.

    The method is busy, independently of the caller: so 503, not 429 (RFC 9110 section 15.6.4).
    """

    def __init__(self, method: Method, most: int) -> None:
        self._method = method
        self._most = most
        self._under_way = 0

    def __repr__(self) -> str:
        return f"<ConcurrencyLimit {self._method.full_name} {self._under_way}/{self._most}>"

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Proceeds with a call below the maximum; refuses others with UNAVAILABLE."""
        if self._under_way >= self._most:
            return Refused(too_many_at_once(self._method, self._most))
        self._under_way += 1
        call.on_end(self._release)
        return proceed(call)

    def _release(self, _: Code) -> None:
        self._under_way -= 1

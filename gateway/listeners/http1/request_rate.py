"""Limits the requests per second of one connection."""

from gateway.status import Code, StatusError


class RequestRate:
    """Counts the requests of one connection in each second."""

    __slots__ = ("_begun_s", "_count", "_most", "refusal")

    def __init__(self, most: int) -> None:
        """Takes the maximum number of requests per second."""
        self._most = most
        self._begun_s = 0.0
        self._count = 0
        self.refusal = StatusError(
            Code.RESOURCE_EXHAUSTED,
            f"more than {most} requests a second came on one connection",
            headers=[("Retry-After", "1")],
        )
        """The error for requests over the limit: HTTP status 429."""

    def room_for(self, more: int, now_s: float) -> int:
        """Counts `more` requests and returns the number of them that are allowed now."""
        if now_s - self._begun_s >= 1.0:
            self._begun_s, self._count = now_s, 0
        room = max(0, self._most - self._count)
        self._count += more
        return min(room, more)

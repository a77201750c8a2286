"""How many requests one connection may send a second."""

from gateway.status import Code, StatusError


class RequestRate:
    """Counts the requests of one connection, second by second."""

    __slots__ = ("_begun_s", "_count", "_most", "refusal")

    def __init__(self, most: int) -> None:
        """`most` is how many may come within a second."""
        self._most = most
        self._begun_s = 0.0
        self._count = 0
        self.refusal = StatusError(
            Code.RESOURCE_EXHAUSTED,
            f"more than {most} requests a second came on one connection",
            headers=[("Retry-After", "1")],
        )
        """What is said where they are too many: HTTP status 429."""

    def room_for(self, more: int, now_s: float) -> int:
        """How many of these may come now; all are counted."""
        if now_s - self._begun_s >= 1.0:
            self._begun_s, self._count = now_s, 0
        room = max(0, self._most - self._count)
        self._count += more
        return min(room, more)

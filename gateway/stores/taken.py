"""The result of taking from a counter, which each call with a rate limit makes."""


class Taken:
    """The result of taking from a counter."""

    __slots__ = ("allowed", "remaining", "reset_after_s", "retry_after_s")

    def __init__(
        self, *, allowed: bool, remaining: int, retry_after_s: float, reset_after_s: float
    ) -> None:
        self.allowed = allowed
        self.remaining = remaining
        """The cost that could still be taken now."""
        self.retry_after_s = retry_after_s
        """Seconds until the requested cost could be taken; 0 if it was allowed."""
        self.reset_after_s = reset_after_s
        """Seconds until the whole limit can be taken again."""

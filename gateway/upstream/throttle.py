"""Counts the repeats of an upstream, and stops them while too many attempts fail; pure."""


class Budget:
    """The repeats under way of one upstream."""

    def __init__(self) -> None:
        self.under_way = 0


class Throttle:
    """The tokens of one upstream, from which repeats are allowed (gRFC A6); in thousandths."""

    def __init__(self, max_tokens: int, token_ratio: float) -> None:
        self._most = self._tokens = max_tokens * 1000
        self._ratio = int(token_ratio * 1000)

    @property
    def allows(self) -> bool:
        """True while more than half of the tokens are there."""
        return self._tokens * 2 > self._most

    def succeeded(self) -> None:
        """Gives back the tokens of a call that succeeded."""
        self._tokens = min(self._most, self._tokens + self._ratio)

    def failed(self) -> None:
        """Takes the token of an attempt that failed."""
        self._tokens = max(0, self._tokens - 1000)

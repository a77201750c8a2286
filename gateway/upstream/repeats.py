"""The repeats of calls, and the interface of their observers (gRFC A6, A96); pure."""

from enum import StrEnum
from typing import Final, NamedTuple, Protocol

NO_ANSWER: Final = "no_answer"
"""The reason of an attempt that begins because those before have not answered yet."""


class NotRepeated(StrEnum):
    """The reason why a call has no further attempt, although its policy asks for one."""

    BUDGET = "budget"
    """Too many repeats are under way."""
    THROTTLE = "throttle"
    """Too many attempts have failed (`retry_throttling`)."""
    PUSHBACK = "pushback"
    """The back end forbids it."""
    DEADLINE = "deadline"
    """The next attempt would begin after the deadline."""
    ATTEMPTS = "attempts"
    """The most attempts have been made."""
    ENDPOINTS = "endpoints"
    """There is no other endpoint."""


class Repeats(NamedTuple):
    """The attempts of one call besides the first, by their kinds (gRFC A96)."""

    retries: int = 0
    """Those after a failure of a back end."""
    transparent: int = 0
    """Those after an attempt that no back end had processed."""
    hedges: int = 0
    """Those at other endpoints beside the ones under way."""
    delay_s: float = 0.0
    """The time that the call waited between attempts."""


class WatchRepeats(Protocol):
    """Observes calls that have several attempts. It must not wait or raise."""

    def repeated(self, reason: str) -> None:
        """Counts a further attempt after this failure: the name of its code, `unprocessed`, or
        `NO_ANSWER`."""
        ...

    def refused(self, why: NotRepeated) -> None:
        """Counts a further attempt that is not made."""
        ...

    def ended(self, rpc_method: str, repeats: Repeats) -> None:
        """Takes the further attempts of one call, of `package.Service/Method`."""
        ...


class NoWatch:
    """Counts nothing."""

    def repeated(self, reason: str) -> None:
        """Counts nothing."""

    def refused(self, why: NotRepeated) -> None:
        """Counts nothing."""

    def ended(self, rpc_method: str, repeats: Repeats) -> None:
        """Counts nothing."""


UNWATCHED: WatchRepeats = NoWatch()

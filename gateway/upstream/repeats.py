"""The repeats of calls, for those who count them (gRFC A6, A96); pure."""

from enum import StrEnum
from typing import Protocol


class NotRepeated(StrEnum):
    """The reason why a failed call is not repeated, although its policy covers the failure."""

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


class WatchRepeats(Protocol):
    """Is told about calls that are repeated. It must not wait or raise."""

    def repeated(self, reason: str) -> None:
        """Counts a repeat after this failure: the name of its code, or `unprocessed`."""
        ...

    def refused(self, why: NotRepeated) -> None:
        """Counts a failed call that is not repeated."""
        ...

    def ended(self, rpc_method: str, retries: int, transparent: int, delay_s: float) -> None:
        """Takes the repeats of one call, `package.Service/Method`, and the time it waited."""
        ...


class NoWatch:
    """Counts nothing."""

    def repeated(self, reason: str) -> None:
        """Counts nothing."""

    def refused(self, why: NotRepeated) -> None:
        """Counts nothing."""

    def ended(self, rpc_method: str, retries: int, transparent: int, delay_s: float) -> None:
        """Counts nothing."""


UNWATCHED: WatchRepeats = NoWatch()


def unwatched(_: str) -> WatchRepeats:
    """Returns what counts nothing, for upstreams whose repeats nobody counts."""
    return UNWATCHED

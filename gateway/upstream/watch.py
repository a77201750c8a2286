"""The observers of upstreams: interfaces, and implementations that count nothing."""

from collections.abc import Iterable
from typing import Protocol

from gateway.status import Code
from gateway.upstream.repeats import UNWATCHED as UNWATCHED_REPEATS
from gateway.upstream.repeats import WatchRepeats
from gateway.upstream.watched_connections import UNWATCHED as UNWATCHED_CONNECTIONS
from gateway.upstream.watched_connections import WatchConnections


class WatchAttempts(Protocol):
    """Observes each attempt of calls to one upstream. It must not wait or raise."""

    def started(self, rpc_method: str) -> None:
        """Counts an attempt of `package.Service/Method` that begins."""
        ...

    def ended(
        self, rpc_method: str, code: Code, duration_s: float, sent: int, received: int
    ) -> None:
        """Counts an attempt that has ended, with the bytes of its messages as sent."""
        ...


class WatchEndpoints(Protocol):
    """Observes the endpoints of one upstream. It must not wait or raise."""

    def ejected(self, method: str) -> None:
        """Counts an ejection by a detection method, in the words of gRFC A91."""
        ...

    def spared(self, method: str, reason: str) -> None:
        """Counts an ejection that was not made, for a reason in the words of gRFC A91."""
        ...

    def weighed(self, weights: Iterable[float], not_yet: int, stale: int) -> None:
        """Counts the weights of all endpoints, 0 for none, and why they have none (gRFC A78)."""
        ...

    def checked(self, *, passed: bool) -> None:
        """Counts the result of a health check."""
        ...


class Watch(Protocol):
    """The observers of upstreams, by the names of these."""

    def repeats(self, upstream: str) -> WatchRepeats:
        """Returns the observer of repeated calls."""
        ...

    def connections(self, upstream: str, zone: str) -> WatchConnections:
        """Returns the observer of connections to the endpoints in a zone."""
        ...

    def endpoints(self, upstream: str) -> WatchEndpoints:
        """Returns the observer of the endpoints."""
        ...

    def attempts(self, upstream: str) -> WatchAttempts | None:
        """Returns the observer of attempts; None for none, so that attempts pay for nothing."""
        ...


class _NoEndpoints:
    """Counts nothing."""

    def ejected(self, method: str) -> None:
        """Counts nothing."""

    def spared(self, method: str, reason: str) -> None:
        """Counts nothing."""

    def weighed(self, weights: Iterable[float], not_yet: int, stale: int) -> None:
        """Counts nothing."""

    def checked(self, *, passed: bool) -> None:
        """Counts nothing."""


UNWATCHED_ENDPOINTS: WatchEndpoints = _NoEndpoints()


class _NoWatch:
    """Counts nothing."""

    def repeats(self, upstream: str) -> WatchRepeats:  # noqa: ARG002 - the same for all
        """Returns an observer that counts nothing."""
        return UNWATCHED_REPEATS

    def connections(self, upstream: str, zone: str) -> WatchConnections:  # noqa: ARG002 - the same
        """Returns an observer that counts nothing."""
        return UNWATCHED_CONNECTIONS

    def endpoints(self, upstream: str) -> WatchEndpoints:  # noqa: ARG002 - the same for all
        """Returns an observer that counts nothing."""
        return UNWATCHED_ENDPOINTS

    def attempts(self, upstream: str) -> WatchAttempts | None:  # noqa: ARG002 - the same for all
        """Returns None."""
        return None


UNWATCHED: Watch = _NoWatch()

"""The interface of observers of connections to endpoints (gRFC A94); pure."""

from typing import Final, Protocol

SHUT_DOWN: Final = "subchannel shutdown"
"""The reason of a connection that the gateway has closed, in A94's words."""


class WatchConnections(Protocol):
    """Observes the connections to one upstream, in one zone. It must not wait or raise."""

    def opened(self) -> None:
        """Counts a connection that was opened."""
        ...

    def failed(self) -> None:
        """Counts a connection that could not be opened."""
        ...

    def ended(self, reason: str) -> None:
        """Counts the end of a connection for a reason in A94's words (`grpc.disconnect_error`)."""
        ...


class NoWatch:
    """Counts nothing."""

    def opened(self) -> None:
        """Counts nothing."""

    def failed(self) -> None:
        """Counts nothing."""

    def ended(self, reason: str) -> None:
        """Counts nothing."""


UNWATCHED: WatchConnections = NoWatch()

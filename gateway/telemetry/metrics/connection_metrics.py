"""Counts the connections to one upstream in one zone, with the names of gRFC A94."""

from gateway.telemetry.metrics.definitions import (
    ATTEMPTS_FAILED,
    ATTEMPTS_SUCCEEDED,
    DISCONNECTIONS,
    OPEN_CONNECTIONS,
)
from gateway.telemetry.metrics.metric import CellWriter, Metric


class ConnectionMetrics:
    """Counts connections as they are opened and end; see `WatchConnections`."""

    def __init__(self, writer: CellWriter, upstream: str, zone: str) -> None:
        self._writer = writer
        self._values = upstream, zone

    def opened(self) -> None:
        """Counts a connection that was opened."""
        self._add(ATTEMPTS_SUCCEEDED, 1)
        self._add(OPEN_CONNECTIONS, 1)

    def failed(self) -> None:
        """Counts a connection that could not be opened."""
        self._add(ATTEMPTS_FAILED, 1)

    def ended(self, reason: str) -> None:
        """Counts the end of a connection, for a reason of the code's."""
        self._add(DISCONNECTIONS, 1, reason)
        self._add(OPEN_CONNECTIONS, -1)

    def _add(self, metric: Metric, amount: float, *more: str) -> None:
        self._writer.add(self._writer.child(metric, (*self._values, *more)), amount)

"""Counts streaming calls in progress, and their messages."""

from gateway.telemetry.metrics.definitions import MESSAGES, STREAMS
from gateway.telemetry.metrics.metric import CellWriter, Count


class StreamMetrics:
    """The gauge of open streams and the counters of their messages; of all methods together."""

    def __init__(self, writer: CellWriter) -> None:
        self._writer = writer
        self._open_at = writer.child(STREAMS, ())
        self._open = 0
        self.sent: Count = self._counter("sent")
        """Counts a message that went to a back end."""
        self.received: Count = self._counter("received")
        """Counts a message that came from a back end."""

    def opened(self) -> None:
        """Counts a stream that has begun."""
        self._change(1)

    def ended(self) -> None:
        """Counts a stream that has ended."""
        self._change(-1)

    def _change(self, by: int) -> None:
        self._open += by
        self._writer.set(self._open_at, self._open)

    def _counter(self, direction: str) -> Count:
        writer = self._writer
        at = writer.child(MESSAGES, (direction,))
        return lambda: writer.add(at)

"""Counts streaming calls in progress, and their messages."""

from functools import partial

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
        self._open += 1
        self._writer.set(self._open_at, self._open)

    def ended(self, _: object) -> None:
        """Counts a stream that has ended, with any code."""
        self._open -= 1
        self._writer.set(self._open_at, self._open)

    def _counter(self, direction: str) -> Count:
        return partial(self._writer.add, self._writer.child(MESSAGES, (direction,)))

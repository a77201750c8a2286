"""Counts the repeats of calls to one upstream, with the names of gRFC A96."""

from collections.abc import Mapping

from gateway.telemetry.metrics.definitions import (
    CALL_RETRIES,
    CALL_RETRY_DELAY,
    CALL_TRANSPARENT_RETRIES,
    RETRIES,
    RETRIES_REFUSED,
    Metric,
)
from gateway.telemetry.metrics.writing import CellWriter


class RepeatMetrics:
    """Counts calls that are repeated; calls that are not cost nothing, and are not counted."""

    def __init__(self, writer: CellWriter, metrics: Mapping[str, Metric], upstream: str) -> None:
        self._writer = writer
        self._upstream = upstream
        self._histograms = [
            metrics[one.name] for one in (CALL_RETRIES, CALL_TRANSPARENT_RETRIES, CALL_RETRY_DELAY)
        ]

    def repeated(self, reason: str) -> None:
        """Counts a repeat after this failure: the name of its code, or `unprocessed`."""
        self._writer.add(self._writer.child(RETRIES, (self._upstream, reason)))

    def refused(self, why: str) -> None:
        """Counts a failed call that is not repeated."""
        self._writer.add(self._writer.child(RETRIES_REFUSED, (self._upstream, str(why))))

    def ended(self, rpc_method: str, retries: int, transparent: int, delay_s: float) -> None:
        """Takes the repeats of one call; A96 counts only calls that have some."""
        values = (retries, transparent, delay_s)
        for metric, value in zip(self._histograms, values, strict=True):
            if value:
                at = self._writer.child(metric, (rpc_method, self._upstream))
                self._writer.observe(at, list(metric.edges), value)

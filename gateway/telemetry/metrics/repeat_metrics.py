"""Counts the further attempts of calls to one upstream, with the names of gRFC A96."""

from collections.abc import Mapping

from gateway.telemetry.metrics.definitions import (
    CALL_HEDGES,
    CALL_RETRIES,
    CALL_RETRY_DELAY,
    CALL_TRANSPARENT_RETRIES,
    RETRIES,
    RETRIES_REFUSED,
)
from gateway.telemetry.metrics.metric import CellWriter, Metric

Repeats = tuple[int, int, int, float]
"""The further attempts of one call: after failures, after attempts that no back end had processed,
and beside those under way; and the seconds for which it waited between attempts."""


class RepeatMetrics:
    """Counts calls with several attempts; those with one cost nothing, and are not counted."""

    def __init__(self, writer: CellWriter, metrics: Mapping[str, Metric], upstream: str) -> None:
        self._writer = writer
        self._upstream = upstream
        self._histograms = [
            metrics[one.name]
            for one in (CALL_RETRIES, CALL_TRANSPARENT_RETRIES, CALL_HEDGES, CALL_RETRY_DELAY)
        ]

    def repeated(self, reason: str) -> None:
        """Counts a further attempt after this failure; see `WatchRepeats`."""
        self._writer.add(self._writer.child(RETRIES, (self._upstream, reason)))

    def refused(self, why: str) -> None:
        """Counts a further attempt that is not made."""
        self._writer.add(self._writer.child(RETRIES_REFUSED, (self._upstream, str(why))))

    def ended(self, rpc_method: str, repeats: Repeats) -> None:
        """Takes the further attempts of one call; A96 counts only calls that have some."""
        for metric, value in zip(self._histograms, repeats, strict=True):
            if value:
                at = self._writer.child(metric, (rpc_method, self._upstream))
                self._writer.observe(at, list(metric.edges), value)

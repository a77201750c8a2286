"""Counts the further attempts of calls to one upstream, with the names of gRFC A96."""

from collections.abc import Mapping
from typing import Protocol

from gateway.telemetry.metrics.definitions import (
    CALL_HEDGES,
    CALL_RETRIES,
    CALL_RETRY_DELAY,
    CALL_TRANSPARENT_RETRIES,
    RETRIES,
    RETRIES_REFUSED,
)
from gateway.telemetry.metrics.metric import CellWriter, Metric


class Repeats(Protocol):
    """The further attempts of one call, by their kinds."""

    @property
    def retries(self) -> int:
        """Those after a failure of a back end."""
        ...

    @property
    def transparent(self) -> int:
        """Those after an attempt that no back end had processed."""
        ...

    @property
    def hedges(self) -> int:
        """Those beside the ones under way."""
        ...

    @property
    def delay_s(self) -> float:
        """The time that the call waited between attempts."""
        ...


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
        values = (repeats.retries, repeats.transparent, repeats.hedges, repeats.delay_s)
        for metric, value in zip(self._histograms, values, strict=True):
            if value:
                at = self._writer.child(metric, (rpc_method, self._upstream))
                self._writer.observe(at, list(metric.edges), value)

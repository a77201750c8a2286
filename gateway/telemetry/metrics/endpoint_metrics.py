"""Counts what becomes of the endpoints of one upstream: ejections, weights, health checks."""

from collections.abc import Iterable

from gateway.telemetry.metrics.endpoint_definitions import (
    EJECTIONS_ENFORCED,
    EJECTIONS_UNENFORCED,
    FALLBACKS_TO_TURNS,
    HEALTH_CHECKS,
    WEIGHTS,
    WEIGHTS_NOT_YET_USABLE,
    WEIGHTS_STALE,
)
from gateway.telemetry.metrics.metric import CellWriter, Metric


class EndpointMetrics:
    """Counts for one upstream; see `WatchEndpoints`."""

    def __init__(self, writer: CellWriter, upstream: str) -> None:
        self._writer = writer
        self._upstream = upstream

    def ejected(self, method: str) -> None:
        """Counts an ejection by a detection method of the code's."""
        self._add(EJECTIONS_ENFORCED, 1, method)

    def spared(self, method: str, reason: str) -> None:
        """Counts an ejection that was not made, for a reason of the code's."""
        self._add(EJECTIONS_UNENFORCED, 1, method, reason)

    def weighed(self, weights: Iterable[float], not_yet: int, stale: int) -> None:
        """Counts the weights of all endpoints, 0 for none, and why they have none."""
        edges = list(WEIGHTS.edges)
        at = self._writer.child(WEIGHTS, (self._upstream,))
        known = 0
        for weight in weights:
            known += weight > 0
            self._writer.observe(at, edges, weight)
        self._add(FALLBACKS_TO_TURNS, known < 2)
        self._add(WEIGHTS_NOT_YET_USABLE, not_yet)
        self._add(WEIGHTS_STALE, stale)

    def checked(self, *, passed: bool) -> None:
        """Counts the result of a health check."""
        self._add(HEALTH_CHECKS, 1, "passed" if passed else "failed")

    def _add(self, metric: Metric, amount: float, *more: str) -> None:
        self._writer.add(self._writer.child(metric, (self._upstream, *more)), amount)

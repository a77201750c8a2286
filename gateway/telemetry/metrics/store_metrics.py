"""Times the operations of a store."""

from gateway.telemetry.metrics.metric import CellWriter, Metric


class StoreMetrics:
    """Adds the operations of the store of one purpose to the histogram of their times."""

    def __init__(self, writer: CellWriter, metric: Metric, store: str) -> None:
        self._writer = writer
        self._metric = metric
        self._store = store
        self._edges = list(metric.edges)
        self._kept: dict[str, dict[str, int]] = {}

    def __call__(self, operation: str, outcome: str, duration_s: float) -> None:
        """Counts one operation with its outcome (`ok`, `unavailable`, `error`)."""
        by_outcome = self._kept.setdefault(operation, {})
        at = by_outcome.get(outcome)
        if at is None:
            values = (self._store, operation, outcome)
            at = by_outcome[outcome] = self._writer.child(self._metric, values)
        self._writer.observe(at, self._edges, duration_s)

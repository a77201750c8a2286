"""Counts calls to back ends."""

from typing import Final

from gateway.status import Code
from gateway.telemetry.metrics.definitions import Metric
from gateway.telemetry.metrics.writing import CellWriter

_SYSTEM: Final = "grpc"


class CallMetrics:
    """Adds calls of one method to the histogram of their durations."""

    def __init__(self, writer: CellWriter, metric: Metric, rpc_method: str, upstream: str) -> None:
        self._writer = writer
        self._metric = metric
        self._edges = list(metric.edges)
        self._labels = (rpc_method, upstream)
        self._kept: dict[Code, int] = {}

    def observe(self, code: Code, duration_s: float) -> None:
        """Counts one call that ended with `code`."""
        at = self._kept.get(code)
        if at is None:
            values = (*self._labels, code.name, _SYSTEM)
            at = self._kept[code] = self._writer.child(self._metric, values)
        self._writer.observe(at, self._edges, duration_s)

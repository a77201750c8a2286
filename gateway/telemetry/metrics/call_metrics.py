"""Counts calls to back ends."""

from typing import Final

from gateway.status import Code
from gateway.telemetry.metrics.metric import CellWriter, Metric

_SYSTEM: Final = "grpc"
_NOT_YET: Final = -1


class CallMetrics:
    """Adds calls of one method to the histogram of their durations."""

    def __init__(self, writer: CellWriter, metric: Metric, rpc_method: str, upstream: str) -> None:
        self._writer = writer
        self._metric = metric
        self._edges = [float(edge) for edge in metric.edges]
        self._labels = (rpc_method, upstream)
        # By number: the hash of a member of an enum is computed by Python code.
        self._kept = [_NOT_YET] * len(Code)

    def observe(self, code: Code, duration_s: float) -> None:
        """Counts one call that ended with `code`."""
        at = self._kept[code]
        if at == _NOT_YET:
            values = (*self._labels, code.name, _SYSTEM)
            at = self._kept[code] = self._writer.child(self._metric, values)
        self._writer.observe(at, self._edges, duration_s)

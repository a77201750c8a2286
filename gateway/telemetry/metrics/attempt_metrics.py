"""Counts each attempt of calls to one upstream, with the names of gRFC A66."""

from collections.abc import Callable, Mapping

from gateway.status import Code
from gateway.telemetry.metrics.endpoint_definitions import (
    ATTEMPT_DURATION,
    ATTEMPT_RECEIVED,
    ATTEMPT_SENT,
    ATTEMPTS_STARTED,
    WHOLE_CALL_DURATION,
)
from gateway.telemetry.metrics.metric import CellWriter, Metric

Observe = Callable[[Code, float], None]
"""Takes the code and the duration of a call that has ended."""


class AttemptMetrics:
    """Counts attempts as they begin and end; see `WatchAttempts`."""

    def __init__(self, writer: CellWriter, metrics: Mapping[str, Metric], upstream: str) -> None:
        self._writer = writer
        self._upstream = upstream
        self._duration = metrics[ATTEMPT_DURATION.name]
        self._call_duration = metrics[WHOLE_CALL_DURATION.name]

    def started(self, rpc_method: str) -> None:
        """Counts an attempt of `package.Service/Method` that begins."""
        self._writer.add(self._writer.child(ATTEMPTS_STARTED, (rpc_method, self._upstream)))

    def ended(
        self, rpc_method: str, code: Code, duration_s: float, sent: int, received: int
    ) -> None:
        """Counts an attempt that has ended, with the bytes of its messages."""
        labels = (rpc_method, self._upstream, code.name)
        self._observe(self._duration, labels, duration_s)
        self._observe(ATTEMPT_SENT, labels, sent)
        self._observe(ATTEMPT_RECEIVED, labels, received)

    def of_calls(self, rpc_method: str, observe: Observe) -> Observe:
        """Returns the function that counts a call here, and then passes it to `observe`."""

        def ended(code: Code, duration_s: float) -> None:
            labels = (rpc_method, self._upstream, code.name)
            self._observe(self._call_duration, labels, duration_s)
            observe(code, duration_s)

        return ended

    def _observe(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        self._writer.observe(self._writer.child(metric, labels), list(metric.edges), value)

"""Counts each attempt of calls to one upstream, with the names of gRFC A66."""

from collections.abc import Mapping, Sequence

from gateway.status import Code
from gateway.telemetry.metrics.counting import Accumulator, Accumulators, Metric
from gateway.telemetry.metrics.endpoint_definitions import (
    ATTEMPT_DURATION,
    ATTEMPT_RECEIVED,
    ATTEMPT_SENT,
    ATTEMPTS_STARTED,
    WHOLE_CALL_DURATION,
)


class AttemptMetrics:
    """Counts attempts as they begin and end; see `WatchAttempts`."""

    def __init__(
        self, accumulators: Accumulators, metrics: Mapping[str, Metric], upstream: str
    ) -> None:
        self._writer = accumulators.writer
        self._upstream = upstream
        self._started: dict[str, int] = {}
        ended = (metrics[ATTEMPT_DURATION.name], ATTEMPT_SENT, ATTEMPT_RECEIVED)
        self._ended = _ByCode(accumulators, ended, upstream)
        self._calls = _ByCode(accumulators, [metrics[WHOLE_CALL_DURATION.name]], upstream)

    def started(self, rpc_method: str) -> None:
        """Counts an attempt of `package.Service/Method` that begins."""
        at = self._started.get(rpc_method)
        if at is None:
            at = self._writer.child(ATTEMPTS_STARTED, (rpc_method, self._upstream))
            self._started[rpc_method] = at
        self._writer.add(at)

    def ended(
        self, rpc_method: str, code: Code, duration_s: float, sent: int, received: int
    ) -> None:
        """Counts an attempt that has ended, with the bytes of its messages."""
        duration, sent_bytes, received_bytes = self._ended.of(rpc_method, code)
        duration.add(duration_s)
        sent_bytes.add(float(sent))
        received_bytes.add(float(received))

    def of_calls(self, rpc_method: str, code: Code) -> Accumulator:
        """Returns what counts the durations of calls that end with a code."""
        return self._calls.of(rpc_method, code)[0]


class _ByCode:
    """Histograms whose children, by method and code, are created when they are first needed."""

    def __init__(
        self, accumulators: Accumulators, metrics: Sequence[Metric], upstream: str
    ) -> None:
        self._accumulators = accumulators
        self._metrics = metrics
        self._upstream = upstream
        # Nested: the hash of a tuple costs more.
        self._kept: dict[str, dict[Code, list[Accumulator]]] = {}

    def of(self, rpc_method: str, code: Code) -> list[Accumulator]:
        """Returns what adds to each histogram."""
        by_code = self._kept.get(rpc_method)
        if by_code is None:
            by_code = self._kept[rpc_method] = {}
        found = by_code.get(code)
        if found is None:
            labels = (rpc_method, self._upstream, code.name)
            found = [self._accumulators.of(metric, labels) for metric in self._metrics]
            by_code[code] = found
        return found

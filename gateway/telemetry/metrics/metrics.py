"""The metrics of one process: what it counts into, and the text for those who ask."""

from collections.abc import Callable
from typing import Any, Final, Protocol

from gateway.audit import Audit
from gateway.config.metrics import MetricsOptions
from gateway.status import Code
from gateway.telemetry.metrics.attempt_metrics import AttemptMetrics
from gateway.telemetry.metrics.cells import MetricFiles
from gateway.telemetry.metrics.connection_metrics import ConnectionMetrics
from gateway.telemetry.metrics.counting import (
    Accumulator,
    Accumulators,
    CellWriter,
    Counter,
    Hits,
    Metric,
    RequestMetrics,
)
from gateway.telemetry.metrics.definitions import (
    AUDIT_EVENTS,
    AUTH_FAILURES,
    CACHE_AGE,
    CACHE_CHANGES,
    CACHE_EVICTIONS,
    CACHE_REQUESTS,
    CACHE_STORE_ERRORS,
    CALL_DURATION,
    GAUGES,
    STORE_OPERATIONS,
    WORKER_RESTARTS,
    metrics_of,
)
from gateway.telemetry.metrics.endpoint_metrics import EndpointMetrics
from gateway.telemetry.metrics.exposition import Exposition
from gateway.telemetry.metrics.metric import Count
from gateway.telemetry.metrics.repeat_metrics import RepeatMetrics
from gateway.telemetry.metrics.store_metrics import StoreMetrics
from gateway.telemetry.metrics.stream_metrics import StreamMetrics

_SYSTEM: Final = "grpc"


class CountedCache(Protocol):
    """The part of a cache of calls that counts."""

    count: Callable[[tuple[str, str]], None] | None
    count_change: Callable[[str], None] | None
    note_age: Callable[[float], None] | None
    hits: Callable[[tuple[str, str]], Callable[[float], None]] | None
    memory: Any
    shared: Any


class Metrics:
    """The metrics that one process counts. All methods are called from its event loop's thread."""

    def __init__(
        self,
        options: MetricsOptions,
        files: MetricFiles,
        *,
        scheme: str,
        exposition: Exposition | None = None,
    ) -> None:
        """Counts into the file of this process, and goes on with the counters that it has."""
        file = files.own
        self._metrics = metrics_of(options)
        self._counts_attempts = options.attempts
        self.writer = CellWriter(file)
        self.accumulators = Accumulators(self.writer)
        """Count what comes often, or by another thread."""
        self.worker = str(files.worker)
        """The number of this worker, from 1, as the value of a label."""
        self.requests = RequestMetrics(self.accumulators, self._metrics, scheme)
        """The observer of ended requests."""
        self.exposition = exposition or Exposition(options, files.shown)
        """The text of these metrics, and of those of the other workers if it has their files."""
        restarts = self.counter(WORKER_RESTARTS)
        if file.was_used:
            file.reset(GAUGES)
            restarts()
        self.streams = StreamMetrics(self.accumulators)
        """The stage that counts streaming calls."""

    def metric(self, metric: Metric) -> Metric:
        """Returns a metric with the buckets of the settings."""
        return self._metrics[metric.name]

    def counter(self, metric: Metric, *values: str) -> Count:
        """Returns the function that adds one to a child of a counter."""
        writer, at = self.writer, self.writer.child(metric, values)
        return lambda: writer.add(at)

    def by_value(self, metric: Metric, *known: str) -> Callable[[str], None]:
        """Returns the function that adds one to the child of a counter with a value of its label.

        The values must come from the settings or the code, never from a client. Those that are
        `known` are shown as zero from the start: Prometheus sees no increase from nothing to one.
        """
        for value in known:
            self.writer.child(metric, (value,))
        count = self.by_values(metric)
        return lambda value: count((value,))

    def by_values(self, metric: Metric) -> Callable[[tuple[str, ...]], None]:
        """Returns the function that adds one to the child of a counter with values of its labels.

        The values must come from the settings or the code, never from a client.
        """
        return Counter(self.accumulators, metric).count

    def count_cache(self, cache: "CountedCache") -> None:
        """Lets a cache of calls count its results, ages, changes, evictions and failed look-ups."""
        cache.count = Counter(self.accumulators, CACHE_REQUESTS, has_hits=True).count
        cache.count_change = self.by_value(CACHE_CHANGES)
        accumulators, age = self.accumulators, self.metric(CACHE_AGE)

        def hits(values: tuple[str, str]) -> Callable[[float], None]:
            return Hits(accumulators, CACHE_REQUESTS, values, age).count

        cache.note_age, cache.hits = accumulators.adder(age), hits
        cache.memory.evicted = self.by_value(CACHE_EVICTIONS)
        if cache.shared is not None:
            cache.shared.failed = self.counter(CACHE_STORE_ERRORS)

    def calls(self, rpc_method: str, upstream: str) -> Callable[[Code], list[Accumulator]]:
        """Returns what opens the durations of a method's calls to a back end, by their code.

        The name of the method is `package.Service/Method`.
        """
        metric, attempts = self.metric(CALL_DURATION), self.attempts(upstream)

        def durations(code: Code) -> list[Accumulator]:
            own = self.accumulators.of(metric, (rpc_method, upstream, code.name, _SYSTEM))
            return [own] if attempts is None else [own, attempts.of_calls(rpc_method, code)]

        return durations

    def attempts(self, upstream: str) -> AttemptMetrics | None:
        """Returns what counts each attempt of calls to an upstream; None if the settings say so."""
        if not self._counts_attempts:
            return None
        return AttemptMetrics(self.accumulators, self._metrics, upstream)

    def endpoints(self, upstream: str) -> EndpointMetrics:
        """Returns what counts what becomes of the endpoints of an upstream."""
        return EndpointMetrics(self.writer, upstream)

    def repeats(self, upstream: str) -> RepeatMetrics:
        """Returns what counts the repeats of calls to an upstream."""
        return RepeatMetrics(self.writer, self._metrics, upstream)

    def connections(self, upstream: str, zone: str) -> ConnectionMetrics:
        """Returns what counts the connections to the endpoints of an upstream in a zone."""
        return ConnectionMetrics(self.writer, upstream, zone)

    def store(self, purpose: str) -> StoreMetrics:
        """Returns what times the operations of the store of one purpose."""
        return StoreMetrics(self.writer, self.metric(STORE_OPERATIONS), purpose)

    def audit(self, audit: Audit) -> Audit:
        """Returns an audit trail that also counts what is recorded in `audit`."""
        return _CountingAudit(audit, self)


class _CountingAudit:
    def __init__(self, audit: Audit, metrics: Metrics) -> None:
        self._audit = audit
        self._count = metrics.by_value(AUDIT_EVENTS)
        self._count_failure = metrics.by_values(AUTH_FAILURES)

    def record(self, event: str, /, **fields: str) -> None:
        """Records and counts an event."""
        self._count(event)
        if event == "login.failed":
            # Reasons are texts of the code: they quote settings, and nothing of the client.
            self._count_failure((fields.get("reason", ""), fields.get("kind", "")))
        self._audit.record(event, **fields)

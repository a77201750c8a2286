"""Counts all ended requests, as their observer, and events of other kinds."""

from collections.abc import Mapping
from typing import Final

from gateway.telemetry.metrics.accumulators import (
    Accumulator,
    Accumulators,
    AddValue,
    CellWriter,
    Metric,
)
from gateway.telemetry.metrics.definitions import (
    REQUEST_DURATION,
    REQUEST_SIZE,
    RESPONSE_SIZE,
    SPLIT_CALLS,
)
from gateway.telemetry.metrics.metric import Slot
from gateway.telemetry.record import Binding, Code, CompiledObserver, Record, error_type
from gateway.trace_context import SAMPLED, read_traceparent

# With the types of a metric that it counts.
__all__ = ["Accumulator", "Accumulators", "AddValue", "CellWriter", "Counter", "Hits", "Metric"]
__all__ += ["RequestMetrics"]

# The HTTP methods that OpenTelemetry lists. A client could create any number of others.
_METHODS: Final = frozenset(
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY"]
)
_OTHER: Final = "_OTHER"
_USUAL_VERSION: Final = "1.1"
_VERSIONS: Final = {"": 1, "1.0": 2, "2": 3, "3": 4}
"""A number for each other version of HTTP."""
_GATEWAY: Final = "gateway"
_UPSTREAM: Final = "upstream"
_BUCKETS: Final[int] = Slot.BUCKETS
_EXEMPLAR_PERIOD_S: Final = 1.0


class Counter:
    """A counter whose children are created when they are first counted."""

    def __init__(
        self, accumulators: Accumulators, metric: Metric, *, has_hits: bool = False
    ) -> None:
        """With `has_hits`, `Hits` count in the same cells, to which another thread may add them: so
        both must be added in the same way."""
        self._accumulators = accumulators
        self._metric = metric
        self._has_hits = has_hits
        self._kept: dict[tuple[str, ...], AddValue] = {}

    def count(self, values: tuple[str, ...]) -> None:
        """Adds one to the child with these values of the labels."""
        add = self._kept.get(values)
        if add is None:
            add = self._kept[values] = self._adder(values)
        add(1.0)

    def _adder(self, values: tuple[str, ...]) -> AddValue:
        accumulators, metric = self._accumulators, self._metric
        if self._has_hits:
            return accumulators.adder(metric, *values)
        writer = accumulators.writer
        at = writer.child(metric, values)
        return lambda amount: writer.add(at, amount)


class Hits:
    """A child of a counter whose events have a value each, of which a histogram is kept."""

    def __init__(
        self,
        accumulators: Accumulators,
        counter: Metric,
        values: tuple[str, ...],
        histogram: Metric,
    ) -> None:
        """Takes the values of the labels of the counter; the histogram has none."""
        self._number = accumulators.of(counter, values)
        self._values = accumulators.of(histogram, ())

    def count(self, value: float) -> None:
        """Adds one to the counter, and a value to the histogram."""
        self._number.add(1.0)
        self._values.add(value)


class _Children:
    """The children of one combination of labels."""

    __slots__ = ("duration", "exemplar_at", "noted_s", "request_size", "response_size")

    def __init__(
        self,
        duration: Accumulator,
        request_size: Accumulator,
        response_size: Accumulator,
        exemplar_at: int,
    ) -> None:
        self.duration = duration
        self.request_size = request_size
        self.response_size = response_size
        self.exemplar_at = exemplar_at
        """The first cell of the exemplar of the duration."""
        self.noted_s = 0.0
        """The time of the last exemplar, in seconds since 1970."""


class _Last:
    """The combination of labels of the last request that was a usual one, and its children."""

    __slots__ = ("binding", "children", "code", "method", "status")

    def __init__(self) -> None:
        self.binding: Binding | None = None
        self.method = ""
        self.status = 0
        self.code: Code = Code.OK
        self.children: _Children | None = None


class RequestMetrics(CompiledObserver):
    """Adds each ended request to three histograms: duration, size of the request, of the response.

    The children of a combination of route, method, status and code are looked up once and kept. All
    calls come from one thread.
    """

    def __init__(
        self, accumulators: Accumulators, metrics: Mapping[str, Metric], scheme: str
    ) -> None:
        self._accumulators, self._writer = accumulators, accumulators.writer
        self._metrics = [
            metrics[one.name] for one in (REQUEST_DURATION, REQUEST_SIZE, RESPONSE_SIZE)
        ]
        self._exemplar_at = _BUCKETS + len(self._metrics[0].edges) + 1
        self._scheme = scheme
        self._split_calls = metrics[SPLIT_CALLS.name]
        self._splits: dict[tuple[str, str], int] = {}
        # By the template of the route, not by its binding: that would keep the schema of each
        # generation before a reload alive. The last binding keeps one until the next request.
        self._kept: dict[str, dict[str, dict[int, _Children]]] = {}
        self._last = _Last()

    def ended(self, record: Record) -> None:
        """Counts one request."""
        binding, last = record.binding, self._last
        is_usual = record.http_version == _USUAL_VERSION and not record.back_end_failed
        # Mostly it is that of the request before: no text is hashed, and no object is made.
        children = last.children
        if (
            children is None
            or not is_usual
            or record.status != last.status
            or record.code is not last.code
            or binding is not last.binding
            or record.method is not last.method
        ):
            children = self._find(record, "" if binding is None else binding.rule.template)
            if is_usual and record.method in _METHODS:
                last.binding, last.method, last.children = binding, record.method, children
                last.status, last.code = record.status, record.code
        children.duration.add(record.duration_s)
        children.request_size.add(float(record.request_bytes))
        children.response_size.add(float(record.response_bytes))
        trace = record.trace
        is_sampled = record.traceparent != "" if trace is None else trace.is_sampled
        # One in a second is enough: a scraper comes less often.
        if is_sampled and not 0.0 <= record.at_s - children.noted_s < _EXEMPLAR_PERIOD_S:
            self._note_exemplar(children, record)
        if record.split is not None:
            self._count_split(record.split)

    def _count_split(self, split: tuple[str, str]) -> None:
        at = self._splits.get(split)
        if at is None:
            at = self._splits[split] = self._writer.child(self._split_calls, split)
        self._writer.add(at)

    def _find(self, record: Record, route: str) -> _Children:
        # Nested, and with one number for status and code: the hash of a tuple costs more.
        method, status = record.method, record.status
        if method not in _METHODS:
            method = _OTHER
        outcome = status << 8 | record.code
        if record.http_version != _USUAL_VERSION:
            outcome |= _VERSIONS[record.http_version] << 24
        if status >= 500 and record.back_end_failed:
            outcome = -outcome
        by_method = self._kept.get(route)
        if by_method is None:
            by_method = self._kept[route] = {}
        by_outcome = by_method.get(method)
        if by_outcome is None:
            by_outcome = by_method[method] = {}
        children = by_outcome.get(outcome)
        if children is None:
            children = by_outcome[outcome] = self._new_children(route, method, record)
        return children

    def _new_children(self, route: str, method: str, record: Record) -> _Children:
        status = record.status
        of_failure = _UPSTREAM if record.back_end_failed else _GATEWAY
        of_all = (
            *(route, method, str(status), self._scheme),
            *(error_type(status, record.code), of_failure if status >= 500 else ""),
            record.http_version,
        )
        of_size = (route, method, self._scheme)
        duration, request_size, response_size = self._metrics
        accumulator = self._accumulators.of
        return _Children(
            accumulator(duration, of_all),
            accumulator(request_size, of_size),
            accumulator(response_size, of_size),
            self._writer.child(duration, of_all) + self._exemplar_at,
        )

    def _note_exemplar(self, children: _Children, record: Record) -> None:
        """Keeps the trace of a sampled request as an example of its duration."""
        trace = record.trace
        if trace is not None:
            digits = trace.trace_id + trace.span_id
        else:
            found = read_traceparent(record.traceparent)
            if found is None or not found.flag_bits & SAMPLED:
                return
            digits = found.trace_id + found.span_id
        ids = bytes.fromhex(digits)
        children.noted_s = record.at_s
        self._writer.note_exemplar(children.exemplar_at, record.duration_s, record.at_s, ids)

"""Counters and histograms that interceptors of the user's own register.

They are counted into the same file as those of the gateway. The process that shows them has not
loaded the interceptors, so the file has their definitions too: children of a metric without a name.
"""

import json
import re
import threading
import time
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Final

from gateway.telemetry.metrics.metric import CellWriter, Kind, Metric, Slot

_MOST_METRICS: Final = 32
_MOST_CHILDREN: Final = 1000
_MOST_LABELS: Final = 4
_MOST_BUCKETS: Final = 32
_LONGEST_NAME: Final = 100
_LONGEST_HELP: Final = 200
_LONGEST_VALUE: Final = 64
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_RESERVED: Final = ("gateway_", "grpc_", "http_", "process_", "rpc_", "target_")
_OF_SAMPLES: Final = ("_bucket", "_count", "_created", "_info", "_sum", "_total")
_RESERVED_LABELS: Final = frozenset({"instance", "job", "le", "quantile", "worker"})
_UNITS: Final = ("seconds", "bytes")
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_DIGEST_BYTES: Final = 6


class OwnCounter:
    """A counter of an interceptor's own."""

    def __init__(self, cells: "_Cells") -> None:
        self._cells = cells

    def add(self, *values: str, amount: float = 1.0) -> None:
        """Adds to the child with these values of the labels.

        Raises:
            ValueError: there are more or fewer values than labels, or the amount is negative.
        """
        if not amount >= 0.0:
            raise ValueError(f"{self._cells.metric.name}: expected an amount from 0, got {amount}")
        at = self._cells.child(values)
        if at is not None:
            self._cells.writer.add(at, amount)


class OwnHistogram:
    """A histogram of an interceptor's own."""

    def __init__(self, cells: "_Cells") -> None:
        self._cells = cells
        self._edges = list(cells.metric.edges)

    def observe(self, value: float, *values: str) -> None:
        """Adds a value to the child with these values of the labels.

        Raises:
            ValueError: there are more or fewer values than labels.
        """
        at = self._cells.child(values)
        if at is not None:
            self._cells.writer.observe(at, self._edges, float(value))


class InterceptorMetrics:
    """Registers the counters and histograms of interceptors.

    Everything must be called from the event loop. If metrics are off, nothing is counted.
    """

    def __init__(self, writer: CellWriter | None) -> None:
        self._writer = None if writer is None else _OneThread(writer)
        self._known: dict[str, Metric] = {}

    def counter(self, name: str, help: str, labels: Sequence[str] = ()) -> OwnCounter:  # noqa: A002
        """Registers a counter; `name` is without `_total`, `help` is one sentence.

        Raises:
            ValueError: a name or a text cannot be used, or another metric has this name.
        """
        return OwnCounter(self._registered(Metric(name, Kind.COUNTER, help, tuple(labels))))

    def histogram(
        self,
        name: str,
        help: str,  # noqa: A002 - the word that Prometheus' clients have
        labels: Sequence[str] = (),
        buckets: Sequence[float] = _BUCKETS,
    ) -> OwnHistogram:
        """Registers a histogram, whose `buckets` are upper bounds in rising order.

        Raises:
            ValueError: a name, a text or a bound cannot be used, or another metric has this name.
        """
        edges = tuple(map(float, buckets))
        is_rising = all(low < high for low, high in pairwise(edges))
        if not is_rising or not 1 <= len(edges) <= _MOST_BUCKETS or not _are_finite(edges):
            raise ValueError(
                f"{name}: buckets: expected 1 to {_MOST_BUCKETS} finite bounds in rising order"
            )
        metric = Metric(name, Kind.HISTOGRAM, help, tuple(labels), edges=edges)
        return OwnHistogram(self._registered(metric))

    def _registered(self, metric: Metric) -> "_Cells":
        _check(metric)
        known = self._known.setdefault(metric.name, metric)
        if known != metric:
            raise ValueError(f"{metric.name}: it is registered already, in another form")
        if len(self._known) > _MOST_METRICS:
            raise ValueError(f"{metric.name}: there are {_MOST_METRICS} metrics already")
        return _Cells(metric, self._writer)


class _OneThread:
    """Writes cells, and refuses to in other threads: two could spoil the file."""

    def __init__(self, writer: CellWriter) -> None:
        self._writer = writer
        self._thread = threading.get_ident()

    def child(self, name: str, values: Sequence[str], slots: int) -> int:
        """Returns the first cell of a child, as `CellFile.child`."""
        file = self._writer.file
        at = file.own_child(name, values, slots, _MOST_CHILDREN)
        if not file.cells[at]:
            file.cells[at + Slot.CREATED] = time.time()
        return at

    def check_thread(self) -> None:
        """Refuses any thread but that of the event loop."""
        if threading.get_ident() != self._thread:
            raise RuntimeError("metrics are counted in the thread of the event loop alone")

    def add(self, at: int, amount: float) -> None:
        """Adds to the value of a counter."""
        self._writer.add(at, amount)

    def observe(self, at: int, edges: list[float], value: float) -> None:
        """Adds a value to a histogram."""
        self._writer.observe(at, edges, value)

    def define(self, definition: Sequence[str]) -> None:
        """Writes the definition of a metric, or that it is in force again."""
        at = self.child("", definition, 1)
        self._writer.file.cells[at + Slot.CREATED] = time.time()


class _Cells:
    """The children of one metric, in a file; in none if metrics are off."""

    def __init__(self, metric: Metric, writer: _OneThread | None) -> None:
        self.metric = metric
        self._writer = writer
        self._kept: dict[tuple[str, ...], int] = {}
        definition = _definition(metric)
        self._stored = _stored_name(definition)
        if writer is not None:
            writer.define(definition)

    @property
    def writer(self) -> _OneThread:
        """Writes the cells that `child` has returned."""
        assert self._writer is not None  # noqa: S101 - without it, `child` returns None
        return self._writer

    def child(self, values: tuple[str, ...]) -> int | None:
        """Returns the first cell of a child; None if nothing is counted."""
        if len(values) != len(self.metric.labels):
            expected = ", ".join(self.metric.labels) or "none"
            raise ValueError(f"{self.metric.name}: expected a value for each label: {expected}")
        if self._writer is None:
            return None
        self._writer.check_thread()
        at = self._kept.get(values)
        if at is None:
            cut = [str(value)[:_LONGEST_VALUE] for value in values]
            at = self._writer.child(self._stored, cut, self.metric.slots)
            if len(self._kept) < _MOST_CHILDREN:
                self._kept[values] = at
        return at


def read_definition(values: Iterable[str]) -> tuple[str, Metric]:
    """Returns the name under which the children of a metric stand in a file, and the metric."""
    definition = tuple(values)
    name, kind, text, labels, edges = definition
    metric = Metric(
        name,
        Kind(kind),
        text,
        tuple(labels.split()),
        next((unit for unit in _UNITS if name.endswith(f"_{unit}")), ""),
        tuple(map(float, edges.split())),
    )
    return _stored_name(definition), metric


def _definition(metric: Metric) -> tuple[str, ...]:
    edges = " ".join(map(repr, metric.edges))
    return metric.name, metric.kind.value, metric.help, " ".join(metric.labels), edges


def _stored_name(definition: tuple[str, ...]) -> str:
    # With a digest: after a reload, a metric may have other labels or buckets.
    digest = blake2b(json.dumps(definition).encode(), digest_size=_DIGEST_BYTES)
    return f"{definition[0]}#{digest.hexdigest()}"


def _are_finite(edges: Sequence[float]) -> bool:
    return all(abs(edge) < float("inf") for edge in edges)


def _check(metric: Metric) -> None:
    """Refuses names and texts that the forms for Prometheus cannot have.

    Raises:
        ValueError: the message says which.
    """
    name, labels = metric.name, metric.labels
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise ValueError(f"{name!r}: expected a name of a-z, 0-9 and _, such as tenant_calls")
    if name.startswith(_RESERVED) or name.endswith(_OF_SAMPLES):
        raise ValueError(
            f"{name}: expected a name that does not begin with {', '.join(_RESERVED)}, and does "
            f"not end with {', '.join(_OF_SAMPLES)}"
        )
    text = metric.help
    if not text.isprintable() or "\\" in text or not 0 < len(text) <= _LONGEST_HELP:
        raise ValueError(f"{name}: help: expected one line of up to {_LONGEST_HELP} characters")
    if len(labels) > _MOST_LABELS or len(set(labels)) < len(labels):
        raise ValueError(f"{name}: labels: expected up to {_MOST_LABELS} different names")
    for label in labels:
        is_name = _NAME.fullmatch(label) and len(label) <= _LONGEST_NAME
        if not is_name or label in _RESERVED_LABELS:
            raise ValueError(
                f"{name}: labels: expected names of a-z, 0-9 and _, none of "
                f"{', '.join(sorted(_RESERVED_LABELS))}; not {label!r}"
            )

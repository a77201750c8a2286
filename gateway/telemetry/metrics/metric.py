"""A metric: its kind, its labels, the order of its values in memory, and their writers.

The cells that are written belong to this process.
"""

import threading
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Any, Final

from gateway.telemetry.metrics.cells import CellFile

_WORD_BITS: Final = 64


class Kind(StrEnum):
    """The type of a metric, as the text forms of Prometheus name it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Merge(StrEnum):
    """The value of a gauge of several processes."""

    SUM = "sum"
    LEAST = "least"
    GREATEST = "greatest"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. A child is the metric with one value for each of its labels."""

    name: str
    """Without `_total`, which the samples of a counter have."""
    kind: Kind
    help: str
    """One sentence without a full stop."""
    labels: tuple[str, ...] = ()
    """The first one is the one that can take many values."""
    unit: str = ""
    """The unit that the name ends with; empty if it has none."""
    edges: tuple[float, ...] = ()
    """The upper bounds of the buckets of a histogram, without infinity."""
    bounds: tuple[float, ...] = ()
    """Those of `edges` that the text forms have; empty for all."""
    scale: int | None = None
    """The scale of the exponential histogram that is sent by OTLP; None for explicit buckets."""
    merge: Merge = Merge.SUM
    """The value of a gauge that several processes set; those that have ended do not count."""

    @property
    def slots(self) -> int:
        """The number of cells of a child; see `Slot` for their order."""
        if self.kind is not Kind.HISTOGRAM:
            return Slot.VALUE + 1
        return Slot.BUCKETS + len(self.edges) + 1 + EXEMPLAR_SLOTS


def grid(unit: str) -> tuple[float, ...]:
    """Returns the upper bounds of the exponential histogram of a unit; empty if it has none.

    They are powers of 2^(2^-scale), as OpenTelemetry's data model has them.
    """
    if unit not in GRIDS:
        return ()
    scale, least, most = GRIDS[unit]
    return tuple(2.0 ** (at / 2**scale) for at in range(least << scale, (most << scale) + 1))


def used(cells: "array[float]", begin: int, end: int) -> range:
    """Returns the indices from the first cell that is not zero to the last, of a part of a child.

    Most buckets of a histogram have counted nothing, and to ask each of them costs more.
    """
    # As one large number: its bits at both ends are found without an object for each cell.
    bits = int.from_bytes(cells[begin:end].tobytes(), "little")
    if not bits:
        return range(begin, begin)
    first, last = (bits & -bits).bit_length() - 1, bits.bit_length() - 1
    return range(begin + first // _WORD_BITS, begin + last // _WORD_BITS + 1)


GRIDS: Final = {"seconds": (2, -13, 17), "bytes": (1, 4, 34)}
"""The scale of the exponential histograms of a unit, and the exponents of two that they span."""


class Slot:
    """The cells of a child: creation time, value or sum, and for histograms buckets and exemplar.

    A bucket counts the values of its own range, not those of the buckets below it. After the
    buckets come the value of the exemplar, its time, 16 bytes of trace id and 8 of span id.
    """

    CREATED: Final = 0
    VALUE: Final = 1
    SUM: Final = 1
    BUCKETS: Final = 2


EXEMPLAR_SLOTS: Final = 5

_SUM: Final[int] = Slot.SUM
_VALUE: Final[int] = Slot.VALUE
_BUCKETS: Final[int] = Slot.BUCKETS
_ID_BYTES: Final = 24
"""The length of a trace id and a span id (W3C Trace Context section 3.2.2)."""

AddValue = Callable[[float], None]
"""Takes a value for a child of a histogram, or an amount for one of a counter."""
Count = Callable[[], None]
"""Adds one to a counter. It must be called from the thread of the event loop."""


class Accumulator:
    """Counts the values of one child until they are added to its cells.

    A cell costs several times as much as an attribute, and each request has several values. Another
    thread may flush it at the same time: each line below that changes something is one step for
    both, because neither gives up Python's lock amid it.
    """

    __slots__ = (
        *("_above", "_at", "_changed", "_count", "_counts", "_edges", "_is_changed", "_number"),
        *("_sum", "_up_to", "_used"),
    )

    def __init__(self, at: int, edges: list[float], changed: "list[Accumulator]") -> None:
        """Takes the first cell, the upper bounds in rising order, none for a counter, and the list
        to which it adds itself when there is something to flush."""
        self._at = at
        self._edges = edges
        self._changed = changed
        self._is_changed = False
        self._sum = 0.0
        # The bucket of the last value, its bounds, and what it has counted since it was turned to.
        self._number = self._count = 0
        self._above = -inf
        self._up_to = edges[0] if edges else inf
        self._counts = [0] * (len(edges) + 1)
        self._used: list[int] = []
        """The buckets with a count."""

    def add(self, value: float) -> None:
        """Adds a value to a histogram, or an amount to a counter."""
        self._sum += value
        # A bound belongs to its bucket. Mostly it is that of the value before.
        if not self._above < value <= self._up_to:
            self._turn_to(value)
        self._count += 1
        if not self._is_changed:
            self._is_changed = True
            self._changed.append(self)

    def _turn_to(self, value: float) -> None:
        """Turns to the bucket of a value, which is mostly near."""
        self._keep_count()
        edges, number = self._edges, self._number
        end = len(edges)
        while number < end and edges[number] < value:
            number += 1
        while number > 0 and value <= edges[number - 1]:
            number -= 1
        self._number = number
        self._above = edges[number - 1] if number else -inf
        self._up_to = edges[number] if number < end else inf

    def _keep_count(self) -> None:
        count, number, self._count = self._count, self._number, 0
        if count:
            before = self._counts[number]
            self._counts[number] = before + count
            if not before:
                self._used.append(number)

    def flush(self, cells: "memoryview[float]") -> None:
        """Adds to the cells what was counted."""
        self._is_changed = False
        self._keep_count()
        amount, self._sum = self._sum, 0.0
        increase(cells, self._at + _SUM, amount)
        used, self._used = self._used, []
        for number in used:
            count, self._counts[number] = self._counts[number], 0
            if self._edges:
                increase(cells, self._at + _BUCKETS + number, float(count))


class CellWriter:
    """Creates children in a file and writes their cells. All calls come from one thread."""

    def __init__(self, file: CellFile) -> None:
        self.file = file
        self._cells = file.cells
        self._accumulators: dict[int, Accumulator] = {}
        self._changed: list[Accumulator] = []
        self._flushing = threading.Lock()
        file.flushes.append(self.flush)

    def flush(self) -> None:
        """Adds to the cells what was counted, but not yet added to them."""
        with self._flushing:
            changed = self._changed
            count = len(changed)
            for one in changed[:count]:
                one.flush(self._cells)
            del changed[:count]  # another thread may have added more

    def child(self, metric: Metric, values: Sequence[str]) -> int:
        """Returns the index of the first cell of a child, which is created if there is none."""
        at = self.file.child(metric.name, values, metric.slots)
        if not self.file.cells[at]:
            self.file.cells[at + Slot.CREATED] = time.time()
        return at

    def add(self, at: int, amount: float = 1.0) -> None:
        """Adds to the value of a counter."""
        increase(self._cells, at + _VALUE, amount)

    def set(self, at: int, value: float) -> None:
        """Sets the value of a gauge."""
        self.file.cells[at + Slot.VALUE] = value

    def drop(self, at: int) -> None:
        """Makes a gauge one that this process does not set; see `Metric.merge`."""
        self.file.cells[at + Slot.CREATED] = self.file.cells[at + Slot.VALUE] = 0.0

    def observe(self, at: int, edges: list[float], value: float) -> None:
        """Adds a value to a histogram with these upper bounds; a bound belongs to its bucket."""
        cells = self._cells
        increase(cells, at + _BUCKETS + bucket(edges, value), 1.0)
        increase(cells, at + _SUM, value)

    def accumulator(self, metric: Metric, values: Sequence[str]) -> Accumulator:
        """Returns what adds to a child, always the same for the same child.

        It reaches the cells by `CellFile.flush`.
        """
        at = self.child(metric, values)
        found = self._accumulators.get(at)
        if found is None:
            edges = [float(edge) for edge in metric.edges]
            found = self._accumulators[at] = Accumulator(at, edges, self._changed)
        return found

    def adder(self, metric: Metric, *values: str) -> AddValue:
        """Returns what adds to the child of a metric with these values of the labels."""
        return self.accumulator(metric, values).add

    def note_exemplar(self, at: int, value: float, time_s: float, ids: bytes) -> None:
        """Replaces an exemplar: its value, its time in seconds since 1970, and its 24 bytes of ids.

        The time is zero meanwhile, so that a reader does not take half of one.
        """
        cells = self.file.cells
        cells[at + 1] = 0.0
        cells[at] = value
        begin = (at + 2) * 8
        end = begin + _ID_BYTES
        self.file.octets[begin:end] = ids
        cells[at + 1] = time_s


class Counter:
    """A counter whose children are created when they are first counted."""

    def __init__(self, writer: CellWriter, metric: Metric, *, has_hits: bool = False) -> None:
        """With `has_hits`, `Hits` count in the same cells, to which another thread may add them: so
        both must be added in the same way."""
        self._writer = writer
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
        writer, metric = self._writer, self._metric
        if self._has_hits:
            return writer.adder(metric, *values)
        at = writer.child(metric, values)
        return lambda amount: writer.add(at, amount)


class Hits:
    """A child of a counter whose events have a value each, of which a histogram is kept."""

    def __init__(
        self, writer: CellWriter, counter: Metric, values: tuple[str, ...], histogram: Metric
    ) -> None:
        """Takes the values of the labels of the counter; the histogram has none."""
        self._number = writer.accumulator(counter, values)
        self._values = writer.accumulator(histogram, ())

    def count(self, value: float) -> None:
        """Adds one to the counter, and a value to the histogram."""
        self._number.add(1.0)
        self._values.add(value)


def bucket(edges: list[float], value: float) -> int:
    """Returns the index of the first bound that is not below a value; their number if all are.

    As `bisect_left`; as machine code, a call of that costs four times as much.
    """
    first, end = 0, len(edges)
    while first < end:
        middle = (first + end) >> 1
        if edges[middle] < value:
            first = middle + 1
        else:
            end = middle
    return first


def increase(cells: "memoryview[float]", at: int, amount: float) -> None:
    """Adds to a cell."""
    # An object, so that machine code makes it of the number once, and not for each of two uses.
    place: Any = at
    before: float = cells[place]
    cells[place] = before + amount

"""A metric: its kind, its labels, the order of its values in memory, and their writers.

The cells that are written belong to this process.
"""

import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from gateway.telemetry.metrics.cells import CellFile
from gateway.transcoding.json.native import native_module

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

AddValues = Callable[..., None]
"""Takes a value for a child of each of some histograms."""
OpenChildren = Callable[[tuple[int, ...]], AddValues]
"""Takes the first cells of the children."""
Count = Callable[[], None]
"""Adds one to a counter. It must be called from the thread of the event loop."""


class CellWriter:
    """Creates children in a file and writes their cells. All calls come from one thread."""

    def __init__(self, file: CellFile) -> None:
        self.file = file
        self._cells = file.cells
        module = native_module()
        self._native: Any = Cells(file.cells) if module is None else module.Cells(file.cells)
        self.flush: Callable[[], None] = self._native.flush
        """Adds to the cells what was counted, but not yet added to them."""
        file.flushes.append(self.flush)

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

    def histograms(self, *metrics: Metric) -> OpenChildren:
        """Returns what opens a child of each of these metrics, to add to all in one call.

        A counter among them gets the amount to add. At most three are counted together. They reach
        the cells by `CellFile.flush`.
        """
        edges = [[float(edge) for edge in metric.edges] for metric in metrics]
        made: Any = self._native.histograms(edges)

        def open_children(places: tuple[int, ...]) -> AddValues:
            observe: AddValues = made.children(places).observe
            return observe

        return open_children

    def adder(self, metric: Metric, *values: str) -> AddValues:
        """Returns what adds to the child of a metric with these values of the labels."""
        return self.histograms(metric)((self.child(metric, values),))

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


class Cells:
    """The cells of one file: the definition of the native ones, which count elsewhere first."""

    def __init__(self, view: "memoryview[float]") -> None:
        """Takes a view of the cells."""
        self._view = view

    def histograms(self, edges: list[list[float]]) -> "Histograms":
        """Returns histograms that are always counted together, with their upper bounds in rising
        order. One without upper bounds is a counter.
        """
        return Histograms(self._view, edges)

    def flush(self) -> None:
        """Adds what was counted to the cells, where it is already."""


class Histograms:
    """Histograms that are always counted together."""

    def __init__(self, cells: "memoryview[float]", edges: list[list[float]]) -> None:
        """Takes the cells, and the upper bounds of each histogram."""
        self._cells = cells
        self._edges = edges

    def children(self, places: tuple[int, ...]) -> "Children":
        """Returns a child of each, whose first cells are given."""
        return Children(self._cells, list(zip(self._edges, places, strict=True)))


class Children:
    """A child of each of some histograms."""

    def __init__(self, cells: "memoryview[float]", children: list[tuple[list[float], int]]) -> None:
        """Takes the upper bounds and the first cell of each."""
        self._cells = cells
        self._children = children

    def observe(self, *values: float) -> None:
        """Adds a value to each child."""
        cells = self._cells
        for (edges, at), value in zip(self._children, values, strict=True):
            if edges:
                increase(cells, at + _BUCKETS + bucket(edges, value), 1.0)
            increase(cells, at + _SUM, value)


class Counter:
    """A counter whose children are created when they are first counted."""

    def __init__(self, writer: CellWriter, metric: Metric, *, has_hits: bool = False) -> None:
        """With `has_hits`, `Hits` count in the same cells, to which another thread may add them: so
        both must be added in the same way."""
        self._writer = writer
        self._metric = metric
        self._open_children = writer.histograms(metric) if has_hits else self._at_once
        self._kept: dict[tuple[str, ...], AddValues] = {}

    def count(self, values: tuple[str, ...]) -> None:
        """Adds one to the child with these values of the labels."""
        add = self._kept.get(values)
        if add is None:
            child = self._writer.child(self._metric, values)
            add = self._kept[values] = self._open_children((child,))
        add(1.0)

    def _at_once(self, places: tuple[int, ...]) -> AddValues:
        writer, at = self._writer, places[0]
        return lambda amount: writer.add(at, amount)


class Hits:
    """A child of a counter whose events have a value each, of which a histogram is kept."""

    def __init__(
        self, writer: CellWriter, counter: Metric, values: tuple[str, ...], histogram: Metric
    ) -> None:
        """Takes the values of the labels of the counter; the histogram has none."""
        places = writer.child(counter, values), writer.child(histogram, ())
        self._observe = writer.histograms(counter, histogram)(places)

    def count(self, value: float) -> None:
        """Adds one to the counter, and a value to the histogram."""
        self._observe(1.0, value)


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

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

Count = Callable[[], None]
"""Adds one to a counter. It must be called from the thread of the event loop."""


class CellWriter:
    """Creates children in a file and writes their cells. All calls come from one thread."""

    def __init__(self, file: CellFile) -> None:
        self.file = file
        self._cells = file.cells

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

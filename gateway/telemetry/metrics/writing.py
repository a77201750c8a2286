"""Writes cells: counters, gauges, histograms and exemplars of the process they belong to."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.telemetry.metrics.cells import CellFile
from gateway.telemetry.metrics.metric import Metric, Slot

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


class Counter:
    """A counter whose children are created when they are first counted."""

    def __init__(self, writer: CellWriter, metric: Metric) -> None:
        self._writer = writer
        self._metric = metric
        self._places: dict[tuple[str, ...], int] = {}

    def count(self, values: tuple[str, ...]) -> None:
        """Adds one to the child with these values of the labels."""
        at = self._places.get(values)
        if at is None:
            at = self._places[values] = self._writer.child(self._metric, values)
        self._writer.add(at)


class Histogram:
    """A histogram without labels."""

    def __init__(self, writer: CellWriter, metric: Metric) -> None:
        self._writer = writer
        self._at = writer.child(metric, ())
        self._edges = [float(edge) for edge in metric.edges]

    def note(self, value: float) -> None:
        """Adds a value."""
        self._writer.observe(self._at, self._edges, value)


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

"""Counts in attributes, which are added to the cells now and then."""

import threading
from collections.abc import Callable, Sequence
from math import inf
from typing import Final

from gateway.telemetry.metrics.metric import CellWriter, Metric, Slot, increase

__all__ = ["Accumulator", "Accumulators", "AddValue", "CellWriter", "Metric"]

_SUM: Final[int] = Slot.SUM
_BUCKETS: Final[int] = Slot.BUCKETS

AddValue = Callable[[float], None]
"""Takes a value for a child of a histogram, or an amount for one of a counter."""


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
        # First those that each value needs: as machine code, they share a line of the cache.
        self._sum = 0.0
        # The bounds of the last value's bucket, and what it has counted since it was turned to.
        self._above = -inf
        self._up_to = edges[0] if edges else inf
        self._count = 0
        self._is_changed = False
        self._number = 0
        """The bucket of the last value."""
        self._at = at
        self._edges = edges
        self._changed = changed
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


class Accumulators:
    """The accumulators of the children in one file."""

    def __init__(self, writer: CellWriter) -> None:
        self.writer = writer
        """Creates the children."""
        self._cells = writer.file.cells
        self._by_place: dict[int, Accumulator] = {}
        self._edges: dict[str, list[float]] = {}
        self._changed: list[Accumulator] = []
        self._flushing = threading.Lock()
        writer.file.flushes.append(self.flush)

    def flush(self) -> None:
        """Adds to the cells what was counted, but not yet added to them."""
        with self._flushing:
            changed = self._changed
            count = len(changed)
            for one in changed[:count]:
                one.flush(self._cells)
            del changed[:count]  # another thread may have added more

    def of(self, metric: Metric, values: Sequence[str]) -> Accumulator:
        """Returns what adds to a child, always the same for the same child.

        It reaches the cells by `CellFile.flush`.
        """
        at = self.writer.child(metric, values)
        found = self._by_place.get(at)
        if found is None:
            edges = self._edges.get(metric.name)
            if edges is None:  # all children of a metric share one list: there are thousands
                edges = self._edges[metric.name] = [float(edge) for edge in metric.edges]
            found = self._by_place[at] = Accumulator(at, edges, self._changed)
        return found

    def adder(self, metric: Metric, *values: str) -> AddValue:
        """Returns what adds to the child of a metric with these values of the labels."""
        return self.of(metric, values).add

"""A metric: its kind, its labels, and the order of its values in memory."""

from array import array
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

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

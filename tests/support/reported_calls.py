"""The calls that a `Measure` reports."""

from array import array
from math import inf

from gateway.status import Code
from gateway.telemetry.metrics.accumulators import Accumulator
from gateway.telemetry.metrics.metric import Slot


class ReportedCalls:
    """Opens histograms for a `Measure`, and tells what has been added to them."""

    def __init__(self) -> None:
        self._by_code: dict[Code, Accumulator] = {}
        self.duration_s = 0.0
        """The seconds that all calls took."""

    def __call__(self, code: Code) -> list[Accumulator]:
        return [self._by_code.setdefault(code, Accumulator(0, [inf], []))]

    def take(self) -> list[Code]:
        """The codes of the calls reported since the last time, one for each call."""
        codes = []
        for code, durations in self._by_code.items():
            cells = array("d", [0.0] * 8)
            durations.flush(memoryview(cells))
            codes += [code] * int(sum(cells[Slot.BUCKETS :]))
            self.duration_s += cells[Slot.SUM]
        return codes

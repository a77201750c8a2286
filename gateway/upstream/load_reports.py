"""Load reports of back ends, and the weights made of them: pure, with the time as an argument.

A report is an xds.data.orca.v3.OrcaLoadReport (gRFC A51); the weights are those of gRFC A58.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from random import Random
from typing import Final

from gateway.config.load_reports import LoadReportOptions
from gateway.transcoding.wire import FIXED64, LENGTH, MalformedError, read_size, read_tag, skip
from gateway.upstream.pickers import Candidate, Picker, RoundRobin, WeightedRoundRobin
from gateway.upstream.slow_start import SlowStart

MOST_REPORT_BYTES: Final = 4096
"""Larger reports are not read: they come with each call."""
_DOUBLE: Final = struct.Struct("<d")
_NUMBERS: Final = {
    1: "cpu_utilization",
    6: "rps_fractional",
    7: "eps",
    9: "application_utilization",
}
"""The numbers of a report that are used, by their field numbers."""
_MAPS: Final = {4: "request_cost", 5: "utilization", 8: "named_metrics"}


@dataclass(slots=True)
class LoadReport:
    """The load of one back end; zero for what it does not report."""

    cpu_utilization: float = 0.0
    rps_fractional: float = 0.0
    eps: float = 0.0
    application_utilization: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    """The values of its maps, by the name of the map, a dot and the key."""


def parse_report(wire: bytes) -> LoadReport:
    """The report in a trailer `endpoint-load-metrics-bin`. Values that are no numbers are left out.

    Raises:
        ValueError: it is too large, or no such message; the text says which.
    """
    if len(wire) > MOST_REPORT_BYTES:
        raise ValueError(f"it is larger than {MOST_REPORT_BYTES} bytes")
    report = LoadReport()
    at, end = 0, len(wire)
    try:
        while at < end:
            tag, start = read_tag(wire, at, end)
            at = skip(wire, start, end, tag)
            number = tag >> 3
            if tag & 7 == FIXED64 and number in _NUMBERS:
                value = _double(wire, start)
                if value is not None:
                    setattr(report, _NUMBERS[number], value)
            elif tag & 7 == LENGTH and number in _MAPS:
                key, value = _entry(wire, *read_size(wire, start, end))
                if value is not None:
                    report.metrics[f"{_MAPS[number]}.{key}"] = value
    except (MalformedError, UnicodeDecodeError):
        raise ValueError("it is no OrcaLoadReport") from None
    return report


def _double(wire: bytes, at: int) -> float | None:
    value: float = _DOUBLE.unpack_from(wire, at)[0]
    return value if isfinite(value) else None


def _entry(wire: bytes, at: int, end: int) -> tuple[str, float | None]:
    """The key and the value of one entry of a map from text to numbers."""
    key, value = "", None
    while at < end:
        tag, start = read_tag(wire, at, end)
        at = skip(wire, start, end, tag)
        if tag == 1 << 3 | LENGTH:
            start, stop = read_size(wire, start, end)
            key = wire[start:stop].decode()
        elif tag == 2 << 3 | FIXED64:
            value = _double(wire, start)
    return key, value


def weight_of(report: LoadReport, options: LoadReportOptions) -> float:
    """The calls per second that an endpoint could take at full use; 0 if the report has no weight.

    gRFC A58: `qps / (utilization + eps / qps * error_utilization_penalty)`.
    """
    named = options.metric_names_for_computing_utilization
    utilization = max([report.metrics.get(name, 0.0) for name in named], default=0.0)
    if utilization <= 0:
        utilization = report.application_utilization
    if utilization <= 0:
        utilization = report.cpu_utilization
    qps = report.rps_fractional
    if utilization <= 0 or qps <= 0:
        return 0.0
    errors = max(0.0, report.eps) / qps * options.error_utilization_penalty
    weight = qps / (utilization + errors)
    return weight if isfinite(weight) else 0.0


class Load:
    """The weight of one endpoint, by its last report (gRFC A58, "Subchannel weights")."""

    __slots__ = ("_since_s", "_updated_s", "_weight")

    def __init__(self) -> None:
        self._weight = 0.0
        self._since_s = inf
        self._updated_s = -inf

    def connected(self) -> None:
        """Begins the blackout anew: the endpoint was connected, so another process may be there."""
        self._since_s = inf

    def report(self, weight: float, now_s: float) -> None:
        """Takes the weight of a report; none of 0."""
        if weight <= 0:
            return
        if self._since_s == inf:
            self._since_s = now_s
        self._updated_s = now_s
        self._weight = weight

    def has_expired(self, now_s: float, options: LoadReportOptions) -> bool:
        """True if there was a weight, and no report for so long that it counts no more."""
        if self._updated_s == -inf:
            return False
        return now_s - self._updated_s >= options.weight_expiration_period_s

    def weight(self, now_s: float, options: LoadReportOptions) -> float:
        """The weight; 0 during the blackout, and after it has expired."""
        if now_s - self._updated_s >= options.weight_expiration_period_s:
            self._since_s = inf
            return 0.0
        if now_s - self._since_s < options.blackout_period_s:
            return 0.0
        return self._weight


class Loads:
    """The loads of the endpoints of one upstream, by their addresses; makes pickers."""

    def __init__(self, options: LoadReportOptions, random: Random) -> None:
        self.options = options
        self.slow_start: SlowStart | None = None
        self._starts_until_s = -inf
        self._random = random
        self._loads: dict[tuple[str, ...], Load] = {}
        self._weights: dict[tuple[str, ...], float] = {}
        self.updates = 0
        """The number of calculations of the weights so far."""

    def add(self, addresses: tuple[str, ...]) -> Load:
        """The load of a new endpoint."""
        load = self._loads[addresses] = Load()
        return load

    def remove(self, addresses: tuple[str, ...], load: Load) -> None:
        """Forgets an endpoint, unless another with these addresses is there by now."""
        if self._loads.get(addresses) is load:
            del self._loads[addresses]

    def update(self, now_s: float) -> None:
        """Calculates the weights; pickers use them from now on."""
        weights = {one: load.weight(now_s, self.options) for one, load in self._loads.items()}
        if weights != self._weights or now_s < self._starts_until_s:
            self._weights = weights
            self.updates += 1

    def census(self, now_s: float) -> tuple[Sequence[float], int, int]:
        """Returns all weights, 0 for none, and how many are not usable yet, or expired (A78)."""
        weights = [load.weight(now_s, self.options) for load in self._loads.values()]
        expired = sum([one.has_expired(now_s, self.options) for one in self._loads.values()])
        return weights, weights.count(0.0) - expired, expired

    def picker(self, candidates: Sequence[Candidate]) -> "LoadRoundRobin":
        """The picker of these endpoints; a `Policy`."""
        return LoadRoundRobin(candidates, self, self._random)

    def weights(self, candidates: Sequence[Candidate]) -> list[float]:
        """The weights for a picker; none if fewer than two endpoints have one.

        An endpoint without a weight gets the mean of the others (gRFC A58). While one starts, all
        have a weight, and that of one that starts grows with each update.
        """
        weights = self._reported(candidates)
        rule = self.slow_start
        if rule is not None:
            now_s = rule.clock()
            if rule.starts(candidates, now_s):
                # One update more than needed, so that the last one finds the whole weights.
                until_s = rule.until_s(candidates) + self.options.weight_update_period_s
                self._starts_until_s = max(self._starts_until_s, until_s)
                whole = weights or [1.0] * len(candidates)
                return [
                    one * rule.factor(candidate, now_s)
                    for one, candidate in zip(whole, candidates, strict=True)
                ]
        return weights

    def _reported(self, candidates: Sequence[Candidate]) -> list[float]:
        found = [self._weights.get(one.endpoint.addresses, 0.0) for one in candidates]
        known = [one for one in found if one > 0]
        if len(known) < 2:
            return []
        mean = sum(known) / len(known)
        return [one or mean for one in found]


class LoadRoundRobin:
    """Candidates in proportion to the weights of their loads; in turn while these are not known."""

    def __init__(self, candidates: Sequence[Candidate], loads: Loads, random: Random) -> None:
        self._candidates = candidates
        self._loads = loads
        self._random = random
        self._updates = -1
        self._picker: Picker = RoundRobin(len(candidates), random)

    def pick(self) -> int:
        """The index of the candidate for the next call."""
        if self._updates != self._loads.updates:
            self._updates = self._loads.updates
            weights = self._loads.weights(self._candidates)
            if weights:
                self._picker = WeightedRoundRobin(self._candidates, self._random, weights=weights)
            elif not isinstance(self._picker, RoundRobin):
                self._picker = RoundRobin(len(self._candidates), self._random)
        return self._picker.pick()

"""Outlier detection as in gRFC A50, and failures in a row: pure, the time and chance are arguments.

A finding ejects an endpoint for a time that grows with each ejection. A50's text ejects above the
threshold of failures, its configuration's comment and Envoy from the threshold on; here it is from
the threshold on.
"""

from collections.abc import Callable, Iterator
from math import sqrt
from random import Random
from typing import NamedTuple

from gateway.config.outliers import (
    FailurePercentageEjection,
    OutlierOptions,
    SuccessRateEjection,
)


class Tally:
    """The calls of one endpoint since the last sweep, and its ejection."""

    __slots__ = ("ejected_at_s", "failures", "in_a_row", "multiplier", "reason", "successes")

    def __init__(self) -> None:
        self.successes = 0
        self.failures = 0
        self.in_a_row = 0
        """The failures since the last success; an ejection does not end the row, so that the first
        failure after it leads to the next one."""
        self.multiplier = 0
        """The ejections, less one for each later sweep without one."""
        self.ejected_at_s: float | None = None
        """The time of its ejection; None while it is not ejected."""
        self.reason = ""
        """The finding for which it is ejected; empty while it is not."""


class Ejection(NamedTuple):
    """The ejection of an endpoint."""

    tally: Tally
    method: str
    """The detection method, in the words of gRFC A91."""


class Counted(NamedTuple):
    """The calls of one endpoint in a finished interval."""

    tally: Tally
    successes: int
    total: int


class Outliers:
    """Judges the endpoints of one upstream by the ends of their calls."""

    def __init__(self, options: OutlierOptions, random: Random) -> None:
        self._options = options
        self._random = random
        self.spared: Callable[[str, str], None] = _nothing
        """Takes the detection method, and the reason why an outlier is not ejected (gRFC A91)."""
        self._tallies: dict[Tally, None] = {}

    def __len__(self) -> int:
        return len(self._tallies)

    def add(self) -> Tally:
        """The tally of a new endpoint."""
        tally = Tally()
        self._tallies[tally] = None
        return tally

    def remove(self, tally: Tally) -> None:
        """Forgets an endpoint."""
        self._tallies.pop(tally, None)

    def succeeded(self, tally: Tally) -> None:
        """Counts a call that the endpoint answered."""
        tally.successes += 1
        tally.in_a_row = 0

    def failed(self, tally: Tally, now_s: float) -> Ejection | None:
        """Counts a call that failed by the endpoint's fault; returns the ejection it leads to."""
        tally.failures += 1
        tally.in_a_row += 1
        most = self._options.consecutive
        if most is None or tally.in_a_row < most or not self._has_better(tally):
            return None
        if not self._may_eject(tally):
            if tally.in_a_row == most:  # once for each row
                self._spare(tally, "consecutive_failures", "max_ejection_overflow")
            return None
        reason = f"{tally.in_a_row} failures in a row"
        return self._eject(tally, "consecutive_failures", reason, now_s)

    def first_sweep_s(self) -> float:
        """Returns the seconds until the first sweep, which are random."""
        return self._options.interval_s * self._random.random()

    def sweep(self, now_s: float) -> tuple[list[Ejection], list[Tally]]:
        """Judges the calls since the last sweep; returns the new ejections, and the restored.

        The order is A50's: success rates, failure percentages, then what was ejected before.
        """
        counted = []
        for tally in self._tallies:
            total = tally.successes + tally.failures
            counted.append(Counted(tally, tally.successes, total))
            tally.successes = tally.failures = 0
        ejected: list[Ejection] = []
        if (by_rate := self._options.success_rate_ejection) is not None:
            ejected += self._by_success_rate(by_rate, counted, now_s)
        if (by_share := self._options.failure_percentage_ejection) is not None:
            ejected += self._by_failure_percentage(by_share, counted, now_s)
        return ejected, [one for one in self._tallies if self._restored(one, now_s)]

    def restore(self, tally: Tally) -> None:
        """Ends an ejection, and forgets the calls that led to it."""
        self._end(tally)
        tally.in_a_row = 0

    def ends_at_s(self, tally: Tally) -> float:
        """The time after which the first sweep restores an ejected endpoint."""
        options = self._options
        longest_s = max(options.base_ejection_time_s, options.max_ejection_time_s)
        time_s = min(options.base_ejection_time_s * tally.multiplier, longest_s)
        return (tally.ejected_at_s or 0.0) + time_s

    def _restored(self, tally: Tally, now_s: float) -> bool:
        """Restores the endpoint if its time is over; lowers the multiplier of one that is well."""
        if tally.ejected_at_s is None:
            tally.multiplier = max(0, tally.multiplier - 1)
            return False
        if now_s <= self.ends_at_s(tally):
            return False
        self._end(tally)
        return True

    @staticmethod
    def _end(tally: Tally) -> None:
        tally.ejected_at_s = None
        tally.reason = ""
        tally.successes = tally.failures = 0

    def _by_success_rate(
        self, rule: SuccessRateEjection, counted: list[Counted], now_s: float
    ) -> Iterator[Ejection]:
        if not (judged := _judged(rule, counted)):
            return
        rates = [one.successes / one.total for one in judged]
        mean = sum(rates) / len(rates)
        stdev = sqrt(sum((rate - mean) ** 2 for rate in rates) / len(rates))
        least = mean - stdev * rule.stdev_factor / 1000
        for one, rate in zip(judged, rates, strict=True):
            if rate < least and self._draws(rule.enforcement_percentage, one.tally, "success_rate"):
                reason = f"{rate:.1%} of its calls succeed, of all {mean:.1%}"
                yield self._eject(one.tally, "success_rate", reason, now_s)

    def _by_failure_percentage(
        self, rule: FailurePercentageEjection, counted: list[Counted], now_s: float
    ) -> Iterator[Ejection]:
        for one in _judged(rule, counted):
            failures = one.total - one.successes
            is_high = 100 * failures >= rule.threshold * one.total
            method = "failure_percentage"
            if is_high and self._draws(rule.enforcement_percentage, one.tally, method):
                reason = f"{failures / one.total:.1%} of its calls fail"
                yield self._eject(one.tally, method, reason, now_s)

    def _draws(self, percentage: int, tally: Tally, method: str) -> bool:
        """True if a found outlier is ejected: by chance (A50), and within the limit."""
        if not self._may_eject(tally):
            self._spare(tally, method, "max_ejection_overflow")
            return False
        if self._random.randrange(100) < percentage:
            return True
        self._spare(tally, method, "enforcement_percentage")
        return False

    def _spare(self, tally: Tally, method: str, reason: str) -> None:
        if tally.ejected_at_s is None and tally in self._tallies:
            self.spared(method, reason)

    def _may_eject(self, tally: Tally) -> bool:
        """True below the limit; A50 asks before each ejection, so that the first always may.

        Never true for the last endpoint, nor for one that is ejected already: that would count its
        calls twice.
        """
        ejected = sum(one.ejected_at_s is not None for one in self._tallies)
        known = len(self._tallies)
        if tally.ejected_at_s is not None or tally not in self._tallies or known - ejected < 2:
            return False
        return 100 * ejected < self._options.max_ejection_percent * known

    def _has_better(self, tally: Tally) -> bool:
        """True if another endpoint did not fail its last call.

        If all fail, none is an outlier, and the rest must not get the calls of one more.
        """
        return any(
            one is not tally and not one.in_a_row and one.ejected_at_s is None
            for one in self._tallies
        )

    def _eject(self, tally: Tally, method: str, reason: str, now_s: float) -> Ejection:
        tally.ejected_at_s = now_s
        tally.multiplier += 1
        tally.reason = reason
        return Ejection(tally, method)


def _judged(
    rule: SuccessRateEjection | FailurePercentageEjection, counted: list[Counted]
) -> list[Counted]:
    """Returns the endpoints with enough calls to be judged; none if these are too few."""
    judged = [one for one in counted if one.total >= rule.request_volume]
    return judged if len(judged) >= rule.minimum_hosts else []


def _nothing(_method: str, _reason: str) -> None:
    """Ignores an outlier that is not ejected."""

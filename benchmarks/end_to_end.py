"""Measures this gateway and its peers in one run on one machine.

CPU microseconds per request are the steady measure: user and system time of the gateway's
processes over the requests they answered. Rounds are interleaved; results are medians.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from http.client import HTTPException
from math import isnan, nan
from statistics import median
from subprocess import SubprocessError
from time import monotonic

from benchmarks.building import MissingError
from benchmarks.load import (
    ask,
    cpu_s,
    exhaust,
    forget_peak,
    latencies_ms,
    need_wrk,
    peak_mb,
    saturate,
    warm_up,
)
from benchmarks.peers import OURS, Peer, backend, peers, running
from benchmarks.scenarios import SMALL_GET, Scenario, Setup

_FEW = 100
# The ways in which a gateway can fail: it does not start, closes the connection, or never answers.
_BROKEN = (MissingError, OSError, HTTPException, SubprocessError)


@dataclass(frozen=True)
class Sample:
    """The results of one round of one scenario; latencies are at half of the saturated rate."""

    cpu_us: float
    """Per unit of the scenario: a request, or a message of a stream."""
    rate: float
    """Units per second."""
    busy: float
    """The share of its core that the gateway used; below 0.9 the load generator was the limit."""
    p50_ms: float
    p99_ms: float
    """NaN if there were fewer than a hundred requests."""
    peak_mb: float


Results = dict[str, dict[str, Sample]]
"""By the names of scenario and gateway."""


@dataclass(frozen=True)
class Effort:
    """The duration of the measurements."""

    rounds: int = 3
    load_s: int = 2
    paced_s: float = 2.0


class Run:
    """The rounds of a measurement so far."""

    def __init__(self, scenarios: Sequence[Scenario], effort: Effort) -> None:
        self._scenarios = scenarios
        self._effort = effort
        self._samples: dict[str, dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
        self._left_out: set[str] = set()

    @property
    def results(self) -> Results:
        """The medians of the rounds so far, for each scenario and the gateways that support it."""
        return {
            scenario.name: {name: _median(found) for name, found in by_peer.items()}
            for scenario in self._scenarios
            if (by_peer := self._samples.get(scenario.name))
        }

    def run(self, after_round: Callable[[Results], object] = lambda _: None) -> Results:
        """Measures, and passes on the results after each round; reports gateways it leaves out.

        Raises:
            MissingError: wrk is missing, or this gateway itself does not start.
        """
        need_wrk()
        wanted = {scenario.setup for scenario in self._scenarios}
        with backend() as address:
            contestants = peers(address, wanted)
            for number in range(self._effort.rounds):
                for peer in list(contestants):
                    turn = f"round {number + 1} of {self._effort.rounds}: {peer.name}"
                    print(
                        f"{turn}, {', '.join(sorted(s.value for s in peer.setups & wanted))}",
                        file=sys.stderr,
                    )
                    try:
                        self._round(peer)
                    except _BROKEN as failure:
                        if peer.name == OURS and Setup.PLAIN in peer.setups:
                            raise MissingError(f"{peer.name}: {failure}") from failure
                        self._leave_out(f"{peer.name}: {failure}")
                        contestants.remove(peer)
                after_round(self.results)
        return self.results

    def _round(self, peer: Peer) -> None:
        with running(peer.command, peer.port) as pid:
            first = next(one for one in self._scenarios if one.setup in peer.setups)
            saturate(peer.port, replace(SMALL_GET, setup=first.setup, token=first.token), 1)
            for scenario in self._scenarios:
                if scenario.setup in peer.setups and self._serves(peer, scenario):
                    warm_up(peer, scenario)
                    sample = self._measure(peer, pid, scenario)
                    self._samples[scenario.name][peer.name].append(sample)

    def _serves(self, peer: Peer, scenario: Scenario) -> bool:
        """True if a gateway answers the scenario correctly; checked before each measurement."""
        objection = scenario.objection(*ask(peer.port, scenario))
        if not objection and scenario.token:
            without = ask(peer.port, replace(scenario, token=""))[0]
            objection = "" if without == 401 else f"answers {without} without a token"
        if objection:
            self._leave_out(f"{peer.name}, {scenario.name}: {objection}")
        return not objection

    def _leave_out(self, what: str) -> None:
        if what not in self._left_out:
            self._left_out.add(what)
            print(f"left out: {what}", file=sys.stderr)

    def _measure(self, peer: Peer, pid: int, scenario: Scenario) -> Sample:
        forget_peak(pid)
        before_s = cpu_s(pid)
        started_s = monotonic()
        load = exhaust if scenario.slow else saturate
        answers = load(peer.port, scenario, self._effort.load_s)
        spent_s, took_s = cpu_s(pid) - before_s, monotonic() - started_s
        failed = answers.of_another_kind if scenario.status == 200 else 0
        if failed:
            print(f"{peer.name}, {scenario.name}: {failed} failed under load", file=sys.stderr)
        good = (answers.requests - failed) * scenario.units
        return Sample(
            spent_s / good * 1e6 if good else nan,
            answers.rate * scenario.units,
            spent_s / took_s,
            *self._latencies_ms(peer, scenario, answers.rate / 2),
            peak_mb(pid),
        )

    def _latencies_ms(self, peer: Peer, scenario: Scenario, rate: float) -> tuple[float, float]:
        if not rate:
            return nan, nan
        paced_s = self._effort.paced_s
        p50_ms, p99_ms = latencies_ms(peer.port, scenario, rate, paced_s)
        return p50_ms, p99_ms if rate * paced_s >= _FEW else nan


def _median(samples: list[Sample]) -> Sample:
    return Sample(
        _middle(s.cpu_us for s in samples),
        _middle(s.rate for s in samples),
        _middle(s.busy for s in samples),
        _middle(s.p50_ms for s in samples),
        _middle(s.p99_ms for s in samples),
        max(s.peak_mb for s in samples),
    )


def _middle(values: Iterable[float]) -> float:
    """The median of the values without NaN, which cannot be sorted."""
    known = [value for value in values if not isnan(value)]
    return median(known) if known else nan

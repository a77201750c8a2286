"""Slow start: endpoints that are new, or well again, get their share of the calls bit by bit.

The rule is Envoy's ("Slow start mode"). Pure, with the clock and the random source as arguments.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol, cast

from gateway.upstream.pickers import Candidate, Picker, Policy


class Starting(Candidate, Protocol):
    """A candidate that knows since when it takes calls."""

    @property
    def since_s(self) -> float:
        """The time at which it was usable at last after it was not; `-inf` for one that needs no
        slow start, `inf` for one that is not usable yet."""
        ...


@dataclass(frozen=True, slots=True)
class SlowStart:
    """The rule of one upstream."""

    window_s: float
    aggression: float
    min_weight: float
    """The least share of its weight that an endpoint has, more than 0 and at most 1."""
    clock: Callable[[], float]

    def factor(self, candidate: Candidate, now_s: float) -> float:
        """The share of its weight that counts: `(age / window) ** (1 / aggression)`, or more."""
        age_s = now_s - cast("Starting", candidate).since_s
        if age_s >= self.window_s:
            return 1.0
        if age_s <= 0:
            return self.min_weight
        return float(max(self.min_weight, (age_s / self.window_s) ** (1 / self.aggression)))

    def starts(self, candidates: Sequence[Candidate], now_s: float) -> bool:
        """True if one of them does not have its whole weight yet."""
        return any(self.factor(one, now_s) < 1 for one in candidates)

    def until_s(self, candidates: Sequence[Candidate]) -> float:
        """The time from which all have their whole weight; `inf` if one is not usable yet."""
        return self.window_s + max(cast("Starting", one).since_s for one in candidates)

    def policy(self, policy: Policy, random: Random, *, by_load: bool) -> Policy:
        """`policy`, except while an endpoint starts: then shares are in proportion to weights, and
        with `by_load` to calls under way too."""

        def make(candidates: Sequence[Candidate]) -> Picker:
            now_s = self.clock()
            if not self.starts(candidates, now_s):
                return policy(candidates)
            return StartingRoundRobin(candidates, self, policy, random, by_load=by_load)

        return make


class StartingRoundRobin:
    """Candidates in proportion to weights that grow with their age: earliest deadline first.

    Once all have their whole weight, it leaves the choice to the picker of `policy`.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        rule: SlowStart,
        policy: Policy,
        random: Random,
        *,
        by_load: bool,
    ) -> None:
        self._candidates = candidates
        self._rule = rule
        self._policy = policy
        self._by_load = by_load
        self._until_s = rule.until_s(candidates)
        self._after: Picker | None = None
        now_s = rule.clock()
        # Random first deadlines: otherwise all others would get a call before those that start,
        # each time one is new.
        self._deadlines = [
            (random.random() / self._weight(index, now_s), index)
            for index in range(len(candidates))
        ]
        heapq.heapify(self._deadlines)

    def pick(self) -> int:
        """The index of the candidate for the next call."""
        if self._after is not None:
            return self._after.pick()
        now_s = self._rule.clock()
        if now_s >= self._until_s:
            self._after = self._policy(self._candidates)
            return self._after.pick()
        deadline, index = self._deadlines[0]
        load = 1 + self._candidates[index].in_flight if self._by_load else 1
        following = deadline + load / self._weight(index, now_s)
        heapq.heapreplace(self._deadlines, (following, index))
        return index

    def _weight(self, index: int, now_s: float) -> float:
        candidate = self._candidates[index]
        return candidate.endpoint.weight * self._rule.factor(candidate, now_s)

"""The choice of an endpoint for each call: pure, with the random source as an argument."""

import heapq
from collections.abc import Callable, Container, Sequence
from itertools import permutations
from random import Random
from typing import Final, Protocol

from gateway.config.upstreams import Balance
from gateway.upstream.endpoint import Endpoint

_MOST_IN_PAIRS: Final = 8
"""The most candidates whose pairs are kept: each retry makes a picker too."""


class Candidate(Protocol):
    """An endpoint that may be chosen, as a picker sees it."""

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint."""
        ...

    @property
    def in_flight(self) -> int:
        """The number of calls that it has now, streams among them."""
        ...


class Picker(Protocol):
    """Chooses one of the candidates that it was made with."""

    def pick(self) -> int:
        """The index of the candidate for the next call. It must not wait."""
        ...


class KeyedPicker(Picker, Protocol):
    """A picker that can choose by the key of a call."""

    def pick_for(self, key: int, tried: Container[int] = ()) -> int:
        """The index of the candidate for a call with this key, of 64 bits; of one that is not in
        `tried`, unless all are. It must not wait."""
        ...


Policy = Callable[[Sequence[Candidate]], Picker]
"""Makes a picker of at least one candidate. A new one is made whenever the usable endpoints
change, so a picker need not look at their state."""


class PickFirst:
    """The first candidate, in the order of the settings or of the resolver."""

    def pick(self) -> int:
        """The index of the candidate for the next call."""
        return 0


class RoundRobin:
    """Each candidate in turn, from a random one: processes that start together differ."""

    def __init__(self, count: int, random: Random) -> None:
        self._count = count
        self._next = random.randrange(count)

    def pick(self) -> int:
        """The index of the candidate for the next call."""
        index = self._next
        following = index + 1
        self._next = 0 if following == self._count else following
        return index


class WeightedRoundRobin:
    """Candidates in proportion to their weights: earliest deadline first.

    The period of a candidate is 1/weight and its first deadline random (gRFC A58). With `by_load`
    the period grows with its calls under way, as for Envoy's least request with weights.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        random: Random,
        *,
        by_load: bool = False,
        weights: Sequence[float] = (),
    ) -> None:
        """Takes the weights of the endpoints, or `weights`, one for each candidate."""
        self._candidates = candidates
        self._by_load = by_load
        self._weights = weights or [float(one.endpoint.weight) for one in candidates]
        self._deadlines = [
            (random.random() / weight, index) for index, weight in enumerate(self._weights)
        ]
        heapq.heapify(self._deadlines)

    def pick(self) -> int:
        """The index of the candidate for the next call."""
        deadline, index = self._deadlines[0]
        load = 1 + self._candidates[index].in_flight if self._by_load else 1
        heapq.heapreplace(self._deadlines, (deadline + load / self._weights[index], index))
        return index


class LeastRequest:
    """The one of two random candidates with fewer calls under way (power of two choices).

    gRFC A48 draws with replacement. Here the two differ: of two endpoints, the same one drawn twice
    would be the busier one in a quarter of all calls.
    """

    def __init__(self, candidates: Sequence[Candidate], random: Random) -> None:
        self._candidates = candidates
        self._random = random.random
        self._others = len(candidates) - 1
        self._pair_count = len(candidates) * self._others
        # Made now, so that a pick does not calculate them.
        self._pairs: list[tuple[int, int]] = []
        if len(candidates) <= _MOST_IN_PAIRS:
            self._pairs = list(permutations(range(len(candidates)), 2))

    def pick(self) -> int:
        """The index of the candidate for the next call."""
        # One random number chooses an ordered pair of different indices.
        drawn = int(self._random() * self._pair_count)
        if self._pairs:
            one, other = self._pairs[drawn]
        elif self._others:
            one, other = drawn // self._others, drawn % self._others
            if other >= one:
                other += 1
        else:
            return 0
        candidates = self._candidates
        return other if candidates[other].in_flight < candidates[one].in_flight else one


class FullScan:
    """The candidate with the fewest calls under way; of several, a random one of these."""

    def __init__(self, candidates: Sequence[Candidate], random: Random) -> None:
        self._candidates = candidates
        self._random = random

    def pick(self) -> int:
        """The index of the candidate for the next call."""
        loads = [one.in_flight for one in self._candidates]
        least = min(loads)
        return self._random.choice([index for index, load in enumerate(loads) if load == least])


def policy_of(balance: Balance, random: Random, *, full_scan: bool = False) -> Policy:
    """The policy of a setting, with weights where they differ."""

    def make(candidates: Sequence[Candidate]) -> Picker:
        if balance is Balance.PICK_FIRST:
            return PickFirst()
        by_load = balance is Balance.LEAST_REQUEST
        if len({one.endpoint.weight for one in candidates}) > 1:
            return WeightedRoundRobin(candidates, random, by_load=by_load)
        if by_load and full_scan:
            return FullScan(candidates, random)
        if by_load:
            return LeastRequest(candidates, random)
        return RoundRobin(len(candidates), random)

    return make

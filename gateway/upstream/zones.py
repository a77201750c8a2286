"""Zones: calls stay at the endpoints near the gateway, as far as these can take their share; pure.

The rule is Envoy's ("Zone aware routing"). Gateways are taken to be spread evenly over all zones
that have endpoints: Envoy asks a cluster of its own for that, which a gateway does not know.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from gateway.config.targets import ZoneOptions
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.pickers import Candidate, Picker, Policy


@dataclass(frozen=True, slots=True)
class Zones:
    """The rule of one upstream, for a gateway in the zone `own`, which is not empty."""

    own: str
    options: ZoneOptions
    random: Random

    def shares(self, known: Sequence[Endpoint], usable: Iterable[Candidate]) -> Mapping[str, float]:
        """The share of the calls for each zone that gets any; they add up to 1. Empty if zones do
        not count: too few endpoints are known, or none of this zone can be used.

        Capacity is the sum of weights. A zone with less than its even part of all usable capacity
        keeps what that is of its even part; the rest goes to the other zones in proportion to what
        each has above its even part. If all gateways do so, all endpoints are equally busy.
        """
        capacity: Counter[str] = Counter()
        counted: Counter[str] = Counter()
        for one in usable:
            capacity[one.endpoint.zone] += one.endpoint.weight
            counted[one.endpoint.zone] += 1
        if self.own not in capacity:
            return {}
        least = self.options.force_local
        if least is not None and least.min <= counted[self.own]:
            return {self.own: 1.0}
        if len(known) < self.options.min_endpoints:
            return {}
        even = sum(capacity.values()) / len({one.zone for one in known})
        kept = min(1.0, capacity[self.own] / even)
        found = {self.own: kept}
        above = {zone: has - even for zone, has in capacity.items() if has > even}
        if kept < 1:
            rest = sum(above.values())
            found.update({zone: (1 - kept) * part / rest for zone, part in above.items()})
        return found

    def picker(
        self, shares: Mapping[str, float], candidates: Sequence[Candidate], policy: Policy
    ) -> Picker:
        """Makes the picker that gives each zone its share, and within a zone is that of `policy`;
        without shares, that of `policy` for all zones alike."""
        if not shares:
            return policy(candidates)
        groups = []
        until = 0.0
        for zone, share in shares.items():
            indices = [n for n, one in enumerate(candidates) if one.endpoint.zone == zone]
            until += share
            groups.append((until, indices, policy([candidates[index] for index in indices])))
        return _InZones(groups, self.random)


class _InZones:
    """Chooses a zone by its share, and then one of its candidates."""

    def __init__(
        self, groups: Sequence[tuple[float, Sequence[int], Picker]], random: Random
    ) -> None:
        """Takes the sum of the shares up to each zone, the indices of its candidates, and its
        picker."""
        self._groups = groups
        self._random = random

    def pick(self) -> int:
        """The index of the candidate for the next call."""
        drawn = 0.0 if len(self._groups) == 1 else self._random.random()
        for until, indices, picker in self._groups:
            if drawn < until:
                return indices[picker.pick()]
        # The rest of 1 from rounding goes to the last zone.
        _, indices, picker = self._groups[-1]
        return indices[picker.pick()]

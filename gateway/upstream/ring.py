"""Consistent hashing: calls with the same key go to the same endpoint while it takes calls.

Each endpoint has points on a ring, at the XXH64 of its address and a number (gRFC A42, "ring_hash";
so gRPC and Envoy have them too). A key belongs to the endpoint with the next point. How many
points an endpoint has does not depend on the others, until the ring is full: so if one leaves, only
its own keys move. A42 divides a ring of fixed size by the weights instead, which moves others too.
"""

from bisect import bisect_left
from collections.abc import Container, Sequence
from random import Random
from typing import Final

from xxhash import xxh64_intdigest

from gateway.upstream.pickers import Candidate

MOST_POINTS: Final = 256
"""The points of an endpoint of weight 1, if the ring has room for them: shares of the keys then
differ by about 6 % (one standard deviation)."""
_MASK: Final = (1 << 64) - 1
_STEP: Final = 0x9E3779B97F4A7C15
"""An odd number, so that keys plus its multiples are all different (2^64 by the golden ratio)."""


class RingHash:
    """Chooses by a key of the call; by a random one if it has none (gRFC A76).

    With `balance_factor`, an endpoint with more calls than this percentage of the mean gets no
    more (consistent hashing with bounded loads, arXiv 1608.01350). Its keys jump to random
    places of the ring (arXiv 1908.08762): the next endpoint alone would be overloaded by them.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        random: Random,
        *,
        ring_size: int = 4096,
        balance_factor: int | None = None,
    ) -> None:
        self._candidates = candidates
        self._random = random
        self._balance_factor = balance_factor
        points = sorted(_points(candidates, ring_size))
        self._hashes = [place for place, _ in points]
        self._owners = [index for _, index in points]

    def pick(self) -> int:
        """The index of a random candidate, in proportion to the weights."""
        return self.pick_for(self._random.getrandbits(64))

    def pick_for(self, key: int, tried: Container[int] = ()) -> int:
        """The index of the candidate for a key of 64 bits; of one that is not in `tried`, unless
        all are."""
        index = self._after(key, tried)
        if self._balance_factor is None:
            return index
        load = sum([one.in_flight for one in self._candidates]) + 1
        most = load * self._balance_factor / (100 * len(self._candidates))
        for _ in self._candidates:
            if self._candidates[index].in_flight < most:
                return index
            key = (key + _STEP) & _MASK
            index = self._after(xxh64_intdigest(key.to_bytes(8, "big")), tried)
        # Few have room, and no jump met one: at least one is below the mean.
        without = {
            index
            for index, one in enumerate(self._candidates)
            if one.in_flight >= most or index in tried
        }
        return self._after(key, without if len(without) < len(self._candidates) else tried)

    def _after(self, key: int, tried: Container[int]) -> int:
        """The owner of the first point at `key` or after it that is not in `tried`."""
        owners = self._owners
        start = bisect_left(self._hashes, key)
        if start == len(owners):
            start = 0
        if owners[start] not in tried:
            return owners[start]
        for index in (*owners[start:], *owners[:start]):
            if index not in tried:
                return index
        return owners[start]


def _points(candidates: Sequence[Candidate], ring_size: int) -> list[tuple[int, int]]:
    """The points of all candidates, each with the index of its owner.

    The points for a weight are a power of two, as many as there is room for: they change for all
    only when the ring would be too large.
    """
    total = sum(one.endpoint.weight for one in candidates)
    scale = float(MOST_POINTS)
    while scale * total > ring_size:
        scale /= 2
    return [
        (xxh64_intdigest(f"{one.endpoint}_{number}".encode()), index)
        for index, one in enumerate(candidates)
        for number in range(max(1, int(one.endpoint.weight * scale)))
    ]

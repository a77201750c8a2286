"""Chooses of an upstream the endpoints for one process: a subset (gRFC A68), or an order (A62)."""

import math
import os
from collections.abc import Iterable
from random import SystemRandom

from xxhash import xxh64_intdigest

from gateway.upstream.endpoint import Endpoint

_START = SystemRandom().getrandbits(64)


def own_seed() -> int:
    """The seed of this process: it stays, also over a reload, and differs from those of others."""
    # The number of the process: workers that are forked share what was drawn before.
    return xxh64_intdigest(f"{_START}/{os.getpid()}".encode())


def subset(endpoints: Iterable[Endpoint], size: int, seed: int) -> list[Endpoint]:
    """So many endpoints of each priority, in their order.

    They are those with the smallest hashes of address and seed (rendezvous hashing): if one
    endpoint comes or goes, at most one of them changes.
    """
    found = list(endpoints)
    chosen: set[tuple[str, ...]] = set()
    for priority in {one.priority for one in found}:
        level = [one for one in found if one.priority == priority]
        level.sort(key=lambda one: (xxh64_intdigest(str(one).encode(), seed), one.addresses))
        chosen.update(one.addresses for one in level[:size])
    return [one for one in found if one.addresses in chosen]


def shuffled(endpoints: Iterable[Endpoint], seed: int) -> list[Endpoint]:
    """The endpoints in an order by chance, in which the first is each in proportion to its weight.

    As in gRFC A113, by u to the power of 1/weight, but u is a hash of address and seed: so the
    order stays while endpoints come and go.
    """

    def drawn(one: Endpoint) -> float:
        share: float = (xxh64_intdigest(str(one).encode(), seed) + 1) / (1 << 64)
        return math.pow(share, 1 / one.weight)

    return sorted(endpoints, key=drawn, reverse=True)

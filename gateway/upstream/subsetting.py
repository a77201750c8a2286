"""Subsets: the few endpoints of a large upstream to which one process connects (gRFC A68)."""

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

"""The hit rate of stored replies on a Zipf trace, beside those of three algorithms.

Simulators count entries of one size: LRU; S3-FIFO (Yang et al., SOSP 2023); W-TinyLFU (Einziger et
al., ACM TOS 2017) with exact frequencies in place of its sketch, halved like those.
"""

import random
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from itertools import accumulate

import pytest

from gateway.cache.entries import Entry
from gateway.cache.freshness import Times
from gateway.cache.memory import MemoryCache
from gateway.config.cache import CacheOptions

KEYS = 5_000
REQUESTS = 60_000
POINTS = 0.02
TIMES = Times(0.0, 1e9, 1e9, 1e9)


def zipf_trace(seed: int) -> list[int]:
    """Keys of a Zipf distribution (exponent 0.9); each sixth request has a key of its own."""
    chance = random.Random(seed)
    weights = list(accumulate(1 / rank**0.9 for rank in range(1, KEYS + 1)))
    keys = chance.choices(range(KEYS), cum_weights=weights, k=REQUESTS)
    return [KEYS + at if chance.random() < 1 / 6 else key for at, key in enumerate(keys)]


def entry(key: int) -> Entry:
    name = f"{key:06}"
    return Entry(name.encode(), bytes(100), [], [], TIMES, "", ["/" + name])


def of_the_gateway(trace: Sequence[int], places: int) -> int:
    most = places * entry(0).size_bytes
    memory = MemoryCache(CacheOptions(memory_bytes=most, max_entry_bytes=most, principal_share=1.0))
    hits = 0
    for key in trace:
        if memory.get(f"{key:06}".encode(), 1.0) is None:
            memory.put(entry(key))
        else:
            hits += 1
    return hits


def of_lru(trace: Sequence[int], places: int) -> int:
    kept: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for key in trace:
        if key in kept:
            hits += 1
            kept.move_to_end(key)
        else:
            kept[key] = None
            if len(kept) > places:
                kept.popitem(last=False)
    return hits


def of_s3_fifo(trace: Sequence[int], places: int) -> int:
    small_places = max(1, places // 10)
    small: deque[int] = deque()
    main: deque[int] = deque()
    ghost: OrderedDict[int, None] = OrderedDict()
    uses: dict[int, int] = {}
    hits = 0

    def evict() -> None:
        if len(small) > small_places or not main:
            key = small.popleft()
            if uses[key] > 1:
                uses[key] = 0
                main.append(key)
                return
            ghost[key] = None
            if len(ghost) > places - small_places:
                ghost.popitem(last=False)
        else:
            key = main.popleft()
            if uses[key] > 0:
                uses[key] -= 1
                main.append(key)
                return
        del uses[key]

    for key in trace:
        if key in uses:
            hits += 1
            uses[key] = min(3, uses[key] + 1)
            continue
        while len(uses) >= places:
            evict()
        uses[key] = 0
        if key in ghost:
            del ghost[key]
            main.append(key)
        else:
            small.append(key)
    return hits


def of_w_tiny_lfu(trace: Sequence[int], places: int) -> int:
    window_places = max(1, places // 100)
    main_places = places - window_places
    protected_places = main_places * 8 // 10
    window: OrderedDict[int, None] = OrderedDict()
    probation: OrderedDict[int, None] = OrderedDict()
    protected: OrderedDict[int, None] = OrderedDict()
    seen: Counter[int] = Counter()
    hits = 0
    for number, key in enumerate(trace, 1):
        seen[key] = min(15, seen[key] + 1)
        if number % (10 * places) == 0:
            seen = Counter({one: count // 2 for one, count in seen.items() if count > 1})
        if key in window or key in protected:
            hits += 1
            (window if key in window else protected).move_to_end(key)
        elif key in probation:
            hits += 1
            del probation[key]
            protected[key] = None
            if len(protected) > protected_places:
                probation[protected.popitem(last=False)[0]] = None
        else:
            window[key] = None
            if len(window) > window_places:
                candidate = window.popitem(last=False)[0]
                if len(probation) + len(protected) >= main_places:
                    victim = next(iter(probation))
                    if seen[candidate] <= seen[victim]:
                        continue
                    del probation[victim]
                probation[candidate] = None
    return hits


PEERS: tuple[Callable[[Sequence[int], int], int], ...] = (of_lru, of_s3_fifo, of_w_tiny_lfu)


@pytest.mark.parametrize("part", [0.01, 0.1])
@pytest.mark.parametrize("seed", [1, 2])
def test_hit_rate_is_within_two_points_of_the_best(part: float, seed: int) -> None:
    trace, places = zipf_trace(seed), int(KEYS * part)
    best = max(peer(trace, places) for peer in PEERS)
    assert of_lru(trace, places) < best  # the trace can tell them apart
    assert of_the_gateway(trace, places) >= best - POINTS * REQUESTS

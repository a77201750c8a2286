"""The choice of an endpoint: shares and order, with a seeded random source."""

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import pytest

from gateway.config.upstreams import Balance
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.pickers import Picker, policy_of


@dataclass
class Server:
    endpoint: Endpoint
    in_flight: int = 0


def servers(*weights: int) -> list[Server]:
    return [Server(Endpoint((f"10.0.0.{n}:1",), weight)) for n, weight in enumerate(weights)]


def picks(picker: Picker, count: int) -> list[int]:
    return [picker.pick() for _ in range(count)]


def test_round_robin_gives_each_the_same() -> None:
    picker = policy_of(Balance.ROUND_ROBIN, Random(1))(servers(1, 1, 1))
    chosen = picks(picker, 3000)
    assert Counter(chosen) == {0: 1000, 1: 1000, 2: 1000}
    assert all(one != following for one, following in itertools.pairwise(chosen))


def test_processes_that_start_together_do_not_all_begin_with_one_endpoint() -> None:
    make = policy_of(Balance.ROUND_ROBIN, Random(1))
    firsts = Counter(make(servers(1, 1)).pick() for _ in range(100))
    assert max(firsts.values()) <= 60


def test_weights_are_shares_and_the_light_one_never_comes_thrice_in_a_row() -> None:
    picker = policy_of(Balance.ROUND_ROBIN, Random(1))(servers(1, 2, 3))
    chosen = picks(picker, 6000)
    counted = Counter(chosen)
    assert [counted[n] / 1000 for n in range(3)] == pytest.approx([1, 2, 3], rel=0.02)
    runs = [len(list(run)) for index, run in itertools.groupby(chosen) if index == 0]
    assert max(runs) <= 2


def test_pick_first_takes_the_first() -> None:
    assert picks(policy_of(Balance.PICK_FIRST, Random(1))(servers(1, 1)), 3) == [0, 0, 0]


@pytest.mark.parametrize("count", [2, 3, 4, 9])
def test_least_request_evens_out_calls_that_never_end(count: int) -> None:
    all_servers = servers(*[1] * count)
    picker = policy_of(Balance.LEAST_REQUEST, Random(1))(all_servers)
    for _ in range(100 * count):
        all_servers[picker.pick()].in_flight += 1
    loads = [one.in_flight for one in all_servers]
    assert max(loads) - min(loads) <= 6, "two random choices differ by log log n"


def test_least_request_leaves_a_slow_endpoint_alone() -> None:
    slow, fast = servers(1, 1)
    slow.in_flight = 5
    picker = policy_of(Balance.LEAST_REQUEST, Random(1))([slow, fast])
    assert set(picks(picker, 100)) == {1}


def share_of_the_slow(pick: Callable[[Sequence[Server]], int]) -> float:
    """The share of the calls that goes to one of five endpoints, which takes 200 ms instead of 20;
    60 calls a second."""
    all_servers = servers(1, 1, 1, 1, 1)
    ending: list[tuple[float, int]] = []
    counts: Counter[int] = Counter()
    for number in range(20_000):
        now_s = number / 60
        while ending and ending[0][0] <= now_s:
            all_servers[heapq.heappop(ending)[1]].in_flight -= 1
        index = pick(all_servers)
        all_servers[index].in_flight += 1
        heapq.heappush(ending, (now_s + (0.02 if index else 0.2), index))
        counts[index] += 1
    return counts[0] / counts.total()


def test_least_request_gives_a_slow_endpoint_no_more_than_envoy_does() -> None:
    random = Random(1)
    make = policy_of(Balance.LEAST_REQUEST, random)

    def envoys(found: Sequence[Server]) -> int:
        """Of two drawn with replacement, the one with fewer calls; of equal ones, the first."""
        one, other = random.randrange(len(found)), random.randrange(len(found))
        return other if found[other].in_flight < found[one].in_flight else one

    ours, theirs = share_of_the_slow(lambda found: make(found).pick()), share_of_the_slow(envoys)
    assert ours < theirs < 0.12, "of the calls in turns, 0.2"
    assert ours > 0.01, "so the 99th percentile stays that of the slow one"


def test_a_full_scan_finds_the_one_with_the_fewest_calls_and_shares_among_equals() -> None:
    found = servers(1, 1, 1, 1)
    picker = policy_of(Balance.LEAST_REQUEST, Random(1), full_scan=True)(found)
    shares = Counter(picks(picker, 4000))
    assert [shares[n] / 1000 for n in range(4)] == pytest.approx([1] * 4, rel=0.1)
    for one in found:
        one.in_flight = 9
    found[2].in_flight = 8
    assert set(picks(picker, 100)) == {2}
    by_two = policy_of(Balance.LEAST_REQUEST, Random(1))(found)
    assert set(picks(by_two, 100)) == {0, 1, 2, 3}


def test_least_request_without_load_chooses_all() -> None:
    picker = policy_of(Balance.LEAST_REQUEST, Random(1))(servers(1, 1, 1))
    shares = Counter(picks(picker, 3000))
    assert min(shares.values()) > 900


def test_least_request_heeds_weights_and_load() -> None:
    light, heavy = both = servers(1, 3)
    picker = policy_of(Balance.LEAST_REQUEST, Random(1))(both)
    assert Counter(picks(picker, 4000))[1] == pytest.approx(3000, rel=0.02)
    heavy.in_flight = 5
    assert Counter(picks(picker, 3000))[0] == pytest.approx(2000, rel=0.02)
    assert light.in_flight == 0

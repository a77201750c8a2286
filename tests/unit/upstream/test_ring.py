"""Consistent hashing: shares, what moves when endpoints change, and the limit of load."""

from collections import Counter
from dataclasses import dataclass
from random import Random

import pytest
from xxhash import xxh64_intdigest

from gateway.upstream.endpoint import Endpoint
from gateway.upstream.ring import RingHash

KEYS = [xxh64_intdigest(b"user-%d" % number) for number in range(10_000)]


@dataclass
class Server:
    endpoint: Endpoint
    in_flight: int = 0


def servers(count: int, weight: int = 1) -> list[Server]:
    return [Server(Endpoint((f"10.0.0.{number}:1",), weight)) for number in range(count)]


def placed(all_servers: list[Server]) -> list[str]:
    """The address to which each key belongs."""
    ring = RingHash(all_servers, Random(1))
    return [str(all_servers[ring.pick_for(key)].endpoint) for key in KEYS]


@pytest.mark.parametrize("count", [2, 3, 10, 16])
def test_if_an_endpoint_leaves_only_its_keys_move(count: int) -> None:
    all_servers = servers(count)
    before = placed(all_servers)
    gone = all_servers.pop(1)
    after = placed(all_servers)
    moved = {old for old, new in zip(before, after, strict=True) if old != new}
    assert moved == {str(gone.endpoint)}


def test_a_new_endpoint_takes_little_more_than_its_share() -> None:
    before, after = placed(servers(9)), placed(servers(10))
    moved = [new for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {"10.0.0.9:1"}
    assert len(moved) <= 1.5 / 10 * len(KEYS)


def test_the_order_of_an_answer_changes_nothing() -> None:
    assert placed(servers(5)) == placed(servers(5)[::-1])


def test_weights_are_shares() -> None:
    light, heavy = servers(2)
    heavy.endpoint = Endpoint(heavy.endpoint.addresses, 3)
    counted = Counter(placed([light, heavy]))
    assert counted[str(heavy.endpoint)] == pytest.approx(7500, rel=0.1)


def test_shares_differ_little() -> None:
    counted = Counter(placed(servers(4)))
    assert max(counted.values()) < 1.2 * min(counted.values())


def test_a_ring_has_a_limit_and_a_point_for_each() -> None:
    counted = Counter(placed(servers(1000, weight=1_000_000)))
    assert len(counted) > 900
    assert max(counted.values()) < 100


def test_a_call_without_a_key_goes_anywhere() -> None:
    ring = RingHash(servers(3), Random(1))
    assert min(Counter(ring.pick() for _ in range(3000)).values()) > 700


def test_a_repeat_goes_where_the_key_goes_if_the_first_endpoint_leaves() -> None:
    all_servers = servers(3)
    ring = RingHash(all_servers, Random(1))
    for key in KEYS[:200]:
        first = ring.pick_for(key)
        others = [one for index, one in enumerate(all_servers) if index != first]
        second = others[RingHash(others, Random(1)).pick_for(key)]
        assert all_servers[ring.pick_for(key, {first})] is second
    assert ring.pick_for(KEYS[0], {0, 1, 2}) in {0, 1, 2}


@pytest.mark.parametrize("factor", [100, 125, 200])
def test_no_endpoint_has_much_more_than_the_mean(factor: int) -> None:
    all_servers = servers(5)
    ring = RingHash(all_servers, Random(1), balance_factor=factor)
    for calls in range(1, 501):
        chosen = all_servers[ring.pick_for(KEYS[0])]
        chosen.in_flight += 1
        most = -(-calls * factor // (100 * len(all_servers)))  # rounded up
        assert chosen.in_flight <= most


def test_a_key_stays_while_its_endpoint_is_below_the_limit() -> None:
    all_servers = servers(5)
    for one in all_servers:
        one.in_flight = 10
    bounded = RingHash(all_servers, Random(1), balance_factor=150)
    plain = RingHash(all_servers, Random(1))
    assert [bounded.pick_for(key) for key in KEYS] == [plain.pick_for(key) for key in KEYS]


def test_calls_over_the_limit_go_to_different_others() -> None:
    all_servers = servers(5)
    ring = RingHash(all_servers, Random(1), balance_factor=120)
    full = ring.pick_for(KEYS[0])
    own = [key for key in KEYS if ring.pick_for(key) == full]
    all_servers[full].in_flight = 100
    jumps = Counter(ring.pick_for(key) for key in own)
    assert full not in jumps
    assert len(jumps) == 4
    assert [ring.pick_for(key) for key in own] == [ring.pick_for(key) for key in own]

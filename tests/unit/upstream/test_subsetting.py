"""The endpoints of large upstreams that one process takes, by the figures of gRFC A68."""

from collections import Counter
from random import Random

import pytest
from pydantic import ValidationError

from gateway.config.upstreams import Upstream
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.subsetting import own_seed, shuffled, subset

SEEDS = [Random(1).getrandbits(64) + number for number in range(500)]


def endpoints(count: int, priority: int = 0) -> list[Endpoint]:
    return [Endpoint((f"10.{priority}.0.{n}:1",), priority=priority) for n in range(count)]


def test_a_change_of_one_endpoint_changes_one_of_the_subset_at_most() -> None:
    for seed in SEEDS[:50]:
        chosen = set(subset(endpoints(20), 5, seed))
        assert len(chosen) == 5
        for gone in endpoints(20):
            left = set(subset([one for one in endpoints(20) if one != gone], 5, seed))
            assert len(chosen - left) == (gone in chosen)
        assert len(chosen - set(subset(endpoints(21), 5, seed))) <= 1


def test_processes_share_the_endpoints_evenly() -> None:
    counted = Counter(one for seed in SEEDS for one in subset(endpoints(20), 5, seed))
    assert len(counted) == 20
    # The mean is 125, and 4 standard deviations of a binomial distribution 39.
    assert all(86 <= times <= 164 for times in counted.values())


def test_the_order_of_an_answer_has_no_effect_and_few_are_all_taken() -> None:
    found = endpoints(9)
    assert set(subset(found[::-1], 4, 7)) == set(subset(found, 4, 7))
    assert subset(found, 9, 7) == subset(found, 100, 7) == found
    assert subset([], 4, 7) == []


def test_each_priority_has_a_subset() -> None:
    chosen = subset(endpoints(9) + endpoints(9, priority=1), 2, 7)
    assert Counter(one.priority for one in chosen) == {0: 2, 1: 2}


def test_the_seed_of_a_process_stays() -> None:
    assert own_seed() == own_seed()


def test_keys_need_the_same_endpoints_everywhere() -> None:
    settings = {"balance": "ring_hash", "hash": {"by": "principal"}, "subset_size": 3}
    with pytest.raises(ValidationError, match="subset_size: cannot be used with balance: ring"):
        Upstream.model_validate({"target": "localhost:1", **settings})


def test_each_endpoint_is_first_in_proportion_to_its_weight() -> None:
    found = [Endpoint((f"10.0.0.{weight}:1",), weight) for weight in (1, 2, 3)]
    counted = Counter(shuffled(found, seed)[0].weight for seed in SEEDS)
    # Of 500; 4 standard deviations are 33, 42 and 45.
    assert counted[1] == pytest.approx(83, abs=33)
    assert counted[2] == pytest.approx(167, abs=42)
    assert counted[3] == pytest.approx(250, abs=45)


def test_the_order_of_the_others_stays_when_one_goes() -> None:
    for seed in SEEDS[:50]:
        whole = shuffled(endpoints(9), seed)
        for gone in whole:
            left = [one for one in endpoints(9) if one != gone]
            assert shuffled(left, seed) == [one for one in whole if one != gone]


@pytest.mark.parametrize("balance", [None, "round_robin"])
def test_only_the_first_can_be_shuffled(balance: str | None) -> None:
    settings = {"target": "localhost:1", "balance": balance, "shuffle": True}
    with pytest.raises(ValidationError, match="shuffle: has no effect without balance: pick_first"):
        Upstream.model_validate(settings)

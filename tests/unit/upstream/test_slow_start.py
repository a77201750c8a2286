"""Slow start with a clock and a random source of its own, by the figures of Envoy's rule."""

from collections import Counter
from dataclasses import dataclass
from math import inf
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.load_reports import LoadReportOptions
from gateway.config.upstreams import Balance, Upstream
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.load_reports import Loads
from gateway.upstream.pickers import RoundRobin, policy_of
from gateway.upstream.slow_start import SlowStart

WINDOW_S = 60.0


@dataclass
class Server:
    endpoint: Endpoint
    since_s: float = -inf
    in_flight: int = 0


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def servers(clock: Clock, *ages_s: float, weight: int = 1) -> list[Server]:
    return [
        Server(Endpoint((f"10.0.0.{n}:1",), weight), clock.now_s - age)
        for n, age in enumerate(ages_s)
    ]


def rule(clock: Clock, aggression: float = 1.0, least: float = 0.1) -> SlowStart:
    return SlowStart(WINDOW_S, aggression, least, clock)


@pytest.mark.parametrize(
    ("aggression", "age_s", "factor"),
    [
        (1.0, 0, 0.1),
        (1.0, 3, 0.1),
        (1.0, 15, 0.25),
        (1.0, 30, 0.5),
        (1.0, 60, 1.0),
        (1.0, inf, 1.0),
        (1.0, -inf, 0.1),
        (2.0, 15, 0.5),
        (0.5, 30, 0.25),
    ],
)
def test_the_weight_grows_with_the_age(aggression: float, age_s: float, factor: float) -> None:
    clock = Clock()
    (one,) = servers(clock, age_s)
    assert rule(clock, aggression).factor(one, clock.now_s) == pytest.approx(factor)


@pytest.mark.parametrize("balance", [Balance.ROUND_ROBIN, Balance.LEAST_REQUEST])
def test_shares_grow_and_end_with_the_policy_itself(balance: Balance) -> None:
    clock, random = Clock(), Random(1)
    plain = policy_of(balance, random)
    by_load = balance is Balance.LEAST_REQUEST
    make = rule(clock).policy(plain, random, by_load=by_load)
    picker = make(servers(clock, inf, inf, 0))
    shares = []
    for _ in range(6):  # ten seconds each, at 100 calls a second
        counted: Counter[int] = Counter()
        for _ in range(1000):
            counted[picker.pick()] += 1
            clock.now_s += 0.01
        shares.append(counted[2] / counted[0])
        assert counted[0] == pytest.approx(counted[1], abs=2)
    assert shares == pytest.approx([0.12, 0.25, 0.42, 0.58, 0.75, 0.92], abs=0.04)
    clock.now_s += 1
    if not by_load:
        assert [Counter(picker.pick() for _ in range(3000))[n] for n in range(3)] == [1000] * 3


def test_one_that_starts_is_tried_in_its_window_and_the_others_do_not_surge() -> None:
    for seed in range(50):
        clock, random = Clock(), Random(seed)
        plain = policy_of(Balance.ROUND_ROBIN, random)
        picker = rule(clock).policy(plain, random, by_load=False)(servers(clock, inf, inf, inf, 0))
        chosen = []
        for _ in range(100):  # few calls: 100 in the window
            chosen.append(picker.pick())
            clock.now_s += WINDOW_S / 100
        assert chosen.count(3) >= 1
        counted = Counter(chosen[:30])
        assert max(counted[n] for n in range(3)) - min(counted[n] for n in range(3)) <= 2


def test_the_static_weights_count_too() -> None:
    clock, random = Clock(), Random(1)
    old, new = servers(clock, inf, 0)
    new.endpoint = Endpoint(("10.0.0.9:1",), 4)
    picker = rule(clock, least=0.5).policy(
        policy_of(Balance.ROUND_ROBIN, random), random, by_load=False
    )([old, new])
    assert Counter(picker.pick() for _ in range(3000))[1] == pytest.approx(2000, abs=3)


def test_nothing_is_added_where_none_starts() -> None:
    clock, random = Clock(), Random(1)
    make = rule(clock).policy(policy_of(Balance.ROUND_ROBIN, random), random, by_load=False)
    assert isinstance(make(servers(clock, inf, inf)), RoundRobin)


def test_weights_by_load_grow_with_each_update() -> None:
    clock = Clock()
    options = LoadReportOptions(blackout_period_s=0)
    loads = Loads(options, Random(1))
    loads.slow_start = rule(clock)
    old, new = servers(clock, inf, 0)
    for one in (old, new):
        loads.add(one.endpoint.addresses).report(100.0, clock.now_s)
    loads.update(clock.now_s)
    picker = loads.picker([old, new])
    picker.pick()
    shares = []
    for _ in range(4):
        clock.now_s += 20
        loads.update(clock.now_s)
        counted = Counter(picker.pick() for _ in range(1000))
        shares.append(counted[1] / counted[0])
    assert shares == pytest.approx([1 / 3, 2 / 3, 1, 1], abs=0.02)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"slow_start_s": 30, "balance": "pick_first"}, "slow_start_s: has no effect"),
        ({"slow_start_aggression": 2}, "slow_start_aggression: has no effect without"),
        ({"slow_start_s": 30, "channel": "grpcio"}, "slow_start_s: is for channel: http2"),
    ],
)
def test_settings_without_effect_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        Upstream.model_validate({"target": "localhost:1", **settings})

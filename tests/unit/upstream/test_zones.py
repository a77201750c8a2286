"""Calls stay in their zone as far as its endpoints can take them: the rule, and a simulation."""

from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.targets import ForceLocal, ZoneOptions
from gateway.config.upstreams import Balance, Upstream
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.pickers import policy_of
from gateway.upstream.zones import Zones


@dataclass
class Server:
    endpoint: Endpoint
    in_flight: int = 0


def servers(**counts: int) -> list[Server]:
    """So many servers of weight 1 in each zone."""
    return [
        Server(Endpoint((f"{zone}-{number}:1",), zone=zone))
        for zone, count in counts.items()
        for number in range(count)
    ]


def shares(
    usable: list[Server], known: list[Server], zone: str = "a", **options: Any
) -> dict[str, float]:
    rule = Zones(zone, ZoneOptions(**options), Random(1))
    return dict(rule.shares([one.endpoint for one in known], usable))


@pytest.mark.parametrize(
    ("usable", "expected"),
    [
        ({"a": 3, "b": 3}, {"a": 1.0}),
        ({"a": 5, "b": 3}, {"a": 1.0}),
        # 2 of 5 are here, and half of the gateways: 0.4 / 0.5.
        ({"a": 2, "b": 3}, {"a": 0.8, "b": 0.2}),
        ({"a": 1, "b": 3}, {"a": 0.5, "b": 0.5}),
        ({"b": 3}, {}),
        ({"a": 1}, {"a": 1.0}),
        # An even part is 3: b has 1 above it, and c has 2.
        ({"a": 0, "b": 4, "c": 5}, {}),
        ({"a": 1, "b": 5, "c": 6}, {"a": 0.25, "b": 0.75 / 3, "c": 0.75 * 2 / 3}),
        # c has less than its part too, so nothing is added to it.
        ({"a": 1, "b": 6, "c": 2}, {"a": 1 / 3, "b": 2 / 3}),
    ],
)
def test_a_zone_keeps_what_its_endpoints_can_take(
    usable: dict[str, int], expected: dict[str, float]
) -> None:
    known = servers(**(dict.fromkeys(usable, 6) | ({} if "c" in usable else {"a": 6, "b": 6})))
    assert shares(servers(**usable), known) == pytest.approx(expected)


def test_weights_are_capacity() -> None:
    large = [Server(Endpoint(("a-0:1",), weight=3, zone="a"))]
    others = servers(b=3)
    assert shares([*large, *others], [*servers(a=3), *others]) == {"a": 1.0}
    half = [Server(Endpoint(("a-0:1",), weight=1, zone="a"))]
    assert shares([*half, *others], [*servers(a=3), *others]) == pytest.approx({"a": 0.5, "b": 0.5})


def test_few_endpoints_are_chosen_alike() -> None:
    five, six = servers(a=3, b=2), servers(a=3, b=3)
    assert shares(five, five) == {}
    assert shares(six, six) == {"a": 1.0}
    assert shares(five, six) == {"a": 1.0}, "the number that is known counts, well or not"
    assert shares(five, five, min_endpoints=5) == {"a": 1.0}


def test_all_calls_can_be_kept() -> None:
    usable = servers(a=1, b=3)
    assert shares(usable, usable, force_local=ForceLocal()) == {"a": 1.0}
    assert shares(usable, usable, force_local=ForceLocal(min=2)) == {}
    assert shares(servers(b=3), usable, force_local=ForceLocal()) == {}


@pytest.mark.parametrize("balance", [Balance.ROUND_ROBIN, Balance.LEAST_REQUEST])
@pytest.mark.parametrize(
    "counts", [{"a": 3, "b": 3}, {"a": 2, "b": 4, "c": 5}, {"a": 1, "b": 2, "c": 7}]
)
def test_gateways_in_all_zones_keep_all_servers_equally_busy(
    balance: Balance, counts: dict[str, int]
) -> None:
    """The gateways of each zone make as many calls, each of which ends after ten others began."""
    everyone = servers(**counts)
    known = [one.endpoint for one in everyone]
    random = Random(5)
    counted: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    pickers = {}
    for zone in counts:
        rule = Zones(zone, ZoneOptions(), random)
        found = rule.shares(known, everyone)
        pickers[zone] = rule.picker(found, everyone, policy_of(balance, random))
    under_way: list[Server] = []
    for _ in range(10_000):
        for zone, picker in pickers.items():
            chosen = everyone[picker.pick()]
            chosen.in_flight += 1
            under_way.append(chosen)
            counted[str(chosen.endpoint)] += 1
            kept[zone] += chosen.endpoint.zone == zone
            if len(under_way) > 10:
                under_way.pop(0).in_flight -= 1
    mean = counted.total() / len(everyone)
    assert set(counted) == {str(one) for one in known}
    assert all(times == pytest.approx(mean, rel=0.06) for times in counted.values())
    even = len(everyone) / len(counts)
    for zone, count in counts.items():
        assert kept[zone] / 10_000 == pytest.approx(min(1, count / even), abs=0.02)


ZONED = [{"address": "10.0.0.1:1", "zone": "a"}, {"address": "10.0.0.2:1", "zone": "b"}]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"targets": [*ZONED, {"address": "10.0.0.3:1"}]}, r"targets\[2\]\.zone: expected a zone"),
        ({"targets": ZONED, "balance": "pick_first"}, r"zone: has no effect with balance: pick_f"),
        (
            {"targets": ZONED, "balance": "ring_hash", "hash": {"by": "principal"}},
            r"targets\[0\]\.zone: has no effect with balance: ring_hash",
        ),
        ({"targets": ZONED, "subset_size": 1}, "subset_size: cannot be used with zones"),
        ({"target": "library:1", "zones": {}}, "zones: has no effect without a zone in targets"),
        ({"targets": [ZONED[0] | {"zone": "a b"}]}, "expected the name of a zone"),
        ({"targets": [ZONED[0] | {"zone": ""}]}, "expected the name of a zone"),
        ({"targets": ZONED, "zones": {"force_local": {"min": 0}}}, "greater than or equal to 1"),
        ({"target": "x:1", "channel": "grpcio", "zones": {}}, "zones: is for channel: http2"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        Upstream.model_validate(settings)

"""Zones with real servers: calls stay near, spill over as servers fail, and come back."""

import asyncio
import logging
from collections import Counter

import pytest

from gateway.config.upstreams import Upstream
from gateway.upstream.balancing import Balancing
from gateway.upstream.channels.channel import Channel
from gateway.upstream.pool import open_pool
from tests.support.balanced import names, safe, servers
from tests.support.polling import first

ALL_ALIKE = "upstream library: calls go to all zones alike, not first to zone near, at priority 0"


async def until_only(channel: Channel, expected: set[bytes]) -> None:
    async with asyncio.timeout(10):
        while set(await names(channel, 6 * len(expected))) != expected:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("balance", ["round_robin", "least_request", "weighted_round_robin"])
async def test_calls_stay_near_spill_over_and_come_back(
    balance: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.upstream")
    async with servers(6) as running:
        near, far = running[:3], running[3:]
        targets = [
            {"address": one.target, "zone": "near" if one in near else "far"} for one in running
        ]
        upstream = Upstream.model_validate({"targets": targets, "balance": balance})
        async with open_pool({"library": upstream}, Balancing(zone="near")) as pool:
            channel = pool["library"]
            await until_only(channel, {one.name for one in near})
            assert {one.name for one in near} >= set(await names(channel, 60))
            await near[0].kill()
            # Two of five are near, and half of the gateways: they keep 80 %.
            await until_only(channel, {one.name for one in [*near[1:], *far]})
            counted = Counter(await names(channel, 500))
            kept = sum(counted[one.name] for one in near)
            assert kept == pytest.approx(400, abs=40)
            for one in near[1:]:
                await one.kill()
            await channel.call(safe("Name"), b"", [], 5)
            await until_only(channel, {one.name for one in far})
            # An endpoint that was never dialled again in the meantime does not count as down.
            await first(lambda: names(channel, 6), lambda _: _said(caplog)[-1] == ALL_ALIKE)
            for one in near:
                await one.restart()
            await until_only(channel, {one.name for one in near})
    events = _said(caplog)
    assert events[0] == "upstream library: 100 % of the calls stay in zone near, at priority 0"
    assert "upstream library: 80 % of the calls stay in zone near, at priority 0" in events


def _said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The events about zones so far."""
    zone = "gateway.upstream.zone"
    of_zones = [one for one in caplog.records if getattr(one, "gateway_event", "") == zone]
    return [one.getMessage() for one in of_zones]


async def test_a_repeat_stays_near_too() -> None:
    async with servers(6) as running:
        targets = [
            {"address": one.target, "zone": "near" if n < 3 else "far"}
            for n, one in enumerate(running)
        ]
        upstream = Upstream.model_validate(
            {"targets": targets, "zones": {"force_local": {}}, "outlier": None}
        )
        async with open_pool({"library": upstream}, Balancing(zone="near")) as pool:
            channel = pool["library"]
            await until_only(channel, {one.name for one in running[:3]})
            await running[0].kill()
            found = [(await channel.call(safe("Name"), b"", [], 5)).message for _ in range(60)]
            assert set(found) == {one.name for one in running[1:3]}
            assert sum(one.calls for one in running[3:]) == 0


async def test_a_gateway_without_a_zone_takes_all_alike() -> None:
    async with servers(6) as running:
        targets = [{"address": one.target, "zone": f"z{n % 2}"} for n, one in enumerate(running)]
        upstream = Upstream.model_validate({"targets": targets})
        for balancing in (Balancing(), Balancing(zone="elsewhere")):
            async with open_pool({"library": upstream}, balancing) as pool:
                await until_only(pool["library"], {one.name for one in running})

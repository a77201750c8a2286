"""Priorities with real servers: the second level takes over, and gives back."""

import asyncio
import logging
from collections import Counter

import pytest

from gateway.config.upstreams import Upstream
from gateway.upstream.channels.channel import Channel
from gateway.upstream.pool import open_pool
from tests.support.balanced import names, safe, servers


async def until_only(channel: Channel, expected: set[bytes]) -> None:
    async with asyncio.timeout(10):
        while set(await names(channel, 12)) != expected:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_the_second_level_takes_over_and_gives_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "gateway.upstream")
    async with servers(3) as (one, two, far):
        targets = [
            {"address": far.target, "priority": 1},
            {"address": one.target},
            {"address": two.target},
        ]
        upstream = Upstream.model_validate({"targets": targets})
        async with open_pool({"library": upstream}) as pool:
            channel = pool["library"]
            await until_only(channel, {one.name, two.name})
            assert far.calls == 0, "a level that connects for the first time keeps its calls"
            await one.kill()
            # Half of the first level is well: it takes 70 %.
            await channel.call(safe("Name"), b"", [], 5)
            async with asyncio.timeout(10):
                while far.calls == 0:
                    await channel.call(safe("Name"), b"", [], 5)
            counted = Counter(await names(channel, 400))
            assert counted[far.name] == pytest.approx(120, abs=45)
            await two.kill()
            await channel.call(safe("Name"), b"", [], 5)
            await until_only(channel, {far.name})
            await one.restart()
            await two.restart()
            await until_only(channel, {one.name, two.name})
    events = [getattr(record, "gateway_event", "") for record in caplog.records]
    assert events.count("gateway.upstream.priorities") >= 3

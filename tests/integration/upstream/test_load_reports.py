"""`balance: weighted_round_robin` with real servers that report their load."""

import asyncio
import logging
from collections import Counter
from typing import Any

import pytest

from gateway.transcoding.metadata import NOT_HEADERS
from gateway.upstream.channels.channel import Channel
from gateway.upstream.reporting import TRAILER
from tests.support.balanced import balanced, names
from tests.support.grpc_backend import method
from tests.support.load_reports import number

QUICK: dict[str, Any] = {
    "balance": "weighted_round_robin",
    "weighted_round_robin": {"blackout_period_s": 0, "weight_update_period_s": 0.1},
}


async def until_shares(channel: Channel, heavy: bytes, share: float) -> None:
    """Waits until `heavy` answers this share of the calls."""
    async with asyncio.timeout(10):
        while Counter(await names(channel, 40))[heavy] != pytest.approx(40 * share, abs=2):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_calls_go_where_there_is_room() -> None:
    async with balanced(2, **QUICK) as ((busy, idle), channel):
        busy.load_report = number(9, 0.9) + number(6, 100)
        idle.load_report = number(9, 0.3) + number(6, 100)
        await until_shares(channel, idle.name, 0.75)
        busy.load_report = number(9, 0.1) + number(6, 100)
        await until_shares(channel, idle.name, 0.25)


async def test_reports_of_streams_count() -> None:
    stream = method("Names", server_streaming=True)
    async with balanced(2, **QUICK) as ((busy, idle), channel):
        busy.load_report = number(1, 0.9) + number(6, 100)
        idle.load_report = number(1, 0.3) + number(6, 100)
        for _ in range(4):
            reply = await channel.call(stream, b"", [], 5)
            assert reply.messages is not None
            assert len([one async for one in reply.messages]) == 3
        busy.load_report = idle.load_report = b""
        await until_shares(channel, idle.name, 0.75)


async def test_a_hostile_report_is_ignored_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "gateway.upstream"):
        async with balanced(2, **QUICK) as (both, channel):
            for one in both:
                one.load_report = b"\xff" * 5000
            assert set(Counter(await names(channel, 20)).values()) == {10}
    events = [getattr(one, "gateway_event", "") for one in caplog.records]
    assert events.count("gateway.upstream.load_report_ignored") == 2


def test_clients_do_not_see_reports() -> None:
    assert TRAILER in NOT_HEADERS

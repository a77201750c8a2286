"""`balance: weighted_round_robin` with real servers that report their load."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc
import pytest

from gateway.transcoding.metadata import NOT_HEADERS
from gateway.transcoding.wire import varint
from gateway.upstream.channels.channel import Channel
from gateway.upstream.interfaces import UpstreamChannel
from gateway.upstream.reporting import TRAILER
from tests.support.balanced import balanced, names
from tests.support.grpc_backend import method
from tests.support.load_reports import number
from tests.support.polling import until

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


class Streams:
    """The service OpenRcaService of a real server, written by hand as bytes."""

    def __init__(self) -> None:
        self.report = b""
        self.asked: list[bytes] = []
        self.open = 0
        handlers: dict[str, Any] = {
            "StreamCoreMetrics": grpc.unary_stream_rpc_method_handler(self._stream)
        }
        service = "xds.service.orca.v3.OpenRcaService"
        self.handler = grpc.method_handlers_generic_handler(service, handlers)

    async def _stream(self, request: bytes, _context: Any) -> AsyncIterator[bytes]:
        self.asked.append(request)
        self.open += 1
        try:
            while not self.report:  # noqa: ASYNC110 - the test sets it
                await asyncio.sleep(0.02)
            yield self.report
            await asyncio.Event().wait()
        finally:
            self.open -= 1


def out_of_band(**more: Any) -> dict[str, Any]:
    options = QUICK["weighted_round_robin"] | {"enable_oob_load_report": True} | more
    return QUICK | {"weighted_round_robin": options}


async def test_endpoints_send_reports_apart_from_calls_and_those_of_calls_do_not_count() -> None:
    serves: Any = Streams
    async with balanced(2, serves, **out_of_band(oob_reporting_period_s=2.5)) as (both, channel):
        (busy, idle), streams = both, [cast("Streams", one.health) for one in both]
        # What calls say is the opposite.
        busy.load_report = number(9, 0.1) + number(6, 100)
        idle.load_report = number(9, 0.9) + number(6, 100)
        streams[0].report = number(9, 0.9) + number(6, 100)
        streams[1].report = number(9, 0.3) + number(6, 100)
        await until_shares(channel, idle.name, 0.75)
        await names(channel, 40)
        await until_shares(channel, idle.name, 0.75)
        interval = b"\x08\x02\x10" + varint(500_000_000)
        asked = b"\x0a" + varint(len(interval)) + interval
        assert [one.asked for one in streams] == [[asked], [asked]]
        assert isinstance(channel, UpstreamChannel)
        assert [one.in_flight for one in channel.report()] == [0, 0]
        await busy.kill()
        await until(lambda: streams[0].open == 0)
        await busy.restart()
        await until(lambda: len(streams[0].asked) == 2)
        await until_shares(channel, idle.name, 0.75)
    await until(lambda: [one.open for one in streams] == [0, 0])


async def test_an_endpoint_without_the_stream_is_told_by_its_calls_and_the_log_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "gateway.upstream"):
        async with balanced(2, **out_of_band()) as ((busy, idle), channel):
            busy.load_report = number(9, 0.9) + number(6, 100)
            idle.load_report = number(9, 0.3) + number(6, 100)
            await until_shares(channel, idle.name, 0.75)
    events = [getattr(one, "gateway_event", "") for one in caplog.records]
    assert events.count("gateway.upstream.no_load_stream") == 2

"""Endpoints whose calls fail: real servers that answer with errors, are left out, and come back."""

import asyncio
import logging
from typing import Any

import grpc
import pytest

from gateway.http2 import frames
from gateway.http2.frames import ErrorCode
from gateway.status import Code, StatusError
from gateway.upstream.channels.channel import Channel
from gateway.upstream.interfaces import UpstreamChannel
from tests.support import http2_peer as peer
from tests.support.balanced import balanced, channel_to, names, servers, states
from tests.support.calls import failure
from tests.support.grpc_backend import method
from tests.support.health import Health
from tests.support.http2_server import Scripted
from tests.support.polling import until

QUICK = {"interval_s": 0.1, "base_ejection_time_s": 0.3}


async def many(channel: Channel, count: int, timeout_s: float = 5) -> list[bytes | Code]:
    """The answers to so many calls: the name of the server, or the code of the failure."""
    answers: list[bytes | Code] = []
    for _ in range(count):
        try:
            answers.append((await channel.call(method("Name"), b"", [], timeout_s)).message)
        except StatusError as error:
            answers.append(error.code)
    return answers


async def test_calls_avoid_a_server_that_fails_and_return_when_it_is_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "gateway.upstream")
    async with balanced(3, outlier=QUICK) as (servers, channel):
        bad, *good = servers
        bad.fails_with = grpc.StatusCode.UNAVAILABLE
        answers = await many(channel, 30)
        assert answers.count(Code.UNAVAILABLE) == 5, "then it is ejected"
        assert set(answers) == {Code.UNAVAILABLE, *(one.name for one in good)}
        assert states(channel)[bad.target] == ("ejected", "5 failures in a row")
        bad.fails_with = None
        await until(lambda: states(channel)[bad.target] == ("ready", ""))
        assert set(await names(channel, 6)) == {one.name for one in servers}
    events = [getattr(one, "gateway_event", "") for one in caplog.records]
    assert events.count("gateway.upstream.endpoint_ejected") == 1
    assert events.count("gateway.upstream.endpoint_restored") == 1
    assert "gets no calls for 0.3 s: 5 failures in a row" in caplog.text


async def test_a_server_that_still_fails_is_left_out_after_its_first_call() -> None:
    async with balanced(3, outlier=QUICK) as ((bad, *_), channel):
        bad.fails_with = grpc.StatusCode.UNAVAILABLE
        assert await failures_until_ejected(channel, bad.target) == 5
        await until(lambda: states(channel)[bad.target][0] == "ready")
        assert await failures_until_ejected(channel, bad.target) == 1


async def failures_until_ejected(channel: Channel, target: str) -> int:
    """Calls one after another until a server is left out; the number of those that failed."""
    failures = 0
    async with asyncio.timeout(20):
        while states(channel)[target][0] != "ejected":
            failures += (await many(channel, 1)).count(Code.UNAVAILABLE)
    return failures


async def test_sweeps_compare_the_servers() -> None:
    rule = {"minimum_hosts": 3, "request_volume": 5}
    outlier = {**QUICK, "consecutive": None, "failure_percentage_ejection": rule}
    async with balanced(3, outlier=outlier) as ((bad, *_), channel):
        bad.fails_with = grpc.StatusCode.UNAVAILABLE
        async with asyncio.timeout(20):
            while states(channel)[bad.target][0] != "ejected":
                await many(channel, 30)


@pytest.mark.parametrize(
    ("status", "outlier", "is_ejected"),
    [
        (grpc.StatusCode.NOT_FOUND, {}, False),
        (grpc.StatusCode.INTERNAL, {}, False),
        (grpc.StatusCode.INTERNAL, {"codes": ["INTERNAL"]}, True),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, {"codes": ["RESOURCE_EXHAUSTED"]}, True),
        (grpc.StatusCode.UNAVAILABLE, {"codes": ["INTERNAL"]}, False),
        (grpc.StatusCode.DEADLINE_EXCEEDED, {}, True),
    ],
)
async def test_only_statuses_that_are_the_fault_of_a_server_count(
    status: grpc.StatusCode, outlier: dict[str, Any], is_ejected: bool
) -> None:
    async with balanced(2, outlier=outlier) as ((bad, _), channel):
        bad.fails_with = status
        await many(channel, 20)
        assert (states(channel)[bad.target][0] == "ejected") is is_ejected


async def test_clients_with_short_deadlines_eject_nobody() -> None:
    async with balanced(2, outlier={"consecutive": 1}) as (servers, channel):
        for one in servers:
            one.pause()
        answers = await asyncio.gather(*(many(channel, 1, 0.001) for _ in range(1000)))
        assert {code for (code,) in answers} == {Code.DEADLINE_EXCEEDED}
        assert {state for state, _ in states(channel).values()} == {"ready"}


async def test_clients_that_go_away_eject_nobody() -> None:
    async with balanced(2, outlier={"consecutive": 1}) as (servers, channel):
        for one in servers:
            one.pause()
        calls = [asyncio.ensure_future(many(channel, 1)) for _ in range(20)]
        await until(lambda: sum(one.waiting for one in servers) == 20)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert {state for state, _ in states(channel).values()} == {"ready"}


async def test_streams_count_at_their_end() -> None:
    stream = method("Names", server_streaming=True)
    async with balanced(2, outlier={"consecutive": 1}) as ((bad, good), channel):
        for _ in range(4):
            reply = await channel.call(stream, b"", [], 5)
            assert reply.messages is not None
            assert len({message async for message in reply.messages}) == 1
        assert {state for state, _ in states(channel).values()} == {"ready"}
        bad.fails_with = grpc.StatusCode.UNAVAILABLE
        for _ in range(2):
            try:
                reply = await channel.call(stream, b"", [], 5)
            except StatusError:
                continue
            assert reply.messages is not None
            await reply.messages.aclose()
        assert states(channel)[bad.target][0] == "ejected"
        assert states(channel)[good.target][0] == "ready"


async def test_in_a_panic_ejected_servers_get_calls(caplog: pytest.LogCaptureFixture) -> None:
    outlier = {"consecutive": 1, "max_ejection_percent": 100}
    async with balanced(3, outlier=outlier) as ((one, two, three), channel):
        for bad in (one, two):
            bad.fails_with = grpc.StatusCode.UNAVAILABLE
        answers = await many(channel, 30)
        assert answers.count(three.name) == pytest.approx(10, abs=3)
        assert isinstance(channel, UpstreamChannel)
        assert channel.panics()
        assert {state for state, _ in states(channel).values()} == {"ejected", "ready"}
    events = [getattr(record, "gateway_event", "") for record in caplog.records]
    assert events.count("gateway.upstream.panic") == 1


async def test_without_panic_only_the_well_get_calls() -> None:
    outlier = {"consecutive": 1, "max_ejection_percent": 100}
    async with balanced(3, outlier=outlier, panic_percent=0) as ((one, two, three), channel):
        for bad in (one, two):
            bad.fails_with = grpc.StatusCode.UNAVAILABLE
        answers = await many(channel, 30)
        assert answers.count(three.name) == 28
        assert isinstance(channel, UpstreamChannel)
        assert not channel.panics()


async def test_the_only_server_is_never_ejected() -> None:
    async with balanced(1, outlier={"consecutive": 1}) as ((only,), channel):
        only.fails_with = grpc.StatusCode.UNAVAILABLE
        assert await many(channel, 5) == [Code.UNAVAILABLE] * 5
        only.fails_with = None
        assert await names(channel, 1) == [only.name]
        error = await failure(channel.call(method("Missing"), b"", [], 5))
        assert error.code is Code.UNIMPLEMENTED


async def test_a_passed_health_check_ends_an_ejection() -> None:
    settings = {"outlier": {"consecutive": 1}, "health": {"watch": False, "interval_s": 0.2}}
    async with balanced(2, Health, **settings) as ((bad, _), channel):
        bad.fails_with = grpc.StatusCode.UNAVAILABLE
        await many(channel, 4)
        bad.fails_with = None
        await until(lambda: states(channel)[bad.target][0] == "ready")


async def test_calls_that_a_server_refuses_eject_nobody() -> None:
    def refuse(stream_id: int) -> bytes:
        code = ErrorCode.REFUSED_STREAM.to_bytes(4, "big")
        return peer.frame(frames.RST_STREAM, 0, stream_id, code)

    odd = Scripted(refuse)
    async with (
        servers(1) as (good,),
        odd.running() as target,
        channel_to([target, good.target], outlier={"consecutive": 2}) as channel,
    ):
        async with asyncio.timeout(20):
            while odd.calls < 6:
                assert await names(channel, 1) == [good.name]
        assert states(channel)[target] == ("ready", "")


async def test_connections_that_are_lost_count_as_failures() -> None:
    odd = Scripted(lambda _: odd.writers[-1].close() or b"")  # type: ignore[func-returns-value]
    async with (
        servers(1) as (good,),
        odd.running() as target,
        channel_to([target, good.target], outlier={"consecutive": 2}) as channel,
    ):
        async with asyncio.timeout(20):
            while states(channel)[target] != ("ejected", "2 failures in a row"):
                await many(channel, 1)
        assert odd.calls == 2

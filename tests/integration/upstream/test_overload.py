"""More calls than an upstream may have: those too many fail at once, and are never sent."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from gateway.config.overload import AdaptiveOptions
from gateway.http2 import frames
from gateway.status import Code, StatusError
from gateway.upstream.channels.channel import Channel
from gateway.upstream.fullness import Fullness
from gateway.upstream.gradient import Gradient
from gateway.upstream.interfaces import UpstreamChannel
from gateway.upstream.limiting import LimitedChannel
from tests.support import http2_peer as peer
from tests.support.balanced import balanced, channel_to, safe, servers
from tests.support.calls import failure, sent
from tests.support.grpc_backend import SERVICE, method
from tests.support.http2_server import Scripted
from tests.support.polling import until

NAME = method("Name")
NAMES = method("Names", server_streaming=True)


def reason(error: StatusError) -> str:
    info = ErrorInfo()
    assert any(detail.Unpack(info) for detail in error.details)
    assert info.metadata == {"upstream": "library"}
    return str(info.reason)


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return dict(getattr(record, "gateway_fields", {}))


def under_way(channel: Channel) -> int:
    assert isinstance(channel, LimitedChannel)
    return channel.under_way


async def test_a_call_above_the_limit_fails_at_once_and_is_never_sent() -> None:
    async with balanced(2, max_requests=3) as (servers, channel):
        for one in servers:
            one.calls = 0
            one.pause()
        calls = [asyncio.ensure_future(channel.call(NAME, b"", [], 20)) for _ in range(3)]
        await until(lambda: sum(one.waiting for one in servers) == 3)
        for request in (b"", sent(b"")):
            called = (
                safe("Name")
                if isinstance(request, bytes)
                else method("Collect", client_streaming=True)
            )
            error = await asyncio.wait_for(failure(channel.call(called, request, [], 20)), 10)
            assert (error.code, error.http_status) == (Code.UNAVAILABLE, 503)
            assert reason(error) == "UPSTREAM_OVERLOADED"
            assert dict(error.headers)["Retry-After"] == "1"
        for one in servers:
            one.go_on()
        assert len({reply.message for reply in await asyncio.gather(*calls)}) == 2
        assert sum(one.calls for one in servers) == 3
        assert (await channel.call(NAME, b"", [], 5)).message


@asynccontextmanager
async def held_and_free(**settings: Any) -> AsyncIterator[tuple[Scripted, Channel]]:
    """A server that holds its calls, one on each connection, and one that answers; and the channel,
    which has connected to both."""
    one = (3).to_bytes(2, "big") + (1).to_bytes(4, "big")  # MAX_CONCURRENT_STREAMS
    held = Scripted(lambda _: b"", greeting=peer.frame(frames.SETTINGS, 0, 0, one))
    async with (
        servers(1) as (free,),
        held.running() as target,
        channel_to([target, free.target], **settings) as channel,
    ):
        assert isinstance(channel, UpstreamChannel)
        await channel.connect(5)
        await until(lambda: {one.state for one in channel.report()} == {"ready"})
        yield held, channel


async def held_calls(channel: Channel, held: Scripted, count: int) -> list[asyncio.Task[Any]]:
    """Calls until so many are held."""
    calls: list[asyncio.Task[Any]] = []
    async with asyncio.timeout(10):
        while held.calls < count:
            # Two at once: while the free server has none, least_request chooses it.
            calls += [asyncio.ensure_future(channel.call(NAME, b"", [], 60)) for _ in range(2)]
            await asyncio.sleep(0.01)
    return calls


@pytest.mark.parametrize("balance", ["round_robin", "least_request"])
async def test_no_call_waits_at_a_full_server_while_another_has_room(balance: str) -> None:
    async with held_and_free(balance=balance, max_connections=1) as (held, channel):
        calls = await held_calls(channel, held, 1)
        # One after the other, so that none waits before the first of them.
        for _ in range(6):
            assert (await channel.call(NAME, b"", [], 60)).message
        calls += [asyncio.ensure_future(channel.call(NAME, b"", [], 60)) for _ in range(20)]
        await until(lambda: sum(not one.done() for one in calls) == 1)
        for call in calls:
            call.cancel()


async def test_one_call_waits_for_another_connection_and_the_next_go_to_another_server() -> None:
    async with held_and_free(max_connections=3) as (held, channel):
        calls = await held_calls(channel, held, 1)
        calls += [asyncio.ensure_future(channel.call(NAME, b"", [], 60)) for _ in range(20)]
        await until(lambda: sum(not one.done() for one in calls) == 2)
        calls += await held_calls(channel, held, 3)
        assert held.connections == 3
        for _ in range(6):
            assert (await channel.call(NAME, b"", [], 60)).message
        for call in calls:
            call.cancel()


async def test_the_log_tells_when_a_limit_begins_and_ends_to_refuse_calls(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "gateway.upstream")
    full = Fullness("library", ["max_requests", "adaptive"], steady_s=0.2)
    for _ in range(3):
        full.refused("max_requests", "has too many calls")
    assert full.refusing() == {"max_requests": True, "adaptive": False}
    await asyncio.sleep(0.1)
    full.refused("max_requests", "has too many calls")
    await until(lambda: not full.refusing()["max_requests"])
    full.refused("max_requests", "has too many calls")
    await until(lambda: not full.refusing()["max_requests"])
    said = [
        (getattr(one, "gateway_event", ""), fields(one).get("gateway.refused"))
        for one in caplog.records
    ]
    begins, ends = "gateway.upstream.full", "gateway.upstream.full_over"
    assert said == [(begins, None), (ends, 4), (begins, None), (ends, 1)]


async def test_a_stream_counts_until_it_ends_or_is_dropped() -> None:
    async with balanced(1, max_requests=1) as (_, channel):
        for is_read in (True, False):
            reply = await channel.call(NAMES, b"", [], 10)
            assert reason(await failure(channel.call(NAME, b"", [], 5))) == "UPSTREAM_OVERLOADED"
            assert reply.messages is not None
            if is_read:
                assert len([one async for one in reply.messages]) == 3
            del reply
            assert (await channel.call(NAME, b"", [], 5)).message


@pytest.mark.parametrize("fails", [False, True], ids=["answered", "failed"])
async def test_no_call_is_counted_for_ever(fails: bool) -> None:
    draws = random.Random(7)
    async with balanced(2, max_requests=1000) as (servers, channel):
        for one in servers:
            one.fails_with = grpc.StatusCode.INTERNAL if fails else None

        async def one_call() -> None:
            called = NAMES if draws.random() < 0.3 else NAME
            with suppress(StatusError, asyncio.CancelledError):
                reply = await channel.call(called, b"", [], 10)
                if reply.messages is not None and draws.random() < 0.5:
                    [_ async for _ in reply.messages]

        tasks = [asyncio.create_task(one_call()) for _ in range(500)]
        for task in tasks:
            await asyncio.sleep(0)
            if draws.random() < 0.5:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await until(lambda: under_way(channel) == 0)


async def test_waiting_calls_are_counted_over_all_endpoints() -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while await reader.read(1000):
                pass
        writer.transport.abort()
        held.release()

    held = asyncio.Semaphore(0)

    silent = [await asyncio.start_server(hold, "127.0.0.1", 0) for _ in range(2)]
    targets = [f"127.0.0.1:{one.sockets[0].getsockname()[1]}" for one in silent]
    async with channel_to(targets, max_pending=3) as channel:
        assert isinstance(channel, UpstreamChannel)
        assert dict(channel.refusing()) == {"max_pending": False}
        calls = [asyncio.create_task(failure(channel.call(NAME, b"", [], 0.6))) for _ in range(5)]
        codes = [(await task) for task in calls]
        assert dict(channel.refusing()) == {"max_pending": True}
    full = [one for one in codes if one.code is Code.UNAVAILABLE]
    assert [reason(one) for one in full] == ["UPSTREAM_OVERLOADED"] * 2
    assert [one.code for one in codes].count(Code.DEADLINE_EXCEEDED) == 3
    for one in silent:
        await asyncio.wait_for(held.acquire(), 10)
        one.close()


@asynccontextmanager
async def one_at_a_time(left_s: list[float]) -> AsyncIterator[str]:
    """A server that takes one call at once, for 0.4 s, and notes the time that each has."""

    async def hold(_: bytes, context: Any) -> bytes:
        left_s.append(context.time_remaining())
        await asyncio.sleep(0.4)
        return b"done"

    server = grpc.aio.server(options=[("grpc.max_concurrent_streams", 1)])
    handlers: dict[str, Any] = {"Name": grpc.unary_unary_rpc_method_handler(hold)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def test_the_back_end_gets_the_time_that_is_left_after_waiting() -> None:
    left_s: list[float] = []
    async with (
        one_at_a_time(left_s) as target,
        channel_to([target], max_connections=1) as channel,
    ):
        started_s = time.monotonic()
        calls = [channel.call(NAME, b"", [], 20) for _ in range(3)]
        await asyncio.gather(*calls)
        assert time.monotonic() - started_s >= 1.2
    first, second, third = left_s
    assert first > second + 0.3 > third + 0.6


async def test_the_limit_follows_the_time_that_calls_take() -> None:
    clock = [0.0]
    gradient = Gradient(AdaptiveOptions(initial=20, min=2, max=40), 0.0)
    async with balanced(1) as ((server,), channel):
        assert isinstance(channel, UpstreamChannel)
        fullness = Fullness("library", ["adaptive"])
        limited = LimitedChannel(
            "library", channel, None, gradient, fullness=fullness, clock=lambda: clock[0]
        )

        async def window(took_s: float) -> None:
            """One window in which as many calls as are allowed take so long, by our clock."""
            server.pause()
            count = limited.limit or 0
            calls = [asyncio.ensure_future(limited.call(NAME, b"", [], 30)) for _ in range(count)]
            await until(lambda: server.waiting == count)
            assert (await failure(limited.call(NAME, b"", [], 5))).code is Code.UNAVAILABLE
            clock[0] += took_s
            server.go_on()
            await asyncio.gather(*calls)

        for _ in range(5):
            await window(1.0)
        grown = limited.limit
        assert grown == 24
        for _ in range(5):
            await window(8.0)
        assert limited.limit is not None
        assert limited.limit < grown

"""Pings to silent peers, on real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.config.upstreams import Upstream
from gateway.http2 import frames
from gateway.status import Code
from gateway.upstream.channels.http2 import Http2Channel
from tests.support import http2_peer as peer
from tests.support.calls import failure, one_endpoint
from tests.support.grpc_backend import method
from tests.support.http2_server import Script, Scripted

AFTER_S, TIMEOUT_S = 0.05, 0.1


def silence(_stream_id: int) -> bytes:
    return b""


def answer(stream_id: int) -> bytes:
    message = peer.data(stream_id, peer.message(b"ok"))
    return peer.response(stream_id) + message + peer.trailers(stream_id)


@asynccontextmanager
async def channel_to(server: Scripted, *, after_s: float = AFTER_S) -> AsyncIterator[Http2Channel]:
    async with server.running() as target:
        # In less time than the settings allow.
        hurry = {"keepalive_s": after_s, "keepalive_timeout_s": TIMEOUT_S}
        channel = Http2Channel("library", Upstream(target=target).model_copy(update=hurry))
        try:
            yield channel
        finally:
            await channel.close()


def pings(server: Scripted) -> int:
    return sum(kind == frames.PING for kind, _ in server.received)


async def test_a_peer_that_answers_no_ping_is_left() -> None:
    server = Scripted(silence)
    async with channel_to(server) as channel:
        error = await failure(asyncio.wait_for(channel.call(method("M"), b"", [], 10), 5))
    assert (error.code, error.message) == (Code.UNAVAILABLE, 'upstream "library" is unavailable')
    assert pings(server) == 1


async def test_a_peer_that_answers_pings_may_think_for_long() -> None:
    server = Scripted(silence, answers_pings=True)
    async with channel_to(server) as channel:
        call = asyncio.ensure_future(channel.call(method("M"), b"", [], 10))
        await asyncio.sleep(AFTER_S + 3 * TIMEOUT_S)
        server.writers[0].write(answer(1))
        assert (await asyncio.wait_for(call, 5)).message == b"ok"
    assert pings(server) >= 2


async def test_an_idle_connection_is_left_in_peace() -> None:
    server = Scripted(answer)
    after_s = 1.0  # longer than a call can take on a busy machine
    async with channel_to(server, after_s=after_s) as channel:
        await channel.call(method("M"), b"", [], 10)
        await asyncio.sleep(after_s + 2 * TIMEOUT_S)
        assert (await channel.call(method("M"), b"", [], 10)).message == b"ok"
    assert (pings(server), server.connections) == (0, 1)


def goodbye(code: int, words: bytes) -> Script:
    payload = bytes(4) + code.to_bytes(4, "big") + words
    return lambda _: peer.frame(frames.GOAWAY, 0, 0, payload)


@pytest.mark.parametrize(
    ("script", "after_s"),
    [
        pytest.param(goodbye(11, b"too_many_pings"), 2 * AFTER_S, id="too many pings"),
        pytest.param(goodbye(11, b"calm down"), AFTER_S, id="too much of something else"),
        pytest.param(goodbye(0, b"too_many_pings"), AFTER_S, id="no reproach"),
    ],
)
async def test_a_peer_that_objects_to_pings_gets_fewer(script: Script, after_s: float) -> None:
    server = Scripted(script, answer)
    async with channel_to(server) as channel:
        assert (await one_endpoint(channel).call(method("M"), b"", [], 5)).message == b"ok"
        await asyncio.sleep(0)
        keepalive = channel._connections._address.keepalive
        assert keepalive is not None
        assert keepalive.after_s == after_s
    assert server.connections == 2

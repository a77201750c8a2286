"""Large replies and messages of streams share one budget, over either channel."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.call import Reply
from gateway.config.upstreams import Upstream
from gateway.status import Code, StatusError
from gateway.upstream.channels.channel import Channel
from gateway.upstream.channels.grpcio import GrpcioChannel
from gateway.upstream.channels.http2 import Http2Channel
from tests.support.grpc_backend import bytes_backend, method

SIZE = 2_000_000
KINDS = pytest.mark.parametrize("kind", [Http2Channel, GrpcioChannel])
COMPRESSIONS = pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])


@asynccontextmanager
async def channel_of(kind: Any, **settings: Any) -> AsyncIterator[Channel]:
    """A channel whose budget has room for one large message."""
    async with bytes_backend() as server:
        budget: dict[str, Any] = {"large_replies_bytes": 3_000_000}
        channel = kind("library", Upstream(target=server.target, **(budget | settings)))
        try:
            yield channel
        finally:
            await channel.close()


async def single(channel: Channel, *, packed: bool) -> Reply:
    """A reply of one large message."""
    name = "SizedGzip" if packed else "Sized"
    return await channel.call(method(name), b"%d" % SIZE, [], 30)


async def stream(channel: Channel, *, packed: bool) -> Reply:
    """A reply of three large messages."""
    name = "LargeGzip" if packed else "Large"
    called = method(name, server_streaming=True)
    return await channel.call(called, b"3 %d" % SIZE, [], 30)


async def first_of(reply: Reply) -> bytes:
    """The only message of a reply, or the first."""
    return reply.message if reply.messages is None else await anext(reply.messages)


@KINDS
@COMPRESSIONS
@pytest.mark.parametrize("kept", ["single", "stream"])
@pytest.mark.parametrize("other", ["single", "stream"])
async def test_a_reply_that_finds_no_room_is_refused_in_a_bounded_time(
    kind: Any, kept: str, other: str, packed: bool
) -> None:
    calls = {"single": single, "stream": stream}
    async with channel_of(kind, large_replies_wait_s=0.2) as channel:
        holding = await calls[kept](channel, packed=packed)
        held = await first_of(holding)
        with pytest.raises(StatusError) as raised:
            await first_of(await calls[other](channel, packed=packed))
        assert raised.value.code is Code.RESOURCE_EXHAUSTED
        del holding, held
        reply = await single(channel, packed=packed)
        assert len(reply.message) == SIZE


@KINDS
@COMPRESSIONS
async def test_streams_of_large_messages_take_turns(kind: Any, packed: bool) -> None:
    async def sizes(channel: Channel) -> list[int]:
        reply = await stream(channel, packed=packed)
        assert reply.messages is not None
        return [len(message) async for message in reply.messages]

    # The messages of four streams fit: those of grpcio wait in memory, which is bounded too.
    async with channel_of(kind, large_replies_bytes=9_000_000) as channel:
        found = await asyncio.gather(*(sizes(channel) for _ in range(4)))
    assert found == [[SIZE] * 3] * 4

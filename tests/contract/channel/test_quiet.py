"""Streaming replies whose first message takes its time."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from gateway.http2 import frames
from gateway.status import Code, StatusError
from gateway.upstream.channels import grpcio as grpcio_channel
from gateway.upstream.channels.channel import Channel
from gateway.upstream.channels.http2 import streaming_call
from tests.support import http2_peer as peer
from tests.support.calls import Open, failure
from tests.support.grpc_backend import Backend, method
from tests.support.http2_server import Scripted

HANG = method("Hang", server_streaming=True)
TALK = method("Talk", client_streaming=True, server_streaming=True)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpcio_channel, "QUIET_S", 0.05)
    monkeypatch.setattr(streaming_call, "QUIET_S", 0.05)


async def test_a_quiet_stream_is_handed_out_and_its_messages_come_later(channel: Channel) -> None:
    speak = asyncio.Event()

    async def ask() -> AsyncGenerator[bytes]:
        await speak.wait()
        yield b"ab"
        yield b"cd"

    reply = await asyncio.wait_for(channel.call(TALK, ask(), [], 10), 5)
    assert reply.messages is not None
    speak.set()
    assert [message async for message in reply.messages] == [b"ba", b"dc"]


async def test_a_quiet_stream_can_be_closed(channel: Channel, backend: Backend) -> None:
    reply = await channel.call(HANG, b"", [], 10)
    assert reply.messages is not None
    await reply.messages.aclose()
    await asyncio.wait_for(backend.seen.cancelled.wait(), 1)


async def test_who_waits_for_a_quiet_stream_can_be_cancelled(
    channel: Channel, backend: Backend
) -> None:
    reply = await channel.call(HANG, b"", [], 10)
    assert reply.messages is not None
    reading = asyncio.ensure_future(anext(reply.messages, None))
    await asyncio.sleep(0.05)  # until the back end's handler waits, which no client can see
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await asyncio.wait_for(backend.seen.cancelled.wait(), 1)


async def test_a_quiet_stream_fails_where_it_is_read(channel: Channel, backend: Backend) -> None:
    reply = await channel.call(HANG, b"", [], 10)
    assert reply.messages is not None
    await backend.stop()
    error = await failure(asyncio.wait_for(anext(reply.messages), 5))
    assert error.code in (Code.UNAVAILABLE, Code.CANCELLED)


async def test_a_deadline_ends_a_quiet_stream(channel: Channel) -> None:
    reply = await channel.call(HANG, b"", [], 0.3)
    assert reply.messages is not None
    error = await failure(asyncio.wait_for(anext(reply.messages), 5))
    assert (error.code, error.message) == (
        Code.DEADLINE_EXCEEDED,
        "the call did not finish in time",
    )


async def test_a_request_that_fails_is_the_failure_of_a_quiet_stream(channel: Channel) -> None:
    async def broken(*messages: bytes) -> AsyncGenerator[bytes]:
        await asyncio.sleep(0.2)
        for message in messages:
            yield message
        raise StatusError(Code.INVALID_ARGUMENT, "message 1: not JSON")

    reply = await channel.call(TALK, broken(), [], 10)
    assert reply.messages is not None
    error = await failure(asyncio.wait_for(anext(reply.messages), 5))
    assert (error.code, error.message) == (Code.INVALID_ARGUMENT, "message 1: not JSON")


async def test_a_quiet_stream_that_is_turned_away_at_last_is_unavailable(
    open_channel: Open,
) -> None:
    server = Scripted(lambda _: b"")
    async with server.running() as target, open_channel(target) as channel:
        reply = await channel.call(HANG, b"", [], 10)
        assert reply.messages is not None
        refused = (7).to_bytes(4, "big")
        server.writers[0].write(peer.frame(frames.RST_STREAM, 0, 1, refused))
        error = await failure(asyncio.wait_for(anext(reply.messages), 5))
    assert error.code is Code.UNAVAILABLE
    assert server.calls == 1

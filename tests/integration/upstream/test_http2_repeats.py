"""Streaming requests that a back end refused unheard: sent again from the start, or not."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.call import Parts
from gateway.config.upstreams import ChannelKind, Upstream
from gateway.http2 import frames
from gateway.status import Code, StatusError
from gateway.upstream.attempts import MAX_ATTEMPTS, Balanced
from gateway.upstream.channels.channel import Channel
from gateway.upstream.channels.failures import Progress, progress_of
from gateway.upstream.channels.grpcio import GrpcioChannel
from gateway.upstream.channels.http2 import Http2Channel
from gateway.upstream.pool import CHANNELS
from tests.support import http2_peer as peer
from tests.support.calls import failure
from tests.support.grpc_backend import method
from tests.support.http2_server import Script, Scripted
from tests.support.polling import until

GET = method("Get")
COLLECT = method("Collect", client_streaming=True)
TALK = method("Talk", client_streaming=True, server_streaming=True)


def silence(_stream_id: int) -> bytes:
    return b""


def refuse(stream_id: int) -> bytes:
    return peer.frame(frames.RST_STREAM, 0, stream_id, (7).to_bytes(4, "big"))


def leave(_stream_id: int) -> bytes:
    return peer.frame(frames.GOAWAY, 0, 0, bytes(8))


def answer(stream_id: int) -> bytes:
    message = peer.data(stream_id, peer.message(b"ok"))
    return peer.response(stream_id) + message + peer.trailers(stream_id)


@asynccontextmanager
async def channel_to(server: Scripted) -> AsyncIterator[Channel]:
    async with server.running() as target:
        channel = CHANNELS[ChannelKind.HTTP2]("library", Upstream(target=target))
        try:
            yield channel
        finally:
            await channel.close()


class Request:
    """A request of messages that are given one by one."""

    def __init__(self) -> None:
        self.given: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.closed = asyncio.Event()

    async def messages(self) -> AsyncGenerator[bytes]:
        try:
            while (item := await self.given.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.closed.set()


async def sent_to(server: Scripted, expected: bytes) -> None:
    """Waits until the last call's data is what it should be."""
    await until(lambda: data(server) == expected)


def data(server: Scripted) -> bytes:
    kinds = [kind for kind, _ in server.received]
    if frames.HEADERS not in kinds:
        return b""
    last = len(kinds) - 1 - kinds[::-1].index(frames.HEADERS)
    return b"".join(p for kind, p in server.received[last:] if kind == frames.DATA)


@pytest.mark.parametrize("sizes", [(5, 40_000), (5, 30_000, 20_000, 0), (5, 7, 300)])
async def test_a_message_in_parts_that_was_turned_away_is_sent_again(sizes: list[int]) -> None:
    server = Scripted(leave, answer)
    parts: Parts = [bytes([size % 251]) * size for size in sizes]
    async with channel_to(server) as channel:
        assert isinstance(channel, Balanced)
        assert (await channel.call(GET, parts, [], 5)).message == b"ok"
        await sent_to(server, peer.message(b"".join(parts)))
        assert server.calls == 2


@pytest.mark.parametrize(
    ("turn_away", "stream_id"),
    [pytest.param(refuse, 3, id="refused"), pytest.param(leave, 1, id="left out by a goodbye")],
)
@pytest.mark.parametrize("streaming", [False, True], ids=["client streaming", "bidi"])
async def test_a_stream_that_was_turned_away_is_sent_again_from_the_start(
    turn_away: Script, stream_id: int, streaming: bool
) -> None:
    server, request = Scripted(silence, silence), Request()
    async with channel_to(server) as channel:
        called = TALK if streaming else COLLECT
        call = asyncio.ensure_future(channel.call(called, request.messages(), [], 5))
        request.given.put_nowait(b"one")
        request.given.put_nowait(b"two")
        await sent_to(server, peer.message(b"one") + peer.message(b"two"))
        server.writers[0].write(turn_away(1))
        await until(lambda: server.calls == 2)
        request.given.put_nowait(b"three")
        request.given.put_nowait(None)
        await sent_to(server, b"".join(map(peer.message, (b"one", b"two", b"three"))))
        server.writers[-1].write(answer(stream_id))
        reply = await call
        if reply.messages is not None:
            assert [message async for message in reply.messages] == [b"ok"]
        else:
            assert reply.message == b"ok"
        assert request.closed.is_set()


async def test_grpcio_sends_again_what_a_goodbye_left_out() -> None:
    server = Scripted(leave, answer)
    async with server.running() as target:
        channel = GrpcioChannel("library", Upstream(target=target))
        try:
            assert (await channel.call(GET, b"one", [], 5)).message == b"ok"
        finally:
            await channel.close()
    assert server.calls == 2


async def test_a_stream_that_is_over_already_is_sent_again_whole() -> None:
    server, request = Scripted(silence, answer), Request()
    for item in (b"one", None):
        request.given.put_nowait(item)
    async with channel_to(server) as channel:
        call = asyncio.ensure_future(channel.call(COLLECT, request.messages(), [], 5))
        await asyncio.wait_for(request.closed.wait(), 5)
        await sent_to(server, peer.message(b"one"))
        server.writers[0].write(refuse(1))
        assert (await call).message == b"ok"


async def test_what_became_too_much_to_keep_is_not_sent_again() -> None:
    server, request = Scripted(silence), Request()
    request.given.put_nowait(bytes(60_000))
    async with channel_to(server) as channel:
        call = asyncio.ensure_future(channel.call(COLLECT, request.messages(), [], 5))
        await sent_to(server, peer.message(bytes(60_000)))
        request.given.put_nowait(bytes(6_000))
        await until(lambda: len(data(server)) > 60_005)
        server.writers[0].write(refuse(1))
        error = await failure(call)
    assert error.code is Code.UNAVAILABLE
    assert (server.calls, request.closed.is_set()) == (1, True)


async def test_a_request_that_fails_while_it_moves_is_the_failure_of_the_call() -> None:
    server, request = Scripted(silence), Request()
    async with channel_to(server) as channel:
        call = asyncio.ensure_future(channel.call(COLLECT, request.messages(), [], 5))
        request.given.put_nowait(b"one")
        await sent_to(server, peer.message(b"one"))
        server.writers[0].write(refuse(1))
        request.given.put_nowait(StatusError(Code.INVALID_ARGUMENT, "message 2: not JSON"))
        error = await failure(asyncio.wait_for(call, 5))
    assert (error.code, error.message) == (Code.INVALID_ARGUMENT, "message 2: not JSON")


async def test_a_back_end_that_always_refuses_a_stream_is_unavailable() -> None:
    server, request = Scripted(refuse), Request()
    async with channel_to(server) as channel:
        error = await failure(channel.call(COLLECT, request.messages(), [], 5))
    assert error.code is Code.UNAVAILABLE
    assert server.calls == MAX_ATTEMPTS


@pytest.mark.parametrize(
    ("script", "progress"),
    [
        pytest.param(refuse, Progress.REFUSED, id="refused"),
        pytest.param(leave, Progress.REFUSED, id="left out by a goodbye"),
        pytest.param(
            lambda s: peer.response(s) + refuse(s), Progress.SEEN, id="refused after headers"
        ),
    ],
)
async def test_the_channel_alone_sends_a_call_once_and_says_how_far_it_came(
    script: Script, progress: Progress
) -> None:
    server = Scripted(script)
    async with server.running() as target:
        channel = Http2Channel("library", Upstream(target=target))
        error = await failure(channel.call(GET, b"one", [], 5))
        await channel.close()
    assert (progress_of(error), server.calls) == (progress, 1)

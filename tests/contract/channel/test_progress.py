"""A failed call says how far it came: every channel as far as it can know."""

import asyncio
import socket

import pytest

from gateway.http2 import frames
from gateway.status import Code
from gateway.upstream.channels.failures import Progress, progress_of
from tests.support import http2_peer as peer
from tests.support.calls import Open, failure, sent
from tests.support.grpc_backend import Backend, method
from tests.support.http2_server import Script, Scripted

KINDS = pytest.mark.parametrize(
    "streaming", [False, True], ids=["one message", "a streaming request"]
)


def reset(code: int) -> Script:
    return lambda s: peer.frame(frames.RST_STREAM, 0, s, code.to_bytes(4, "big"))


def begin_and_leave(stream_id: int) -> bytes:
    return peer.response(stream_id) + peer.frame(
        frames.GOAWAY, 0, 0, stream_id.to_bytes(4, "big") + bytes(4)
    )


@KINDS
async def test_a_call_to_a_closed_port_is_unsent(open_channel: Open, streaming: bool) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{unused.getsockname()[1]}"
        async with open_channel(target) as channel:
            called = method("Get", client_streaming=streaming)
            request = sent(b"one") if streaming else b"one"
            error = await failure(channel.call(called, request, [], 5))
    assert (error.code, progress_of(error)) == (Code.UNAVAILABLE, Progress.UNSENT)


async def test_a_call_on_a_closed_channel_is_unsent(open_channel: Open, backend: Backend) -> None:
    async with open_channel(backend.target) as channel:
        await channel.close()
        error = await failure(channel.call(method("Echo"), b"", [], 5))
    assert progress_of(error) is Progress.UNSENT


@KINDS
async def test_a_call_that_is_always_refused_is_refused(
    open_channel: Open, streaming: bool
) -> None:
    server = Scripted(reset(7))
    async with server.running() as target, open_channel(target) as channel:
        called = method("Get", client_streaming=streaming)
        error = await failure(channel.call(called, sent(b"one") if streaming else b"one", [], 5))
    assert (error.code, progress_of(error)) == (Code.UNAVAILABLE, Progress.REFUSED)


@KINDS
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(reset(8), id="CANCEL"),
        pytest.param(reset(2), id="INTERNAL_ERROR"),
        pytest.param(
            lambda s: peer.response(s) + peer.trailers(s, "14"), id="UNAVAILABLE by the back end"
        ),
        pytest.param(
            lambda s: peer.headers(s, (":status", "503"), end=True), id="an intermediary's 503"
        ),
    ],
)
async def test_a_call_that_was_answered_in_any_way_is_seen(
    open_channel: Open, script: Script, streaming: bool
) -> None:
    server = Scripted(script)
    async with server.running() as target, open_channel(target) as channel:
        called = method("Get", client_streaming=streaming)
        error = await failure(channel.call(called, sent(b"one") if streaming else b"one", [], 5))
    assert progress_of(error) is Progress.SEEN
    assert server.calls == 1


async def test_a_call_whose_connection_was_lost_in_mid_call_is_seen(open_channel: Open) -> None:
    server = Scripted(begin_and_leave)
    async with server.running() as target, open_channel(target) as channel:
        task = asyncio.ensure_future(channel.call(method("Get"), b"one", [], 5))
        async with asyncio.timeout(5):
            while not server.calls:  # noqa: ASYNC110 - a server's records have no event
                await asyncio.sleep(0.01)
        server.writers[0].close()
        error = await failure(task)
    assert (error.code, progress_of(error)) == (Code.UNAVAILABLE, Progress.SEEN)
    assert server.calls == 1

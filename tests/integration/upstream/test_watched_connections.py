"""Those who count connections are told of each, and why it ended, in the words of gRFC A94."""

import asyncio
import socket
import struct
from collections.abc import Callable

import pytest

from gateway.config.upstreams import Upstream
from gateway.http2 import frames
from gateway.http2.frames import ErrorCode
from gateway.upstream.channels.http2 import Http2Channel
from tests.support import http2_peer as peer
from tests.support.calls import failure
from tests.support.grpc_backend import method
from tests.support.http2_server import Scripted
from tests.support.polling import until
from tests.support.redis_server import free_port


class Told:
    """All that was told, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def opened(self) -> None:
        self.events.append("opened")

    def failed(self) -> None:
        self.events.append("failed")

    def ended(self, reason: str) -> None:
        self.events.append(reason)


def answer(stream_id: int) -> bytes:
    message = peer.data(stream_id, peer.message(b"ok"))
    return peer.response(stream_id) + message + peer.trailers(stream_id)


def leave(writer: asyncio.StreamWriter) -> None:
    code = ErrorCode.ENHANCE_YOUR_CALM
    writer.write(peer.frame(frames.GOAWAY, 0, 0, bytes(4) + code.to_bytes(4, "big")))
    writer.close()


def reset(writer: asyncio.StreamWriter) -> None:
    own = writer.get_extra_info("socket")
    own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (leave, "GOAWAY ENHANCE_YOUR_CALM"),
        (reset, "connection reset"),
        (asyncio.StreamWriter.close, "unknown"),
    ],
)
async def test_the_reason_of_an_end_is_told(
    end: Callable[[asyncio.StreamWriter], None], reason: str
) -> None:
    server, told = Scripted(answer), Told()
    async with server.running() as target:
        channel = Http2Channel("library", Upstream(target=target), watch=told)
        await channel.call(method("M"), b"", [], 10)
        assert told.events == ["opened"]
        end(server.writers[0])
        await until(lambda: len(told.events) == 2)
        assert told.events == ["opened", reason]
        await channel.close()
    assert told.events == ["opened", reason]


async def test_a_connection_that_we_close_is_told_before_the_channel_is_closed() -> None:
    server, told = Scripted(answer), Told()
    async with server.running() as target:
        channel = Http2Channel("library", Upstream(target=target), watch=told)
        await channel.call(method("M"), b"", [], 10)
        await channel.close()
        assert told.events == ["opened", "subchannel shutdown"]
    await asyncio.sleep(0)
    assert told.events == ["opened", "subchannel shutdown"], "once"


async def test_a_ping_without_an_answer_is_a_timeout() -> None:
    server, told = Scripted(lambda _: b""), Told()
    async with server.running() as target:
        # In less time than the settings allow.
        hurry = {"keepalive_s": 0.05, "keepalive_timeout_s": 0.1}
        upstream = Upstream(target=target).model_copy(update=hurry)
        channel = Http2Channel("library", upstream, watch=told)
        await failure(channel.call(method("M"), b"", [], 10))
        await until(lambda: len(told.events) == 2)
        assert told.events == ["opened", "connection timed out"]
        await channel.close()


async def test_a_connection_that_cannot_be_opened_is_told() -> None:
    told = Told()
    channel = Http2Channel("library", Upstream(target=f"127.0.0.1:{free_port()}"), watch=told)
    await failure(channel.call(method("M"), b"", [], 10))
    await channel.close()
    assert set(told.events) == {"failed"}

"""Requests that are compressed, and replies to them."""

import gzip

import hpack
import pytest

from gateway.http2 import frames
from gateway.upstream.channels.channel import Channel
from tests.support import http2_peer as peer
from tests.support.calls import Open, sent
from tests.support.grpc_backend import Backend, method
from tests.support.http2_server import Scripted

LARGE = b"a line that comes again and again\n" * 1500


def answer(stream_id: int) -> bytes:
    message = peer.data(stream_id, peer.message(b"ok"))
    return peer.response(stream_id) + message + peer.trailers(stream_id)


async def exchange(channel: Channel, message: bytes) -> bytes:
    return (await channel.call(method("Echo"), message, [], 10)).message


@pytest.mark.parametrize("message", [b"", b"small", LARGE], ids=["empty", "small", "large"])
async def test_every_server_reads_a_compressed_request(
    open_channel: Open, backend: Backend, message: bytes
) -> None:
    async with open_channel(backend.target, compression="gzip") as channel:
        assert await exchange(channel, message) == message


async def test_every_server_reads_a_compressed_request_stream(
    open_channel: Open, backend: Backend
) -> None:
    talk = method("Talk", client_streaming=True, server_streaming=True)
    async with open_channel(backend.target, compression="gzip") as channel:
        reply = await channel.call(talk, sent(LARGE, b"", b"ab"), [], 10)
        assert reply.messages is not None
        assert [message async for message in reply.messages] == [LARGE[::-1], b"", b"ba"]


@pytest.mark.parametrize("compression", ["gzip", "none"])
async def test_a_large_request_goes_as_the_setting_says(
    open_channel: Open, compression: str
) -> None:
    server = Scripted(answer)
    async with (
        server.running() as target,
        open_channel(target, compression=compression) as channel,
    ):
        await exchange(channel, LARGE)
    block = next(payload for kind, payload in server.received if kind == frames.HEADERS)
    headers = {str(name): str(value) for name, value, *_ in hpack.Decoder().decode(block)}
    body = b"".join(payload for kind, payload in server.received if kind == frames.DATA)
    is_packed = compression == "gzip"
    assert headers.get("grpc-encoding", "identity") == ("gzip" if is_packed else "identity")
    assert body[0] == is_packed
    assert int.from_bytes(body[1:5], "big") == len(body) - 5
    assert (gzip.decompress(body[5:]) if is_packed else body[5:]) == LARGE

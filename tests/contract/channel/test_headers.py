"""Replies with more headers than are taken: one call fails, whatever else shares its connection."""

import asyncio
import logging

import pytest

from gateway.http2 import frames
from gateway.status import Code
from tests.support import http2_peer as peer
from tests.support.calls import Open, failure
from tests.support.grpc_backend import method
from tests.support.http2_server import Script, Scripted
from tests.support.polling import until

LIMIT = 20_000
"""Above 16 KiB, which the C core takes whatever it is told."""


def answer(stream_id: int) -> bytes:
    whole = peer.response(stream_id) + peer.data(stream_id, peer.message(b"ok"))
    return whole + peer.trailers(stream_id)


def split(stream_id: int, *headers: tuple[str, str], end: bool = False) -> bytes:
    """Headers in as many frames as they need."""
    block, size = peer.block(*headers), frames.DEFAULT_FRAME_SIZE
    flags = frames.END_STREAM if end else 0
    sent = peer.frame(frames.HEADERS, flags, stream_id, block[:size])
    for at in range(size, len(block), size):
        sent += peer.frame(frames.CONTINUATION, 0, stream_id, block[at : at + size])
    return sent + peer.frame(frames.CONTINUATION, frames.END_HEADERS, stream_id)


def large_trailers(stream_id: int) -> bytes:
    return peer.response(stream_id) + split(
        stream_id, ("grpc-status", "3"), ("grpc-message", "x" * 30_000), end=True
    )


def large_headers(stream_id: int) -> bytes:
    opening = ((":status", "200"), ("content-type", "application/grpc"), ("x-a", "x" * 30_000))
    whole = split(stream_id, *opening)
    return whole + peer.data(stream_id, peer.message(b"ok")) + peer.trailers(stream_id)


@pytest.mark.parametrize("script", [large_trailers, large_headers])
async def test_headers_over_the_limit_fail_their_call_alone(
    open_channel: Open, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    # The C core keeps a limit only once its settings are acknowledged.
    greeting = peer.settings() + peer.frame(frames.SETTINGS, frames.ACK, 0)
    server = Scripted(*[lambda _: b""] * 10, script, answer, greeting=greeting)
    async with (
        server.running() as target,
        open_channel(target, max_header_bytes=LIMIT) as channel,
    ):
        others = [asyncio.ensure_future(channel.call(method("M"), b"x", [], 20)) for _ in range(10)]
        await until(lambda: server.calls >= 10)
        with caplog.at_level(logging.WARNING, "gateway"):
            error = await failure(channel.call(method("M"), b"x", [], 10))
        assert error.code is Code.RESOURCE_EXHAUSTED
        assert error.http_status == 500
        assert error.message == (
            f"the headers of the back end's reply are larger than {LIMIT} bytes"
        )
        (line,) = [record.getMessage() for record in caplog.records]
        assert "upstreams.library.max_header_bytes" in line
        for number in range(10):
            server.writers[0].write(answer(2 * number + 1))
        replies = await asyncio.gather(*others)
        assert [reply.message for reply in replies] == [b"ok"] * 10
        assert (await channel.call(method("M"), b"x", [], 10)).message == b"ok"
    assert server.connections == 1

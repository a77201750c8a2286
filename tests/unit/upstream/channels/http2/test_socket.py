"""The memory into which connections read."""

import asyncio
import threading

from gateway.upstream.channels.http2.socket import Http2Socket
from gateway.upstream.channels.http2.streaming_call import StreamingCall
from gateway.upstream.channels.large_replies import LargeReplies
from tests.support import http2_peer as peer

HEADERS = peer.block((":status", "200"), ("content-type", "application/grpc"))


def opened(loop: asyncio.AbstractEventLoop) -> Http2Socket:
    return Http2Socket(loop, lambda _: None)


def read(socket: Http2Socket, data: bytes) -> None:
    """Reads as a transport does."""
    socket.get_buffer(-1)[: len(data)] = data
    socket.buffer_updated(len(data))


async def test_connections_of_a_thread_share_the_memory_and_others_have_their_own() -> None:
    loop, found = asyncio.get_running_loop(), []
    thread = threading.Thread(target=lambda: found.append(opened(loop).get_buffer(-1)))
    thread.start()
    await asyncio.to_thread(thread.join)
    first, second = opened(loop).get_buffer(-1), opened(loop).get_buffer(-1)
    assert first.obj is second.obj
    assert first.obj is not found[0].obj


async def test_what_was_read_on_one_connection_outlives_the_next_read_on_another() -> None:
    loop = asyncio.get_running_loop()
    messages = [bytes([number]) * 60_000 for number in range(2)]
    calls = []
    for _ in messages:
        socket = opened(loop)
        call = StreamingCall("echo", 100_000, socket, LargeReplies("echo", 10_000_000, 1.0))
        socket.connection.open(b"", call)
        calls.append((socket, call))
        read(socket, peer.settings() + peer.frame(1, 4, 1, HEADERS))
    for at in (0, 3 * 16_384):
        for (socket, _), message in zip(calls, messages, strict=True):
            wire = (b"\0" + len(message).to_bytes(4, "big") + message)[at:]
            cut = [wire[start : start + 16_384] for start in range(0, len(wire), 16_384)][:3]
            read(socket, b"".join([peer.frame(0, 0, 1, part) for part in cut]))
    assert [call.take() for _, call in calls] == messages

"""Messages cut out of what comes, wherever it is cut."""

import asyncio
import random
import tracemalloc

import pytest

from gateway.upstream.channels.http2.calls import UnaryCall
from gateway.upstream.channels.http2.headers import ResponseHeaders
from gateway.upstream.channels.http2.socket import Http2Socket
from gateway.upstream.channels.http2.streaming_call import StreamingCall
from gateway.upstream.channels.large_replies import LargeReplies

SIZES = [0, 1, 4, 5, 100, 4096, 5000, 40_000, 70_000]


def answered() -> StreamingCall:
    """A call on a connection that nobody reads, whose reply has begun."""
    socket = Http2Socket(asyncio.get_running_loop(), lambda _: None)
    call = StreamingCall("echo", 100_000, socket, LargeReplies("echo", 10_000_000, 1.0))
    socket.connection.open(b"", call)
    call.started = True
    return call


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


@pytest.mark.parametrize("most", [1, 3, 50, 4000, 16_384, 100_000])
@pytest.mark.parametrize("seed", range(4))
async def test_messages_are_whole_wherever_they_are_cut(seed: int, most: int) -> None:
    chance = random.Random(seed)
    sizes = SIZES if most > 50 else SIZES[:6]
    messages = [chance.randbytes(chance.choice(sizes)) for _ in range(chance.randrange(1, 9))]
    wire = b"".join(map(framed, messages))
    call = answered()
    at = 0
    while at < len(wire):
        size = chance.randrange(1, most + 1)
        call.on_data(wire[at : at + size], ended=False)
        at += size
    assert [await call.next() for _ in messages] == messages
    assert not call.ended


async def test_messages_that_have_come_are_taken_without_waiting_up_to_a_turn() -> None:
    call = answered()
    assert call.take() is None
    call.on_data(b"".join(framed(b"%d" % number) for number in range(100)), ended=False)
    taken = list(iter(call.take, None))
    assert taken == [b"%d" % number for number in range(64)]
    assert await call.next() == b"64"
    assert call.take() == b"65"


async def test_a_reply_that_comes_as_its_task_is_cancelled_harms_nothing() -> None:
    socket = Http2Socket(asyncio.get_running_loop(), lambda _: None)
    call = UnaryCall("echo", 100_000, socket, LargeReplies("echo", 10_000_000, 1.0))
    socket.connection.open(b"", call)
    call.done.cancel()
    opening = ResponseHeaders(
        {":status": "200", "content-type": "application/grpc"}, (), malformed=False
    )
    call.on_whole(
        opening, framed(b"late"), ResponseHeaders({"grpc-status": "0"}, (), malformed=False)
    )
    assert call.ended
    assert call.done.cancelled()


async def test_a_message_that_needs_work_is_not_taken() -> None:
    call = answered()
    call.on_data(b"\1" + (3).to_bytes(4, "big") + b"abc" + framed(b"plain"), ended=False)
    assert call.take() is None
    with pytest.raises(Exception, match="gRPC"):
        await call.next()


@pytest.mark.parametrize("cut", [1, 4, 5, 6, 5000, 20_000])
async def test_a_message_that_is_cut_off_is_a_breach(cut: int) -> None:
    call = answered()
    wire = framed(bytes(20_000))
    call.on_data(framed(b"whole") + wire[:cut], ended=False)
    call.on_data(wire[cut:-1], ended=True)
    assert await call.next() == b"whole"
    with pytest.raises(Exception, match="gRPC"):
        await call.next()


async def test_a_message_over_the_limit_is_refused_when_it_begins() -> None:
    call = answered()
    call.on_data((100_001).to_bytes(5, "big"), ended=False)
    with pytest.raises(Exception, match="100000"):
        await call.next()


async def test_parts_of_a_byte_are_kept_together() -> None:
    call = answered()
    wire = framed(bytes(30_000))
    tracemalloc.start()
    try:
        for at in range(len(wire) - 1):
            call.on_data(wire[at : at + 1], ended=False)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 4 * len(wire)
    call.on_data(wire[-1:], ended=False)
    assert await call.next() == bytes(30_000)


async def test_a_call_tells_if_its_first_message_has_come() -> None:
    call = answered()
    assert not await call.has_come(0.0)
    call.on_data(framed(b"late"), ended=False)
    assert await call.has_come(0.0)
    assert await call.next() == b"late"


async def test_a_wait_for_the_first_message_ends_with_the_call() -> None:
    call = answered()
    waiting = asyncio.ensure_future(call.has_come(60.0))
    await asyncio.sleep(0)
    call.on_data(b"", ended=True)
    assert await waiting
    with pytest.raises(Exception, match="gRPC"):
        await call.next()

"""How calls end: by whom, with which words, and with nothing left running on either side."""

import asyncio
import gc
from collections.abc import AsyncGenerator
from types import CoroutineType, FrameType

import pytest

from gateway.status import Code, StatusError
from gateway.upstream.channels.channel import Channel
from tests.support.calls import Open, failure, sent
from tests.support.grpc_backend import Backend, method
from tests.support.polling import still


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (Code.NOT_FOUND, "endpoint 7 is not known"),
        (Code.INVALID_ARGUMENT, "unix: paths and sockets are refused"),
        (Code.FAILED_PRECONDITION, "the transport is in shutdown"),
        (Code.PERMISSION_DENIED, "a handshake is needed first"),
        (Code.RESOURCE_EXHAUSTED, "three loans are enough"),
        (Code.CANCELLED, "the reader left"),
        (Code.DEADLINE_EXCEEDED, "the loan is overdue"),
        (Code.INTERNAL, "the index is broken"),
        (Code.UNKNOWN, "who knows"),
        (Code.UNAVAILABLE, "come back in a minute"),
    ],
)
async def test_the_words_of_a_back_end_are_kept(channel: Channel, code: Code, words: str) -> None:
    error = await failure(channel.call(method("Refuse"), f"{int(code)} {words}".encode(), [], 5))
    assert (error.code, error.message) == (code, words)


async def test_a_back_end_may_refuse_without_words(channel: Channel) -> None:
    error = await failure(channel.call(method("Refuse"), b"5 ", [], 5))
    assert (error.code, error.message) == (Code.NOT_FOUND, "")


async def test_a_stream_cancelled_by_the_back_end_is_an_error(channel: Channel) -> None:
    error = await failure(channel.call(method("Fail", server_streaming=True), b"1 stop", [], 5))
    assert (error.code, error.message) == (Code.CANCELLED, "stop")
    assert len(error.details) == 1


async def test_a_stream_ends_with_its_trailers(channel: Channel) -> None:
    reply = await channel.call(method("Count", server_streaming=True), b"2", [], 5)
    assert reply.messages is not None
    assert [message async for message in reply.messages] == [b"0", b"1"]
    assert ("t-count", "2") in reply.trailers


async def test_a_stream_that_fails_later_keeps_metadata_and_trailers(channel: Channel) -> None:
    reply = await channel.call(method("Count", server_streaming=True), b"1 !", [], 5)
    assert reply.messages is not None
    assert await anext(reply.messages) == b"0"
    error = await failure(anext(reply.messages))
    assert ("x-count", "1") in error.metadata
    assert ("t-count", "1") in error.trailers


async def test_the_ending_is_kept_where_messages_are_still_being_sent(channel: Channel) -> None:
    interrupt = method("Interrupt", client_streaming=True, server_streaming=True)

    async def ending() -> tuple[Code, str]:
        try:
            reply = await channel.call(interrupt, sent(*[b"more"] * 20), [], 10)
            assert reply.messages is not None
            await anext(reply.messages)
        except StatusError as error:
            return error.code, error.message
        raise AssertionError("it ended well")

    # Many, for it takes a message that leaves just when the ending comes.
    endings = await asyncio.gather(*[ending() for _ in range(100)])
    assert set(endings) == {(Code.DATA_LOSS, "enough")}


async def test_closing_a_stream_nobody_read_cancels_it_at_the_server(
    channel: Channel, backend: Backend
) -> None:
    reply = await channel.call(method("Flood", server_streaming=True), b"", [], None)
    assert reply.messages is not None
    await reply.messages.aclose()
    await asyncio.wait_for(backend.seen.cancelled.wait(), 1)


async def test_messages_that_wait_for_room_are_closed_with_their_call(channel: Channel) -> None:
    closed: list[bool] = []

    async def endless() -> AsyncGenerator[bytes]:
        try:
            while True:
                yield bytes(1_000_000)
        finally:
            closed.append(True)

    messages = endless()  # held here, so that only the channel can close it
    hang = method("Hang", client_streaming=True, server_streaming=True)
    error = await failure(channel.call(hang, messages, [], 0.5))
    assert (error.code, closed) == (Code.DEADLINE_EXCEEDED, [True])


async def test_cancelling_before_the_first_message_cancels_the_stream(
    channel: Channel, backend: Backend
) -> None:
    task = asyncio.ensure_future(channel.call(method("Hang", server_streaming=True), b"", [], None))
    await asyncio.wait_for(backend.seen.started.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(backend.seen.cancelled.wait(), 1)


async def test_cancelling_a_reader_in_mid_stream_cancels_the_stream(
    channel: Channel, backend: Backend
) -> None:
    talk = method("Talk", client_streaming=True, server_streaming=True)
    silence = asyncio.Event()

    async def ask() -> AsyncGenerator[bytes]:
        yield b"ab"
        await silence.wait()

    reply = await channel.call(talk, ask(), [], None)
    assert reply.messages is not None
    assert await anext(reply.messages) == b"ba"
    reading = asyncio.ensure_future(anext(reply.messages, None))
    await asyncio.sleep(0.05)  # until the back end's handler waits, which no client can see
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await asyncio.wait_for(backend.seen.cancelled.wait(), 1)


async def test_a_deadline_ends_a_stream_in_the_middle(channel: Channel) -> None:
    talk = method("Talk", client_streaming=True, server_streaming=True)
    silence = asyncio.Event()

    async def ask() -> AsyncGenerator[bytes]:
        yield b"ab"
        await silence.wait()

    reply = await channel.call(talk, ask(), [], 0.3)
    assert reply.messages is not None
    assert await anext(reply.messages) == b"ba"
    error = await failure(asyncio.wait_for(anext(reply.messages), 3))
    assert (error.code, error.message) == (
        Code.DEADLINE_EXCEEDED,
        "the call did not finish in time",
    )


async def broken(*messages: bytes) -> AsyncGenerator[bytes]:
    for message in messages:
        yield message
    # Lets what was yielded reach the server, which shall see the call cancelled.
    await asyncio.sleep(0.1)
    raise StatusError(Code.INVALID_ARGUMENT, "message 2: not JSON")


async def test_a_request_that_fails_is_the_failure_of_the_call(
    channel: Channel, backend: Backend
) -> None:
    collect = method("Collect", client_streaming=True)
    error = await failure(channel.call(collect, broken(b"a"), [], 5))
    assert (error.code, error.message) == (Code.INVALID_ARGUMENT, "message 2: not JSON")
    await asyncio.wait_for(backend.seen.cancelled.wait(), 1)


async def test_a_request_that_fails_in_mid_talk_ends_the_reply_with_it(
    channel: Channel, backend: Backend
) -> None:
    talk = method("Talk", client_streaming=True, server_streaming=True)
    reply = await channel.call(talk, broken(b"ab"), [], 5)
    assert reply.messages is not None
    assert await anext(reply.messages) == b"ba"
    error = await failure(asyncio.wait_for(anext(reply.messages), 3))
    assert (error.code, error.message) == (Code.INVALID_ARGUMENT, "message 2: not JSON")
    await asyncio.wait_for(backend.seen.cancelled.wait(), 1)


async def test_a_slow_server_holds_the_sender_back(channel: Channel, backend: Backend) -> None:
    produced = 0

    async def flood() -> AsyncGenerator[bytes]:
        nonlocal produced
        while True:
            produced += 1
            yield bytes(100_000)

    task = asyncio.ensure_future(
        channel.call(method("Hang", client_streaming=True), flood(), [], None)
    )
    await asyncio.wait_for(backend.seen.started.wait(), 5)
    # Flow control stops a sender whose data is not read.
    assert await still(lambda: produced) < 400
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_large_messages_stream_both_ways(channel: Channel) -> None:
    talk = method("Talk", client_streaming=True, server_streaming=True)
    large = b"a" + bytes(2_000_000)
    reply = await channel.call(talk, sent(large, b"", large), [], 10)
    assert reply.messages is not None
    assert [len(message) async for message in reply.messages] == [2_000_001, 0, 2_000_001]


async def test_a_streamed_message_over_the_limit_is_refused(
    open_channel: Open, backend: Backend
) -> None:
    async with open_channel(backend.target, max_message_bytes=1000) as channel:
        sized = method("Sized", server_streaming=True)
        error = await failure(channel.call(sized, b"1001", [], 5))
    assert error.code is Code.RESOURCE_EXHAUSTED
    assert error.message == "the back end's reply is larger than 1000 bytes"


async def test_a_closed_channel_is_unavailable(open_channel: Open, backend: Backend) -> None:
    async with open_channel(backend.target) as channel:
        await channel.close()
        for streaming in (False, True):
            echo = method("Echo", server_streaming=streaming)
            error = await failure(channel.call(echo, b"", [], 5))
            assert error.code is Code.UNAVAILABLE
            assert error.message == 'upstream "library" is unavailable'


@pytest.mark.parametrize("streaming", [False, True], ids=["unary", "server streaming"])
async def test_closing_without_grace_ends_calls_under_way_as_unavailable(
    open_channel: Open, backend: Backend, streaming: bool
) -> None:
    hang = method("Hang", server_streaming=streaming)
    async with open_channel(backend.target) as channel:
        task = asyncio.ensure_future(channel.call(hang, b"", [], 20))
        await asyncio.wait_for(backend.seen.started.wait(), 5)
        await channel.close()
        error = await failure(asyncio.wait_for(task, 3))
    assert error.code is Code.UNAVAILABLE
    await asyncio.wait_for(backend.seen.cancelled.wait(), 1)


async def test_a_channel_keeps_no_method_alive(channel: Channel) -> None:
    called = method("Echo")
    await channel.call(called, b"", [], 5)
    gc.collect()
    # This test itself is a coroutine, or the frame of one, and holds it.
    own = (CoroutineType, FrameType)
    kept = [one for one in gc.get_referrers(called) if not isinstance(one, own)]
    assert not kept, "a schema that was replaced is freed"

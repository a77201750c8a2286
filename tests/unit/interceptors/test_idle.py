"""A stream lives as long as somebody says something."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from gateway.call import Call, Handler, Reply
from gateway.interceptors.idle import IdleLimit
from gateway.status import Code, StatusError
from tests.support.stream_backend import schema

LIMIT_S = 0.15
METHOD = schema().methods["streams.v1.Streams.Both"]


async def saying(count: int, pause_s: float) -> AsyncGenerator[bytes]:
    for _ in range(count):
        await asyncio.sleep(pause_s)
        yield b"m"


async def heard(call: Call, handler: Handler) -> list[bytes]:
    reply = await IdleLimit(LIMIT_S)(call, handler)
    assert reply.messages is not None
    return [message async for message in reply.messages]


async def test_a_stream_that_goes_on_is_left_alone() -> None:
    async def handler(call: Call) -> Reply:
        return Reply(messages=saying(5, LIMIT_S / 3))

    assert await heard(Call(METHOD), handler) == [b"m"] * 5


async def test_a_silent_reply_is_ended_and_its_messages_closed() -> None:
    closed: list[bool] = []

    async def silent() -> AsyncGenerator[bytes]:
        try:
            yield b"m"
            await asyncio.sleep(10)
        finally:
            closed.append(True)

    async def handler(call: Call) -> Reply:
        return Reply(messages=silent())

    with pytest.raises(StatusError, match=r"no message for 0\.15 seconds") as raised:
        await heard(Call(METHOD), handler)
    assert raised.value.code is Code.DEADLINE_EXCEEDED
    assert closed == [True]


async def test_a_reply_that_does_not_begin_is_given_up() -> None:
    async def handler(call: Call) -> Reply:
        await asyncio.sleep(10)
        return Reply()

    with pytest.raises(StatusError) as raised:
        await heard(Call(METHOD), handler)
    assert raised.value.code is Code.DEADLINE_EXCEEDED


async def test_a_client_that_speaks_keeps_the_stream_alive() -> None:
    async def handler(call: Call) -> Reply:
        assert call.messages is not None
        async for _ in call.messages:
            pass
        return Reply(messages=saying(1, 0))

    call = Call(METHOD, messages=saying(6, LIMIT_S / 2))
    assert await heard(call, handler) == [b"m"]


async def test_what_times_out_elsewhere_is_no_silence() -> None:
    async def handler(call: Call) -> Reply:
        raise StatusError(Code.UNAVAILABLE, "gone")

    with pytest.raises(StatusError) as raised:
        await heard(Call(METHOD), handler)
    assert raised.value.code is Code.UNAVAILABLE


async def test_a_timeout_of_another_interceptor_is_not_called_silence() -> None:
    async def handler(call: Call) -> Reply:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        await heard(Call(METHOD), handler)

"""The code and the duration of each call to a back end, as they are reported."""

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest

from gateway.call import Call, Deadline, Handler, Reply
from gateway.status import Code, StatusError
from gateway.upstream.measure import Measure
from tests.support.front_end import schema
from tests.support.reported_calls import ReportedCalls

METHOD = schema().methods["front.v1.Front.GetItem"]


async def test_a_reply_is_reported_with_its_duration() -> None:
    seen = ReportedCalls()

    async def answer(_: Call) -> Reply:
        await asyncio.sleep(0.02)
        return Reply(b"ok")

    assert (await Measure(seen)(Call(METHOD, message=b""), answer)).message == b"ok"
    assert seen.take() == [Code.OK]
    assert 0.02 <= seen.duration_s < 5


async def test_a_failure_is_reported_and_raised() -> None:
    seen = ReportedCalls()

    async def fail(_: Call) -> Reply:
        raise StatusError(Code.NOT_FOUND, "no")

    with pytest.raises(StatusError, match="no"):
        await Measure(seen)(Call(METHOD, message=b""), fail)
    assert seen.take() == [Code.NOT_FOUND]


@pytest.mark.parametrize(
    ("left_s", "code"), [(None, Code.CANCELLED), (60, Code.CANCELLED), (-1, Code.DEADLINE_EXCEEDED)]
)
async def test_a_cancelled_call_is_reported_with_the_reason(
    left_s: float | None, code: Code
) -> None:
    seen = ReportedCalls()
    deadline = None if left_s is None else Deadline(time.monotonic() + left_s)
    with pytest.raises(asyncio.CancelledError):
        await Measure(seen)(Call(METHOD, message=b"", deadline=deadline), cancelled())
    assert seen.take() == [code]


def cancelled() -> Handler:
    async def handler(_: Call) -> Reply:
        raise asyncio.CancelledError

    return handler


async def test_a_stream_is_reported_when_its_call_ends() -> None:
    async def messages() -> AsyncGenerator[bytes]:
        yield b"one"

    async def answer(_: Call) -> Reply:
        return Reply(messages=messages())

    seen = ReportedCalls()
    call = Call(METHOD, message=b"")
    reply = await Measure(seen)(call, answer)
    assert seen.take() == []
    assert reply.messages is not None
    assert [one async for one in reply.messages] == [b"one"]
    call.end(Code.DATA_LOSS)
    assert seen.take() == [Code.DATA_LOSS]


async def test_a_fault_of_a_program_is_reported_too() -> None:
    seen = ReportedCalls()

    async def fail(_: Call) -> Reply:
        raise KeyError("no endpoint")

    with pytest.raises(KeyError):
        await Measure(seen)(Call(METHOD, message=b""), fail)
    assert seen.take() == [Code.INTERNAL]

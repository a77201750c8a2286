"""How many calls of a method may be under way at once."""

import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo

from gateway.call import Call, Reply
from gateway.interceptors.concurrency import ConcurrencyLimit
from gateway.status import Code, StatusError
from tests.support.front_end import schema

METHOD = schema().methods["front.v1.Front.GetItem"]
OK = Reply(b"ok")


async def answer(_: Call) -> Reply:
    return OK


def call() -> Call:
    return Call(METHOD, message=b"")


async def test_as_many_as_allowed_are_under_way_and_no_more() -> None:
    guard = ConcurrencyLimit(METHOD, 2)
    calls = [call(), call()]
    for one in calls:
        assert await guard(one, answer) is OK
    with pytest.raises(StatusError) as refused:
        await guard(call(), answer)
    assert (refused.value.code, refused.value.http_status) == (Code.UNAVAILABLE, 503)
    assert refused.value.message == (
        "GetItem is busy: 2 calls are under way, and no more are let through at once"
    )
    info, retry = ErrorInfo(), RetryInfo()
    assert refused.value.details[0].Unpack(info)
    assert refused.value.details[1].Unpack(retry)
    assert info.reason == "CONCURRENCY_LIMIT_EXCEEDED"
    assert retry.retry_delay.seconds == 1


@pytest.mark.parametrize("code", [Code.OK, Code.CANCELLED, Code.DEADLINE_EXCEEDED, Code.INTERNAL])
async def test_a_place_is_free_again_once_a_call_has_ended_however_it_did(code: Code) -> None:
    guard = ConcurrencyLimit(METHOD, 1)
    first = call()
    await guard(first, answer)
    first.end(code)
    first.end(Code.INTERNAL)
    second = call()
    assert await guard(second, answer) is OK
    assert repr(guard) == "<ConcurrencyLimit front.v1.Front.GetItem 1/1>"
    with pytest.raises(StatusError):
        await guard(call(), answer)


async def test_a_refused_call_gives_no_place_back() -> None:
    guard = ConcurrencyLimit(METHOD, 1)
    await guard(call(), answer)
    for _ in range(3):
        refused = call()
        with pytest.raises(StatusError):
            await guard(refused, answer)
        refused.end(Code.UNAVAILABLE)
    assert repr(guard).endswith(" 1/1>")


async def test_a_back_end_that_fails_holds_no_place_once_its_call_has_ended() -> None:
    async def fail(_: Call) -> Reply:
        raise StatusError(Code.INTERNAL, "broken")

    guard = ConcurrencyLimit(METHOD, 1)
    for _ in range(2):
        one = call()
        with pytest.raises(StatusError, match="broken"):
            await guard(one, fail)
        one.end(Code.INTERNAL)
    assert repr(guard).endswith(" 0/1>")

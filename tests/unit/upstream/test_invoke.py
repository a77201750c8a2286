"""The last handler: what it sends on, and the time it leaves."""

from collections.abc import AsyncGenerator

import pytest

from gateway.call import Call, Deadline, Reply
from gateway.status import Code, StatusError
from gateway.upstream.invoke import invoke
from tests.support.channel import ScriptedChannel
from tests.support.grpc_backend import method


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


async def test_a_unary_call_is_sent_with_its_message_and_metadata() -> None:
    channel = ScriptedChannel(Reply(b"answer"))
    call = Call(method("Echo"), message=b"question", metadata=[("x-a", "1")])
    reply = await invoke(channel)(call)
    assert reply is channel.answer
    (asked,) = channel.asked
    assert asked.method is call.method
    assert (asked.request, asked.metadata, asked.timeout_s) == (b"question", [("x-a", "1")], None)


async def test_metadata_that_a_guard_added_is_sent() -> None:
    channel = ScriptedChannel()
    call = Call(method("Echo"), message=b"")
    call.metadata.append(("x-user", "ada"))
    await invoke(channel)(call)
    assert channel.asked[0].metadata == [("x-user", "ada")]


async def test_a_streaming_request_is_passed_on_unread() -> None:
    read = False

    async def messages() -> AsyncGenerator[bytes]:
        nonlocal read
        read = True
        yield b""

    channel = ScriptedChannel()
    call = Call(method("Collect", client_streaming=True), messages=messages())
    await invoke(channel)(call)
    assert channel.asked[0].request is call.messages
    assert not read


async def test_the_time_left_is_the_timeout() -> None:
    channel, clock = ScriptedChannel(), Clock()
    call = Call(method("Echo"), message=b"", deadline=Deadline(107.5))
    await invoke(channel, clock)(call)
    assert channel.asked[0].timeout_s == pytest.approx(7.5)


@pytest.mark.parametrize("at_s", [100.0, 99.0], ids=["just now", "long ago"])
async def test_a_deadline_that_has_passed_ends_the_call_unsent(at_s: float) -> None:
    channel = ScriptedChannel()
    call = Call(method("Echo"), message=b"", deadline=Deadline(at_s))
    with pytest.raises(StatusError) as raised:
        await invoke(channel, Clock())(call)
    assert raised.value.code is Code.DEADLINE_EXCEEDED
    assert channel.asked == []


async def test_a_failure_of_the_back_end_is_passed_on_as_it_is() -> None:
    channel = ScriptedChannel(StatusError(Code.NOT_FOUND, "no such shelf"))
    with pytest.raises(StatusError) as raised:
        await invoke(channel)(Call(method("Echo"), message=b""))
    assert raised.value is channel.answer

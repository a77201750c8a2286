"""The stage that decodes: when the request is read, and what becomes of the time it took."""

from collections.abc import Awaitable

import pytest

from gateway.call import Call, Deadline, Handler, Interceptor, Reply, chain
from gateway.interceptors.decode import decode
from gateway.status import Code, StatusError
from gateway.upstream.channels.channel import Channel
from gateway.upstream.invoke import invoke
from tests.support.channel import ScriptedChannel
from tests.support.grpc_backend import method


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Late:
    """A message that has to be waited for."""

    def __init__(
        self, clock: Clock, takes_s: float = 0.0, error: StatusError | None = None
    ) -> None:
        self.clock = clock
        self.takes_s = takes_s
        self.error = error

    def take(self) -> None:
        """Not yet."""

    async def read(self) -> bytes:
        self.clock.now_s += self.takes_s
        if self.error is not None:
            raise self.error
        return b"late"

    def line(self) -> None:
        """Not decided by the request line."""


class Whole:
    """A message that is there."""

    def take(self) -> bytes:
        return b"here"

    async def read(self) -> bytes:
        raise AssertionError("it is there already")

    def line(self) -> None:
        """Not decided by the request line."""


def sending(channel: Channel, clock: Clock) -> Handler:
    return chain([decode], invoke(channel, clock))


async def test_a_message_that_is_there_is_decoded_without_waiting() -> None:
    channel = ScriptedChannel()
    await sending(channel, Clock())(Call(method("Echo"), source=Whole()))
    assert channel.asked[0].request == b"here"


async def test_time_spent_reading_the_request_is_not_given_twice() -> None:
    channel, clock = ScriptedChannel(), Clock()
    call = Call(method("Echo"), source=Late(clock, takes_s=3), deadline=Deadline(105))
    await sending(channel, clock)(call)
    assert channel.asked[0].request == b"late"
    assert channel.asked[0].timeout_s == pytest.approx(2)


async def test_a_request_that_cannot_be_read_is_not_sent() -> None:
    channel, clock = ScriptedChannel(), Clock()
    source = Late(clock, error=StatusError(Code.INVALID_ARGUMENT, "not JSON"))
    with pytest.raises(StatusError, match="not JSON"):
        await sending(channel, clock)(Call(method("Echo"), source=source))
    assert channel.asked == []


class Wrong:
    """A message that is there, and is invalid."""

    def take(self) -> bytes:
        raise StatusError(Code.INVALID_ARGUMENT, "not JSON")

    async def read(self) -> bytes:
        raise AssertionError("it is there already")

    def line(self) -> None:
        """Not decided by the request line."""


async def test_a_stage_before_it_sees_what_is_refused() -> None:
    seen: list[Code] = []

    async def note(call: Call, proceed: Handler) -> Reply:
        try:
            return await proceed(call)
        except StatusError as error:
            seen.append(error.code)
            raise StatusError(Code.NOT_FOUND, "hidden") from None

    def pass_on(call: Call, proceed: Handler) -> Awaitable[Reply]:
        return proceed(call)

    channel, clock = ScriptedChannel(), Clock()
    stages: list[Interceptor] = [pass_on, note, pass_on, decode]
    with pytest.raises(StatusError, match="hidden"):
        await chain(stages, invoke(channel, clock))(Call(method("Echo"), source=Wrong()))
    assert (seen, channel.asked) == ([Code.INVALID_ARGUMENT], [])


async def test_a_guard_before_it_refuses_without_reading() -> None:
    async def refuse(call: Call, proceed: Handler) -> Reply:
        raise StatusError(Code.PERMISSION_DENIED, "no")

    channel, clock = ScriptedChannel(), Clock()
    call = Call(method("Echo"), source=Late(clock, takes_s=3))
    with pytest.raises(StatusError, match="no"):
        await chain([refuse, decode], invoke(channel, clock))(call)
    assert clock.now_s == 100


async def test_the_last_handler_says_where_a_stage_is_missing() -> None:
    call = Call(method("Echo"), source=Whole())
    with pytest.raises(RuntimeError, match="has not been decoded"):
        await invoke(ScriptedChannel())(call)

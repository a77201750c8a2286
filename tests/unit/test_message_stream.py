"""The base of streams of messages."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import cast

import pytest

from gateway.message_stream import MessageStream, Parts, stream_of
from gateway.telemetry.metrics.stream_metrics import _Counted
from gateway.upstream.watched_messages import WatchedMessages


class Numbers(MessageStream):
    """Hands numbers on until it is closed."""

    def __init__(self) -> None:
        self.given = self.closed = 0

    async def __anext__(self) -> bytes:
        if self.closed:
            raise StopAsyncIteration
        self.given += 1
        return b"%d" % self.given

    async def aclose(self) -> None:
        self.closed += 1


async def test_it_is_closed_before_its_first_message() -> None:
    stream = Numbers()
    await stream.aclose()
    assert (stream.closed, [one async for one in stream]) == (1, [])


async def test_an_exception_thrown_in_closes_it() -> None:
    stream = Numbers()
    assert await anext(stream) == b"1"
    with pytest.raises(KeyError, match="x"):
        await stream.athrow(KeyError("x"))
    assert stream.closed == 1
    with pytest.raises(LookupError):
        await stream.athrow(LookupError)
    assert [one async for one in stream] == []


class Ready(Numbers):
    """Has two messages at hand, and others later."""

    def take(self) -> bytes | None:
        if self.given >= 2:
            return None
        self.given += 1
        return b"%d" % self.given


def counted(stream: MessageStream, note: Callable[[object], None]) -> MessageStream:
    return _Counted(stream.as_generator(), note)


def watched(stream: MessageStream, note: Callable[[object], None]) -> MessageStream:
    return WatchedMessages(stream.as_generator(), note)


@pytest.mark.parametrize("wrap", [counted, watched])
async def test_what_is_at_hand_is_handed_on_in_order(
    wrap: Callable[[MessageStream, Callable[[object], None]], MessageStream],
) -> None:
    noted: list[object] = []
    stream = wrap(Ready(), noted.append)
    assert [stream.take(), stream.take(), stream.take()] == [b"1", b"2", None]
    assert await anext(stream) == b"3"
    assert len(noted) == (3 if wrap is counted else 0)
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


class Announced(Ready):
    """Says what to wait for while it has nothing at hand."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = asyncio.get_running_loop().create_future()

    def arrival(self) -> Awaitable[None] | None:
        return None if self.given < 2 else self.waiting


@pytest.mark.parametrize("wrap", [counted, watched])
async def test_what_to_wait_for_is_handed_on(
    wrap: Callable[[MessageStream, Callable[[object], None]], MessageStream],
) -> None:
    announced = Announced()
    stream = wrap(announced, list[object]().append)
    assert (stream.arrival(), stream.take(), stream.take()) == (None, b"1", b"2")
    assert stream.arrival() is announced.waiting
    assert wrap(Numbers(), list[object]().append).arrival() is None


class InParts(MessageStream):
    """Hands a message out in parts, to code that takes them."""

    async def __anext__(self) -> bytes:
        return b"45"

    async def following(self) -> Parts:
        return [b"4", b"5"]

    async def aclose(self) -> None:
        """Has nothing to close."""


async def test_parts_are_handed_on_to_code_that_takes_them() -> None:
    noted: list[object] = []
    stream = counted(InParts(), noted.append)
    assert await stream.following() == [b"4", b"5"]
    assert await anext(stream) == b"45"
    assert noted == [1.0, 1.0]
    assert await Numbers().following() == b"1"


@pytest.mark.parametrize("wrap", [counted, watched])
async def test_other_generators_have_nothing_at_hand(
    wrap: Callable[[MessageStream, Callable[[object], None]], MessageStream],
) -> None:
    async def others() -> AsyncGenerator[bytes]:
        yield b"a"

    assert stream_of(others()) is None
    stream = wrap(Numbers(), list[object]().append)
    assert stream.take() is None
    assert await anext(stream) == b"1"


async def test_it_has_the_methods_of_a_generator() -> None:
    stream = Numbers()
    assert isinstance(cast("object", stream), AsyncGenerator)
    assert await stream.asend(None) == b"1"

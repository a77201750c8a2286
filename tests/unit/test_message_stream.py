"""The base of streams of messages."""

import pytest

from gateway.message_stream import MessageStream


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

"""Counts streaming calls in progress, and their messages."""

from collections.abc import AsyncGenerator, Awaitable
from typing import cast

from gateway.call import Call, Handler, Reply
from gateway.message_stream import MessageStream, Parts, stream_of
from gateway.telemetry.metrics.counting import Accumulators, AddValue
from gateway.telemetry.metrics.definitions import MESSAGES, STREAMS


class StreamMetrics:
    """The stage next to the back end of every streaming call; counts all methods together."""

    def __init__(self, accumulators: Accumulators) -> None:
        self._open = accumulators.adder(STREAMS)
        self._sent = accumulators.adder(MESSAGES, "sent")
        self._received = accumulators.adder(MESSAGES, "received")

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Passes a call on; it is counted as open until it ends."""
        self._open(1.0)
        call.on_end(self._ended)
        if call.messages is not None:
            call.messages = cast("AsyncGenerator[bytes]", _Counted(call.messages, self._sent))
        reply = await proceed(call)
        if reply.messages is not None:
            reply.messages = cast("AsyncGenerator[bytes]", _Counted(reply.messages, self._received))
        return reply

    def _ended(self, _: object) -> None:
        self._open(-1.0)


class _Counted(MessageStream):
    """Passes messages on and counts them."""

    __slots__ = ("_add", "_messages", "_stream")

    def __init__(self, messages: AsyncGenerator[bytes], add: AddValue) -> None:
        self._messages = messages
        self._stream = stream_of(messages)
        self._add = add

    async def __anext__(self) -> bytes:
        message = await anext(self._messages)
        self._add(1.0)
        return message

    async def following(self) -> bytes | Parts:
        stream = self._stream
        message = await (anext(self._messages) if stream is None else stream.following())
        self._add(1.0)
        return message

    def take(self) -> bytes | None:
        message = None if self._stream is None else self._stream.take()
        if message is not None:
            self._add(1.0)
        return message

    def arrival(self) -> Awaitable[None] | None:
        return None if self._stream is None else self._stream.arrival()

    async def aclose(self) -> None:
        await self._messages.aclose()

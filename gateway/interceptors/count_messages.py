"""Counts the messages of streaming calls, and the streams in progress."""

from collections.abc import AsyncGenerator, Callable

from gateway.call import Call, Handler, Reply
from gateway.message_stream import MessageStream, stream_of
from gateway.telemetry.metrics.stream_metrics import StreamMetrics


class CountMessages:
    """Counts the streams and messages of one streaming method; stands next to the back end."""

    def __init__(self, metrics: StreamMetrics) -> None:
        self._metrics = metrics

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Passes a call on; it is counted as open until it ends."""
        self._metrics.opened()
        call.on_end(self._metrics.ended)
        if call.messages is not None:
            call.messages = _Counted(call.messages, self._metrics.sent).as_generator()
        reply = await proceed(call)
        if reply.messages is not None:
            reply.messages = _Counted(reply.messages, self._metrics.received).as_generator()
        return reply


class _Counted(MessageStream):
    """Passes messages on and counts them."""

    __slots__ = ("_count", "_messages", "_stream")

    def __init__(self, messages: AsyncGenerator[bytes], count: Callable[[], None]) -> None:
        self._messages = messages
        self._stream = stream_of(messages)
        self._count = count

    async def __anext__(self) -> bytes:
        message = await anext(self._messages)
        self._count()
        return message

    def take(self) -> bytes | None:
        message = None if self._stream is None else self._stream.take()
        if message is not None:
            self._count()
        return message

    async def aclose(self) -> None:
        await self._messages.aclose()

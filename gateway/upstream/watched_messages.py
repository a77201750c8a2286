"""The messages of a streaming reply, for channels that have to know how they end."""

from collections.abc import AsyncGenerator, Awaitable, Callable

from gateway.message_stream import MessageStream, stream_of


class WatchedMessages(MessageStream):
    """Passes messages on, and calls `ended` once.

    It is called with None after the last message, with the failure if there is one, and with
    `GeneratorExit` if the reply is closed or dropped before. It must not wait or raise.
    """

    __slots__ = ("_ended", "_messages", "_stream")

    def __init__(
        self, messages: AsyncGenerator[bytes], ended: Callable[[BaseException | None], None]
    ) -> None:
        self._messages = messages
        self._stream = stream_of(messages)
        self._ended: Callable[[BaseException | None], None] | None = ended

    def __del__(self) -> None:
        # Closing a generator is optional, so it may be dropped unclosed.
        self._end(GeneratorExit())

    async def __anext__(self) -> bytes:
        """The next message."""
        try:
            return await anext(self._messages)
        except StopAsyncIteration:
            self._end(None)
            raise
        except BaseException as error:
            self._end(error)
            raise

    def take(self) -> bytes | None:
        """The next message, if it is there."""
        return None if self._stream is None else self._stream.take()

    def arrival(self) -> Awaitable[None] | None:
        """See `MessageStream.arrival`; the end and a failure are found by `__anext__`."""
        return None if self._stream is None else self._stream.arrival()

    async def aclose(self) -> None:
        """Ends the call, if it has not ended."""
        self._end(GeneratorExit())
        await self._messages.aclose()

    def _end(self, error: BaseException | None) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(error)

"""The base of the streams that hand messages on."""

from collections.abc import AsyncGenerator, Awaitable, Coroutine
from types import TracebackType
from typing import Any, cast

Parts = list[bytes | memoryview]
"""A message in its parts, in order: a large one need not be joined for code that only sends it."""


class MessageStream:
    """An async generator of messages that is closed by `aclose` also before its first message.

    An async function that yields would then not run, so that its call would never be ended. It has
    the methods of an `AsyncGenerator` without being made of one, which a compiled class cannot be.
    """

    __slots__ = ()

    def __aiter__(self) -> "MessageStream":
        return self

    def __anext__(self) -> Awaitable[bytes]:
        """Returns what waits for the next message.

        Raises:
            StopAsyncIteration: after the last one.
        """
        raise NotImplementedError

    def following(self) -> Awaitable[bytes | Parts]:
        """Returns what waits for the next message, as `__anext__`; it may come in parts."""
        return self.__anext__()

    def take(self) -> bytes | None:
        """Returns the next message if it is there: a coroutine costs more than many small ones.

        None if it has to be awaited, which also tells the end and a failure.
        """
        return None

    def arrival(self) -> Awaitable[None] | None:
        """Returns what waits until `take` should be asked again, without a coroutine on its way.

        None if that is not to be had now: then only `__anext__` goes on.
        """
        return None

    def asend(self, value: None) -> Awaitable[bytes]:  # noqa: ARG002 - a generator's signature
        """Returns what waits for the next message: nothing can be sent into the stream."""
        return self.__anext__()

    def athrow(
        self,
        typ: type[BaseException] | BaseException,
        val: BaseException | object = None,  # noqa: ARG002 - a generator's signature
        tb: TracebackType | None = None,  # noqa: ARG002
    ) -> Coroutine[Any, Any, bytes]:
        """Closes the stream and raises."""
        return self._closed_by(typ)

    async def _closed_by(self, error: type[BaseException] | BaseException) -> bytes:
        await self.aclose()
        raise error

    def aclose(self) -> Coroutine[Any, Any, None]:
        """Ends what the messages come from, if it has not ended."""
        raise NotImplementedError

    def as_generator(self) -> AsyncGenerator[bytes]:
        """Returns itself, for the places that take any generator."""
        return cast("AsyncGenerator[bytes]", self)


def stream_of(messages: object) -> MessageStream | None:
    """Returns the messages as a stream that may have some at hand; None for other generators."""
    return messages if isinstance(messages, MessageStream) else None

"""The base of the streams that hand messages on."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Coroutine
from types import TracebackType
from typing import Any


class MessageStream(AsyncGenerator[bytes]):
    """An async generator of messages that is closed by `aclose` also before its first message.

    An async function that yields would then not run, so that its call would never be ended. Not
    compiled: a class of mypyc cannot derive from a class of Python.
    """

    @abstractmethod
    async def __anext__(self) -> bytes:
        """Returns the next message.

        Raises:
            StopAsyncIteration: after the last one.
        """

    def asend(self, value: None) -> Coroutine[Any, Any, bytes]:  # noqa: ARG002 - as above
        """Returns what waits for the next message: nothing can be sent into the stream."""
        return self.__anext__()

    async def athrow(
        self,
        typ: type[BaseException] | BaseException,
        val: BaseException | object = None,  # noqa: ARG002 - a generator's signature
        tb: TracebackType | None = None,  # noqa: ARG002
    ) -> bytes:
        """Closes the stream and raises."""
        await self.aclose()
        raise typ

    @abstractmethod
    async def aclose(self) -> None:
        """Ends what the messages come from, if it has not ended."""

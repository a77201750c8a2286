"""The messages of a streaming reply."""

from collections.abc import Callable

from gateway.message_stream import MessageStream
from gateway.upstream.channels.channel import QUIET_S
from gateway.upstream.channels.failures import Unprocessed
from gateway.upstream.channels.http2.sender import Sender
from gateway.upstream.channels.http2.streaming_call import StreamingCall


class Replies(MessageStream):
    """The messages of a reply. Closing it cancels the call, read or not, unlike a generator's.

    `over` is called when the call has ended and nothing is sent for it any more.
    """

    __slots__ = ("_call", "_closed", "_first", "_over", "_sender")

    def __init__(
        self,
        call: StreamingCall,
        sender: Sender | None,
        over: Callable[[StreamingCall], None],
    ) -> None:
        self._call = call
        self._sender = sender
        self._over = over
        self._first: bytes | None = None
        self._closed = False

    def __del__(self) -> None:
        # Closing a generator is optional, so it may be dropped unclosed: stop the back end here.
        if not self._closed and not self._call.socket.loop.is_closed():
            self._end()
            if self._sender is not None:
                self._sender.cancel()

    async def fetch_first(self) -> None:
        """Waits for the first message, the end, or the failure, for at most `QUIET_S`.

        Raises:
            Unprocessed: the call may be sent again, by the same sender; this reply is over.
        """
        failure: BaseException | None = None
        try:
            if await self._call.has_come(QUIET_S):
                self._first = await self._call.next()
        except Unprocessed:
            self._closed = True
            self._over(self._call)
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised after the call is closed
            failure = error
        if failure is not None:
            await self.aclose()
            raise failure

    def take(self) -> bytes | None:
        """The next message, if it has come."""
        if self._closed:
            return None
        message = self._first
        if message is None:
            return self._call.take()
        self._first = None
        return message

    async def __anext__(self) -> bytes:
        """The next message."""
        if self._closed:
            raise StopAsyncIteration
        message = self._first
        self._first = None
        failure: BaseException | None = None
        try:
            if message is None:
                message = await self._call.next()
        except BaseException as error:  # noqa: BLE001 - it is raised after the call is closed
            failure = error
        if failure is not None:
            await self.aclose()
            raise failure
        if message is None:
            await self.aclose()
            raise StopAsyncIteration
        return message

    async def aclose(self) -> None:
        """Ends the call, if it has not ended, and what still sends for it."""
        if not self._closed:
            self._end()
            if self._sender is not None:
                await self._sender.stop()

    def _end(self) -> None:
        self._closed = True
        self._call.give_up()
        self._over(self._call)

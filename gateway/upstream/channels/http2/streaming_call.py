"""A gRPC call with many replies, as the listener of a stream of HTTP/2; and its replies."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from gateway.message_stream import MessageStream
from gateway.upstream.channels.channel import QUIET_S
from gateway.upstream.channels.failures import Unprocessed
from gateway.upstream.channels.http2.calls import PREFIX_BYTES, RpcCall
from gateway.upstream.channels.http2.compressed_message import CompressedMessage
from gateway.upstream.channels.http2.sender import Sender

_TAKEN_AT_ONCE: Final = 64
"""Messages that are handed out before other tasks get their turn."""
_OWED_BYTES: Final = 64 * 1024
"""Bytes that were taken before the peer is let send as many: a small part of a stream's window."""


class StreamingCall(RpcCall):
    """A call with many replies, which are taken one by one."""

    __slots__ = ("_large_bytes", "_lent", "_messages", "_owned", "_taken", "_waiter")

    def _begin(self) -> None:
        self._messages: deque[bytes] = deque()
        self._taken = 0
        # The size of the large message that has begun; 0 for none.
        self._large_bytes = 0
        # The large message's share that the reader has.
        self._lent: Any = None
        self._waiter: asyncio.Future[None] | None = None
        # The number of parts that are no views of the bytes received.
        self._owned = 0

    def on_message(self, message: bytes) -> None:
        """Queues a message as it came; a compressed one is decompressed when it is taken."""
        self._owned = 0
        share = self._share
        if share is not None:
            self._share = None
            self._large_bytes = 0
            if isinstance(message, CompressedMessage):
                message.share = share
            else:
                message = share.held_by(message)
        self._messages.append(message)
        if self._waiter is not None:
            self.changed()

    def on_large(self, size: int) -> None:
        """Part of a large message has come: asks for its share once the reader waits for it.

        Otherwise a reader that is slow would seem to be one that finds no room.
        """
        self._large_bytes = size
        if self._waiter is not None:
            super().on_large(size)

    def _on_share(self) -> None:
        self._settle()

    def on_data(self, data: bytes, *, ended: bool) -> None:
        """Takes part of the body; while messages wait to be taken, the peer is held back."""
        size = len(data)
        if size < self._missing_bytes and self._due_bytes < 0 and not (ended or self.ended):
            self._take_part(data)  # amid a message, as most frames of large ones
        else:
            super().on_data(data, ended=ended)
        self._owed += size
        self._settle()

    def on_part(self, data: memoryview) -> None:
        """Takes part of the body, without a copy if it begins a message or is amid one."""
        size = len(data)
        if self._due_bytes >= 0 or self.ended or not self.started:
            super().on_part(data)
        elif size < self._missing_bytes:
            self._take_part(data)
            self._owed += size
        elif self._begun or not self._begin_message(data):
            super().on_part(data)
        else:
            self._take_part(data[PREFIX_BYTES:])
            self._owed += size

    def _begin_message(self, data: memoryview) -> bool:
        """Takes the prefix of a message; False, and does nothing, if more than it has come."""
        prefix = bytes(data[:PREFIX_BYTES])
        size = int.from_bytes(prefix[1:], "big")
        if prefix[0] > 1 or not len(data) - PREFIX_BYTES < size <= self._limit_bytes:
            return False
        self._begun, self._missing_bytes = prefix, size
        return True

    def on_parts_end(self) -> None:
        """Copies the parts of a message that has not ended; the others were copied into theirs."""
        parts = self._parts
        if parts is not None and len(parts) > self._owned:
            parts[self._owned :] = [b"".join(parts[self._owned :])]
            self._owned = len(parts)
        self._settle()

    def changed(self) -> None:
        """Wakes the task that waits for the next message, or the end."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def has_come(self, within_s: float) -> bool:
        """True once the first message or the end has come; False if neither has `within_s` later.

        One timer: an `asyncio.timeout` around the wait costs several times as much.
        """
        loop = self.socket.loop
        if not self._messages and not self.ended:
            self._waiter = loop.create_future()
            if self._large_bytes:
                super().on_large(self._large_bytes)
            timer = loop.call_later(within_s, self.changed)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        return bool(self._messages) or self.ended

    def take(self) -> bytes | None:
        """The next message, if it has come, and nothing has to be done before or to it."""
        if self._taken >= _TAKEN_AT_ONCE or self._lent is not None or not self._messages:
            return None
        message = self._messages[0]
        if type(message) is not bytes:
            return None
        self._taken += 1
        self._messages.popleft()
        self._settle()
        return message

    def arrival(self) -> asyncio.Future[None] | None:
        """Begins to wait for the next message, or the end; None if it has come, or `next` has to
        do something before."""
        if self._messages or self.ended or self._lent is not None:
            return None
        self._taken = 0
        self._waiter = self.socket.loop.create_future()
        if self._large_bytes:
            super().on_large(self._large_bytes)
        return self._waiter

    async def next(self) -> bytes | None:
        """The next message, or None after the last.

        Raises:
            StatusError: the call failed; all messages before that have been handed out.
        """
        if self._taken >= _TAKEN_AT_ONCE:
            self._taken = 0
            await asyncio.sleep(0)
        if self._lent is not None:
            # The reader is done with the message before, even if it still refers to it.
            self._lent.give_back()
            self._lent = None
        while not self._messages:
            self._taken = 0
            if self.ended:
                if self.error is not None:
                    raise self.error
                return None
            waiter = self._waiter = self.socket.loop.create_future()
            if self._large_bytes:
                super().on_large(self._large_bytes)
            await waiter
        self._taken += 1
        message = self._messages.popleft()
        self._settle()
        if type(message) is bytes:
            return message
        if not isinstance(message, CompressedMessage):
            self._lent = message.share  # type: ignore[attr-defined]
            return message
        try:
            text = self._inflated(message)
            if message.share is not None:
                message.share.give_back()
            held = await self.large_replies.admit(text)
        except Exception as error:
            # Messages after one that cannot be read are dropped.
            self._messages.clear()
            self.fail(error)
            raise
        if held is not text:
            self._lent = held.share  # type: ignore[attr-defined]
        return held

    def _settle(self) -> None:
        if self._owed < _OWED_BYTES or self._messages:
            return
        if not self._large_bytes or (self._share is not None and self._share.is_granted):
            self.took(self._owed)
            self._owed = 0
            if self.socket.connection.output:
                self.socket.flush_soon()


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

    def arrival(self) -> Awaitable[None] | None:
        """See `MessageStream.arrival`."""
        return None if self._closed or self._first is not None else self._call.arrival()

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

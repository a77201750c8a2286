"""Sends the messages of a streaming request, no faster than the back end takes them."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from typing import Final

from gateway.call import Reply
from gateway.http2.stream import JOINED_BYTES
from gateway.message_stream import Parts, stream_of
from gateway.upstream.channels.failures import Unprocessed
from gateway.upstream.channels.held_request import HeldRequest
from gateway.upstream.channels.http2.calls import RpcCall
from gateway.upstream.channels.http2.messages import gzipped

_MOST_KEPT_BYTES: Final = 64 * 1024
"""The bytes of a streaming request kept for sending it again: about a first window (65,535)."""


class Sender(HeldRequest):
    """Sends messages as they come; again from the start if a call was certainly not processed.

    For that it keeps them, until the back end starts to answer or they become too many.
    """

    __slots__ = (
        "_call",
        "_failure",
        "_gzips",
        "_is_done",
        "_kept",
        "_messages",
        "_moved",
        "_sent_bytes",
        "_task",
    )

    _call: RpcCall
    """The call that is sent to now; the task starts with the first one."""

    def __init__(self, messages: AsyncGenerator[bytes], *, gzips: bool) -> None:
        self._messages = messages
        self._gzips = gzips
        self._kept: bytearray | None = bytearray()
        self._moved: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_done = False
        self._sent_bytes = 0
        self._failure: Exception | None = None

    def send_on(self, call: RpcCall) -> None:
        """Sends the messages on `call`: first those kept from an earlier call, then new ones."""
        self._call = call
        call.sent_bytes = self._sent_bytes  # a later call is sent all that was kept
        if self._task is None:
            self._task = call.socket.loop.create_task(self._send_all())
            return
        if self._kept:
            call.socket.connection.send(call, bytes(self._kept), end=False)
        if self._failure is not None:
            call.fail(self._failure)
        elif self._is_done:
            call.socket.connection.end(call)
        if self._moved is not None and not self._moved.done():
            self._moved.set_result(None)

    def cancel(self) -> None:
        """Takes no further message."""
        if self._task is not None:
            self._task.cancel()

    async def until_answered(self, answer: Awaitable[Reply]) -> Reply:
        """The answer to the call; after a failure, or one that is whole, no message is sent.

        A call that was not processed leaves the request to the next one, if all of it is kept.
        """
        failure: BaseException | None = None
        try:
            reply = await answer
        except Unprocessed as error:
            if self._kept is not None:
                error.request = self
                raise
            failure = error
        except BaseException as error:  # noqa: BLE001 - it is raised after the sender has stopped
            failure = error
        if failure is not None:
            await self.stop()
            raise failure
        if reply.messages is None:
            await self.stop()
        return reply

    async def stop(self) -> None:
        """Takes no further message, and returns once the generator is closed."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _send_all(self) -> None:
        messages = self._messages
        stream = stream_of(messages)
        failure: BaseException | None = None
        try:
            while True:
                try:
                    message = await (anext(messages) if stream is None else stream.following())
                except StopAsyncIteration:
                    self._is_done = True
                    call = self._call
                    if not call.ended:
                        call.socket.connection.end(call)
                        call.socket.flush_soon()
                    break
                call = self._call
                if self._send(call, message):
                    continue
                if not call.ended:
                    await call.writable()
                elif not await self._wait_for_another(call):
                    break
        except BaseException as error:  # noqa: BLE001 - any error of the request fails the call
            failure = error
        if isinstance(failure, Exception):
            self._failure = failure
            self._call.fail(failure)
        await messages.aclose()
        if failure is not None and self._failure is None:
            raise failure

    def _send(self, call: RpcCall, message: bytes | Parts) -> bool:
        """Sends a message, and keeps it; False if it has to wait, or the call is over."""
        if isinstance(message, list):
            size = sum(map(len, message))
            if size > _MOST_KEPT_BYTES and not self._gzips:
                return self._send_parts(call, message, size)
            message = b"".join(message)
        if self._gzips:
            prefix, body = gzipped(message)
        else:  # gRPC's prefix: not compressed, and the length
            prefix, body = len(message).to_bytes(5, "big"), message
        kept = self._kept
        if kept is not None:
            if call.started or len(kept) + len(prefix) + len(body) > _MOST_KEPT_BYTES:
                self._kept = None
            else:
                kept += prefix
                kept += body
        self._sent_bytes += len(body)
        call.sent_bytes = self._sent_bytes
        if call.ended:
            return False
        connection = call.socket.connection
        if len(body) <= JOINED_BYTES:
            is_sent = connection.send(call, prefix + body, end=False)
        else:
            is_sent = connection.send_message(call, prefix, body, end=False)
        call.socket.flush_soon()
        return is_sent

    def _send_parts(self, call: RpcCall, parts: Parts, size: int) -> bool:
        """Sends a message that is too large to be kept, as `_send`."""
        self._kept = None
        self._sent_bytes += size
        call.sent_bytes = self._sent_bytes
        if call.ended:
            return False
        call.socket.connection.send_parts(call, size.to_bytes(5, "big"), parts, end=False)
        call.socket.flush_soon()
        return call.pending is None

    async def _wait_for_another(self, call: RpcCall) -> bool:
        """Waits until another call has been sent the kept messages; False if none can be."""
        if type(call.error) is not Unprocessed or self._kept is None:
            return False
        self._moved = call.socket.loop.create_future()
        await self._moved
        return True

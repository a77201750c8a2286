"""Sends the messages of a streaming request, no faster than the back end takes them."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable

from gateway.call import Reply
from gateway.upstream.channels.failures import HeldRequest, Unprocessed
from gateway.upstream.channels.http2.calls import RpcCall
from gateway.upstream.channels.http2.messages import Frame

_MOST_KEPT_BYTES = 64 * 1024
"""The bytes of a streaming request kept for sending it again: about a first window (65,535)."""


class Sender(HeldRequest):
    """Sends messages as they come; again from the start if a call was certainly not processed.

    For that it keeps them, until the back end starts to answer or they become too many.
    """

    __slots__ = (
        "_call",
        "_failure",
        "_frame",
        "_is_done",
        "_kept",
        "_messages",
        "_moved",
        "_sent_bytes",
        "_task",
    )

    _call: RpcCall
    """The call that is sent to now; the task starts with the first one."""

    def __init__(self, messages: AsyncGenerator[bytes], frame: Frame) -> None:
        self._messages = messages
        self._frame = frame
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
        try:
            reply = await answer
        except Unprocessed as failure:
            if self._kept is not None:
                failure.request = self
                raise
            await self.stop()
            raise
        except BaseException:
            await self.stop()
            raise
        if reply.messages is None:
            await self.stop()
        return reply

    async def stop(self) -> None:
        """Takes no further message, and returns once the generator is closed."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _send_all(self) -> None:
        try:
            async for message in self._messages:
                prefix, body = self._frame(message)
                call = self._call
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
                    if not await self._wait_for_another(call):
                        return
                    continue
                connection = call.socket.connection
                is_sent = connection.send_message(call, prefix, body, end=False)
                call.socket.flush_soon()
                if not is_sent:
                    await call.writable()
            self._is_done = True
            call = self._call
            if not call.ended:
                call.socket.connection.end(call)
                call.socket.flush_soon()
        except Exception as error:  # noqa: BLE001 - any error of the request fails the call
            self._failure = error
            self._call.fail(error)
        finally:
            await self._messages.aclose()

    async def _wait_for_another(self, call: RpcCall) -> bool:
        """Waits until another call has been sent the kept messages; False if none can be."""
        if type(call.error) is not Unprocessed or self._kept is None:
            return False
        self._moved = call.socket.loop.create_future()
        await self._moved
        return True

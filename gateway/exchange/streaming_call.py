"""A call that streams, from its opening to its one ending, whatever carries its messages.

One HTTP exchange and a WebSocket differ in how messages come and go; what stands between is here.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from gateway.call import Call, Principal, Reply
from gateway.exchange.calls import CallFactory
from gateway.http.messages import Request
from gateway.schema.catalog import Method
from gateway.status import Code


class StreamingCall:
    """One streaming call: an async iterator over the messages of its reply, as wire bytes.

    The chain of the method runs in a task of its own, so that guards can be waited for apart from
    the back end. A failure is a `StatusError`, raised by whatever is awaited. Whoever opens one
    calls `end`, however it goes.
    """

    def __init__(
        self,
        calls: CallFactory,
        request: Request,
        method: Method,
        started_s: float,
        *,
        read: Callable[[], Awaitable[bytes]] | None = None,
        messages: AsyncGenerator[bytes] | None = None,
    ) -> None:
        """`messages` where the method streams its request, else `read`; neither is touched until
        every guard has agreed.

        Raises:
            StatusError: INVALID_ARGUMENT for headers that make no sense.
        """
        admitted = None if messages is None else self._messages(messages)
        self._request = request
        self._sources = () if admitted is None or messages is None else (admitted, messages)
        self._admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.call = calls.open(
            request,
            method,
            started_s,
            source=None if read is None else _ObservedSource(read, self._on_admitted),
            messages=admitted,
        )
        request.open_call = self
        self._task = asyncio.ensure_future(_answer(calls, self.call))
        self._replies: AsyncGenerator[bytes] | None = None

    def __aiter__(self) -> "StreamingCall":
        return self

    async def __anext__(self) -> bytes:
        """The next message of the reply; a unary reply is one."""
        if self._replies is None:
            reply = await self._task
            self._replies = _one(reply.message) if reply.messages is None else reply.messages
        return await anext(self._replies)

    async def admitted(self) -> None:
        """Returns once every guard has agreed and the request is about to be read.

        Raises:
            StatusError: one has refused.
        """
        waiting = (self._task, self._admitted)
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            self._task.result()

    async def reply(self, within_s: float | None = None) -> Reply | None:
        """The reply: a streaming one once its first message or its end is there.

        None if it has not come in `within_s` seconds since the guards agreed; it still may.
        """
        if within_s is not None:
            await self.admitted()
            await asyncio.wait([self._task], timeout=within_s)
            if not self._task.done():
                return None
        return await self._task

    @property
    def principal(self) -> Principal | None:
        """The caller, once that has been established."""
        return self.call.principal

    async def end(self, code: Code) -> None:
        """Ends the call, if it has not ended; nothing of it is left running."""
        if self.call.ended is not None:
            return
        try:
            await self._stop()
        finally:
            self._request.principal = self.call.principal
            self.call.end(code)

    async def _stop(self) -> None:
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        # What it raised is known to who awaited it, or is of no interest any more.
        if not self._task.cancelled() and self._task.exception() is None:
            replies = self._replies or self._task.result().messages
            if replies is not None:
                await replies.aclose()
        for source in self._sources:
            await source.aclose()

    def _on_admitted(self) -> None:
        if not self._admitted.done():
            self._admitted.set_result(None)

    async def _messages(self, source: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        self._on_admitted()
        async for message in source:
            yield message


class _ObservedSource:
    """The request message of a stream of replies: always awaited, and it tells when it was read."""

    __slots__ = ("_on_admitted", "_read")

    def __init__(
        self, read: Callable[[], Awaitable[bytes]], on_admitted: Callable[[], None]
    ) -> None:
        self._read = read
        self._on_admitted = on_admitted

    def take(self) -> None:
        """Nothing: whether the guards have agreed is learnt from when the message is read."""

    async def read(self) -> bytes:
        """The message; once it is there, the guards have agreed."""
        message = await self._read()
        self._on_admitted()
        return message


async def _answer(calls: CallFactory, call: Call) -> Reply:
    return await calls.chains[call.method](call)


async def _one(message: bytes) -> AsyncGenerator[bytes]:
    yield message

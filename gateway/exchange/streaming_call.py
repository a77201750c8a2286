"""A streaming call, from its opening to its single end, for every transport.

HTTP and WebSocket differ in how messages arrive and leave; the part that they share is here.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from gateway.call import Call, Code, Method, Principal, Reply, StatusError
from gateway.exchange.calls import CallFactory
from gateway.http.messages import Request
from gateway.message_stream import MessageStream, Parts, stream_of

Messages = Callable[[Callable[[], None]], AsyncGenerator[bytes]]
"""Makes the messages of a request; when the first one is wanted, they call the given function."""
Read = Callable[[Callable[[], None]], Awaitable[bytes | Parts]]
"""Reads the one message of a request, or its parts; may call the function before it has come."""


class StreamingCall:
    """One streaming call: an async iterator over the messages of its reply, as wire bytes.

    The chain of the method runs in a separate task, so that the caller can wait for the guards
    without waiting for the back end. A failure is a `StatusError`, raised by the method that is
    awaited. The code that opens a call must call `end` in every case.
    """

    def __init__(
        self,
        calls: CallFactory,
        request: Request,
        method: Method,
        started_s: float,
        *,
        read: Read | None = None,
        take: Callable[[], bytes | None] | None = None,
        messages: Messages | None = None,
    ) -> None:
        """Opens the call: with `messages` if the method streams its request, otherwise with `read`.

        None is used before every guard has admitted the call. `take` gives the one message if it
        need not be awaited.

        Raises:
            StatusError: INVALID_ARGUMENT for an invalid header, for example a malformed timeout.
        """
        self._request = request
        self._decided = decided = asyncio.Event()
        """Set once it is known whether the guards admit the call."""
        self._source = None if messages is None else messages(decided.set)
        self.call = calls.open(
            request,
            method,
            started_s,
            source=None if read is None else _ObservedSource(read, take, decided.set),
            messages=self._source,
        )
        request.open_call = self
        self.reply = asyncio.get_running_loop().create_task(_answer(calls, self.call, decided))
        """The reply; a streaming one comes when its first message or its end has arrived."""
        self._replies: AsyncGenerator[bytes] | None = None
        self._stream: MessageStream | None = None
        self._gave_one = False
        """True once the message of a unary reply was handed out."""

    def __aiter__(self) -> "StreamingCall":
        return self

    def __anext__(self) -> Awaitable[bytes]:
        """Returns the next message of the reply; a unary reply has one."""
        # Not in a coroutine of its own: each costs every message of a stream a microsecond.
        return self._first() if self._replies is None else anext(self._replies)

    def take(self) -> bytes | None:
        """Returns the next message if it is there; None if it has to be awaited."""
        return None if self._stream is None else self._stream.take()

    def arrival(self) -> Awaitable[None] | None:
        """Returns what waits until `take` should be asked again; see `MessageStream.arrival`."""
        return None if self._stream is None else self._stream.arrival()

    async def _first(self) -> bytes:
        if self._gave_one:
            raise StopAsyncIteration
        reply = await self.reply
        if reply.messages is None:
            self._gave_one = True
            return reply.message
        self._replies = reply.messages
        self._stream = stream_of(reply.messages)
        return await anext(self._replies)

    async def admitted(self) -> None:
        """Returns after every guard has admitted the call, when the request is about to be read.

        Raises:
            StatusError: a guard has rejected the call.
        """
        await self._decided.wait()
        if self.reply.done():
            self.reply.result()

    async def reply_within(self, time_s: float) -> Reply | None:
        """Returns the reply, or None if it has not arrived so long after the call was admitted.

        It may still arrive later.
        """
        await self.admitted()
        await asyncio.wait([self.reply], timeout=time_s)
        return await self.reply if self.reply.done() else None

    @property
    def principal(self) -> Principal | None:
        """The authenticated caller; None before authentication."""
        return self.call.principal

    @property
    def split(self) -> tuple[str, str] | None:
        """The name of the split that chose the upstream, and the upstream; None without one."""
        return self.call.split

    @property
    def cache_result(self) -> str:
        """The result of the cache, which answers no streams."""
        return ""

    @property
    def back_end_failed(self) -> bool:
        """True if its back end failed or did not answer in time."""
        return self.call.back_end_failed

    async def end(self, code: Code) -> None:
        """Ends the call, if it has not ended, and stops its task and its generators."""
        if self.call.ended is not None:
            return
        try:
            if not self.reply.done():
                self.reply.cancel()
                await asyncio.wait([self.reply])
            # Its exception is ignored here: the code that awaited the task has received it.
            if not self.reply.cancelled() and self.reply.exception() is None:
                replies = self._replies or self.reply.result().messages
                if replies is not None:
                    await replies.aclose()
            if self._source is not None:
                await self._source.aclose()
        finally:
            self._request.principal = self.call.principal
            self._request.split = self.call.split
            if self.reply.done() and not self.reply.cancelled():
                error = self.reply.exception()
                if error is None:
                    self._request.attempts = self.reply.result().attempts
                elif isinstance(error, StatusError):
                    self._request.attempts = error.attempts
            self.call.end(code)


class _ObservedSource:
    """A request message that reports when it was read.

    Reading it shows that the guards have admitted the call.
    """

    __slots__ = ("_on_admitted", "_read", "_take")

    def __init__(
        self,
        read: Read,
        take: Callable[[], bytes | None] | None,
        on_admitted: Callable[[], None],
    ) -> None:
        self._read = read
        self._take = take
        self._on_admitted = on_admitted

    def take(self) -> bytes | None:
        """Returns the message, and reports the admission; None if it has to be awaited."""
        message = None if self._take is None else self._take()
        if message is not None:
            self._on_admitted()
        return message

    async def read(self) -> bytes | Parts:
        """Returns the message or its parts, and reports that the guards have admitted the call."""
        message = await self._read(self._on_admitted)
        self._on_admitted()
        return message

    def line(self) -> None:
        """Returns None: the message is not read from the request line alone."""


async def _answer(calls: CallFactory, call: Call, decided: asyncio.Event) -> Reply:
    """Returns the reply; sets `decided` at the latest when there is one, or a failure."""
    try:
        return await calls.chains[call.method](call)
    finally:
        decided.set()

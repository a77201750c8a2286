"""The client's side of one ASGI request: its body, and the news that it has left."""

import asyncio

from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol

from gateway.embedding.asgi_types import Message, Receive
from gateway.http.messages import Request
from gateway.listeners.http1.body import IncomingBody
from gateway.listeners.http1.request_head import Limits, timed_out

_BUFFER_BYTES = 64 * 1024


class Incoming:
    """Receives the messages of one request, no faster than its body is read.

    Nothing is received before the body is read or `watch` is called, so that a server sends 100
    Continue only when the guards have admitted the call.
    """

    def __init__(self, receive: Receive, limits: Limits) -> None:
        loop = asyncio.get_running_loop()
        self._receive = receive
        self._limits = limits
        self._flow = _Flow(loop)
        self._stream = StreamReader(self._flow, _BUFFER_BYTES, loop=loop)
        self._is_read_whole = False
        self._task: asyncio.Task[None] | None = None
        self.gone: asyncio.Future[None] = loop.create_future()
        """The future that is done when the client has left."""

    async def begin(self, request: Request, *, is_http1: bool) -> None:
        """Gives the request its body, if it has one.

        HTTP/1.1 says in the head whether there is a body (RFC 9112 section 6.3). In HTTP/2 only the
        first frame may say it, so a request without a stated length waits for it.
        """
        stated = request.headers.get("Content-Length")
        has_body = stated.strip("0") != "" if stated is not None else self._is_chunked(request)
        if not has_body:
            self.watch()
            if stated is None and not is_http1:
                await self._flow.first
                has_body = not self._stream.is_eof() or self._stream.total_bytes > 0
        if has_body:
            request.body = IncomingBody(self._stream, request.fields, self._limits, self._on_read)

    def watch(self) -> None:
        """Starts to receive, if that has not begun."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Receives nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    @staticmethod
    def _is_chunked(request: Request) -> bool:
        return "Transfer-Encoding" in request.headers

    def _on_read(self, body: object, *, whole: bool) -> None:
        del body
        self._is_read_whole = whole
        self.watch()

    async def _run(self) -> None:
        try:
            while not self.gone.done():
                await self._flow.has_room.wait()
                self._take(await self._next())
        except TimeoutError:
            self._stream.set_exception(timed_out("body"))
        except Exception as error:  # noqa: BLE001 - the reader of the body raises it
            self._stream.set_exception(error)
        finally:
            self._flow.see_first()

    async def _next(self) -> Message:
        """Returns the next message; a body that is read whole must not stop for long."""
        is_limited = self._is_read_whole and not self._stream.is_eof()
        async with asyncio.timeout(self._limits.body_timeout_s if is_limited else None):
            return await self._receive()

    def _take(self, message: Message) -> None:
        if message["type"] == "http.disconnect":
            self.gone.set_result(None)
        elif message["type"] == "http.request" and not self._stream.is_eof():
            data = message.get("body", b"")
            if data:
                self._stream.feed_data(data)
            if not message.get("more_body", False):
                self._stream.feed_eof()
        self._flow.see_first()


class _Flow(BaseProtocol):
    """The flow of a body: it stops while the body is full."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.has_room = asyncio.Event()
        self.has_room.set()
        self.first: asyncio.Future[None] = loop.create_future()
        """The future that is done when a message has arrived."""

    @property
    def connected(self) -> bool:
        """True: a reader may wait, for `Incoming` sees that a client has left."""
        return True

    def see_first(self) -> None:
        """Notes that a message has arrived."""
        if not self.first.done():
            self.first.set_result(None)

    def pause_reading(self) -> None:
        """Called when the body is full."""
        self._reading_paused = True
        self.has_room.clear()

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's
        """Called when the body has room again."""
        del resume_parser
        self._reading_paused = False
        self.has_room.set()

"""HTTP/1.1 on one connection: aiohttp's parser in, one write a response out.

An `asyncio.Protocol` of our own, because the server loop around aiohttp's parser costs more than a
whole request here. A task serves one request at a time; pipelined ones wait their turn. What is
malformed is answered once and the connection closed, since nobody knows where the next would start.
"""

import asyncio
from collections import deque
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.http_parser import HttpRequestParser, RawRequestMessage
from aiohttp.web import RequestPayloadError

from gateway.config.model import Limits
from gateway.frontend.body import content_coding, read_body, too_large
from gateway.frontend.exchange import OVERDUE, Exchange
from gateway.frontend.messages import Request, Response, origin_form
from gateway.status import Code, StatusError

if TYPE_CHECKING:
    from gateway.frontend.server import Listener

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_REASONS = {status.value: status.phrase for status in HTTPStatus} | {499: "Client Closed Request"}
_BUFFER_BYTES = 64 * 1024
_JOINED_UP_TO_BYTES = 64 * 1024
_MAX_PIPELINED = 16
_LINGER_S = 2.0
_OVERDUE_AFTER_S = 1.0


class HttpProtocol(BaseProtocol):
    """One client connection."""

    __slots__ = (
        "_accepted_s",
        "_body",
        "_closing",
        "_exchange",
        "_feed",
        "_head_since_s",
        "_idle_since_s",
        "_linger_until_s",
        "_listener",
        "_peer",
        "_queue",
        "_received_s",
        "_task",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, exchange: Exchange, listener: "Listener"
    ) -> None:
        limits = exchange.limits
        parser: Any = HttpRequestParser(
            self,
            loop,
            _BUFFER_BYTES,
            # A little more than the limit, so that the target's own check words the refusal.
            max_line_size=limits.url_bytes + 256,
            max_headers=limits.header_count,
            max_field_size=limits.header_bytes,
            payload_exception=RequestPayloadError,
            auto_decompress=False,
        )
        super().__init__(loop, parser)
        self._feed = parser.feed_data
        self._exchange = exchange
        self._listener = listener
        self._queue: deque[tuple[RawRequestMessage, StreamReader] | StatusError] = deque()
        self._task: asyncio.Task[None] | None = None
        self._body: StreamReader | None = None
        self._peer = ""
        self._closing = False
        self._accepted_s = 0.0
        self._linger_until_s = 0.0
        self._received_s = self._idle_since_s = self._head_since_s = loop.time()

    @property
    def task(self) -> asyncio.Task[None] | None:
        """What serves the request under way, or None."""
        return self._task

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        super().connection_made(transport)
        name = transport.get_extra_info("peername")
        self._peer = name[0] if isinstance(name, tuple) else "unix"
        self._listener.connections.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client is gone: what is being done for it is cancelled."""
        super().connection_lost(exc)
        self._listener.connections.discard(self)
        self._queue.clear()
        self._closing = True
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Bytes have come; whole heads are queued, bodies go to who reads them."""
        if self._closing:
            return
        self._received_s = self._loop.time()
        try:
            messages, upgraded, _ = self._feed(data)
        except HttpProcessingError as error:
            self._stop_reading_after(_malformed(error))
            return
        if messages:
            self._head_since_s = 0.0
            self._queue.extend(messages)
            if upgraded:
                # An upgrade nobody here speaks is ignored (RFC 9110 section 7.8), but the parser
                # has stopped: this answer is the connection's last.
                self._closing = True
            if self._task is None:
                self._next()
            elif len(self._queue) > _MAX_PIPELINED:
                self._pause_reading_for_buffer()
        elif data and self._task is None and not self._head_since_s:
            self._head_since_s = self._received_s

    def eof_received(self) -> bool:
        """The client has closed. Half-closing to wait for an answer looks the same as leaving, and
        a call that nobody waits for must end at once, so both count as leaving."""
        return False

    def sweep(self, now_s: float, limits: Limits) -> None:
        """Ends what takes too long; called every now and then."""
        if self.transport is None:
            return
        if self._linger_until_s:
            if now_s > self._linger_until_s:
                self.transport.abort()
        elif self._task is not None:
            self._sweep_request(now_s, limits)
        elif self._head_since_s:
            if now_s - self._head_since_s > limits.header_timeout_s:
                self._stop_reading_after(_timed_out("head"))
        elif now_s - self._idle_since_s > limits.keep_alive_s:
            self.transport.close()

    def close_when_idle(self) -> None:
        """Takes no more requests; closes once the one under way is answered."""
        self._closing = True
        self._queue.clear()
        if self._task is None and self.transport is not None:
            self.transport.close()

    async def abort(self) -> None:
        """Ends the request under way and the connection."""
        if self.transport is not None:
            self.transport.abort()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _sweep_request(self, now_s: float, limits: Limits) -> None:
        if self._body is not None and not self._body.is_eof():
            if now_s - self._received_s > limits.body_timeout_s and not self._reading_paused:
                self._body.set_exception(_timed_out("body"))
        elif self._accepted_s + self._longest_s() < now_s and self._task is not None:
            self._task.cancel(OVERDUE)

    def _longest_s(self) -> float:
        return self._exchange.longest_s + _OVERDUE_AFTER_S

    def _stop_reading_after(self, error: StatusError) -> None:
        """Queues a refusal as the last thing to answer."""
        self._closing = True
        self._queue.append(error)
        if self._task is None:
            self._next()

    def _next(self) -> None:
        """Starts on the next request, or waits for one."""
        if not self._queue:
            self._task = None
            if self._closing and self.transport is not None:
                self.transport.close()
            self._idle_since_s = self._loop.time()
            return
        if self._buffer_paused and len(self._queue) <= _MAX_PIPELINED // 2:
            self._resume_reading_for_buffer()
        self._accepted_s = self._loop.time()
        waiting = self._queue.popleft()
        if isinstance(waiting, StatusError):
            self._task = self._loop.create_task(self._refuse(waiting))
        else:
            self._task = self._loop.create_task(self._serve(*waiting))

    async def _refuse(self, error: StatusError) -> None:
        await self._write(self._exchange.refuse(error, self._peer), keep_alive=False)
        self._linger()

    async def _serve(self, message: RawRequestMessage, body: StreamReader) -> None:
        response, trailers_wanted = await self._answer(message, body)
        keep_alive = not (message.should_close or self._closing) and body.is_eof()
        try:
            await self._write(
                response,
                keep_alive=keep_alive or bool(self._queue),
                head_only=message.method == "HEAD",
                http_1_0=message.version < (1, 1),
                trailers=trailers_wanted,
            )
        except ConnectionError:
            return  # the client left while it was being answered
        self._body = None
        if keep_alive or (self._queue and body.is_eof()):
            self._next()
        else:
            self._linger()

    async def _answer(
        self, message: RawRequestMessage, body: StreamReader
    ) -> tuple[Response, bool]:
        limits = self._exchange.limits
        try:
            _check_size(message, limits)
            target = origin_form(message.method, message.path)
            expects = _check_expectation(message)
        except StatusError as error:
            return self._exchange.refuse(error, self._peer, message.method, message.path), False
        request = Request(message.method, target, message.headers, message.raw_headers, self._peer)
        if not body.is_eof() or body.total_bytes:
            request.has_body = True
            request.read_body = lambda: self._read(request, body, expects=expects)
        response = await self._exchange.answer(request)
        return response, response.trailers is not None and "trailers" in message.headers.get(
            "TE", ""
        )

    async def _read(self, request: Request, body: StreamReader, *, expects: bool) -> bytes:
        limits = self._exchange.limits
        coding = content_coding(request.headers)
        if int(request.headers.get("Content-Length", "0")) > limits.body_bytes:
            raise too_large(limits.body_bytes)
        if expects and self.transport is not None and not body.total_bytes:
            self.transport.write(_CONTINUE)
        self._body = body
        self._received_s = self._loop.time()
        return await read_body(body, coding, limits)

    async def _write(
        self,
        response: Response,
        *,
        keep_alive: bool,
        head_only: bool = False,
        http_1_0: bool = False,
        trailers: bool = False,
    ) -> None:
        if self.transport is None:
            return
        chunked = trailers and not http_1_0 and not head_only
        head = _head(
            response, self._listener.date, keep_alive=keep_alive, http_1_0=http_1_0, chunked=chunked
        )
        body = b"" if head_only or response.status in (204, 304) else response.body
        if chunked:
            body = _chunks(response)
        if len(body) <= _JOINED_UP_TO_BYTES:
            # One write, one packet: saves a system call and the client a wake-up.
            self.transport.write(head + body)
        else:
            self.transport.writelines((head, body))
        if self._paused:
            await self._drain_helper()

    def _linger(self) -> None:
        """Closes so that the answer arrives even if the client is still sending.

        Closing a socket with unread bytes resets it, and the answer may be lost (RFC 9112 section
        9.6): the sending side is closed first, and what still comes is dropped for a while.
        """
        self._closing = True
        self._task = None
        self._queue.clear()
        if self.transport is None or self.transport.is_closing():
            return
        with suppress(OSError):  # the client may be gone already
            self.transport.write_eof()
        if self._reading_paused or self._buffer_paused:
            self._reading_paused = self._buffer_paused = False
            self._resume_transport_reading()
        self._linger_until_s = self._loop.time() + _LINGER_S


def http_date() -> str:
    """The Date header of this second (RFC 9110 section 5.6.7)."""
    return formatdate(usegmt=True)


def _head(
    response: Response, date: str, *, keep_alive: bool, http_1_0: bool, chunked: bool
) -> bytes:
    status = response.status
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\nDate: {date}\r\n"]
    if response.content_type and status not in (204, 304):
        lines.append(f"Content-Type: {response.content_type}\r\n")
    if chunked:
        names = ", ".join(dict.fromkeys(name for name, _ in response.trailers or ()))
        lines.append(f"Transfer-Encoding: chunked\r\nTrailer: {names}\r\n")
    elif status not in (204, 304):
        lines.append(f"Content-Length: {len(response.body)}\r\n")
    lines += [f"{name}: {value}\r\n" for name, value in response.headers]
    if not keep_alive:
        lines.append("Connection: close\r\n")
    elif http_1_0:
        lines.append("Connection: keep-alive\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("latin-1")


def _chunks(response: Response) -> bytes:
    """The body as one chunk, and the trailers behind it (RFC 9112 section 7.1)."""
    body = b"%x\r\n%b\r\n" % (len(response.body), response.body) if response.body else b""
    trailers = "".join(f"{name}: {value}\r\n" for name, value in response.trailers or ())
    return body + b"0\r\n" + trailers.encode("latin-1") + b"\r\n"


def _check_size(message: RawRequestMessage, limits: Limits) -> None:
    if len(message.path) > limits.url_bytes:
        raise _too_long("request target", limits.url_bytes, 414)
    total = sum([len(name) + len(value) for name, value in message.raw_headers])
    if total > limits.headers_total_bytes:
        raise _too_long("header section", limits.headers_total_bytes, 431)


def _check_expectation(message: RawRequestMessage) -> bool:
    """Whether the client waits for 100 Continue (RFC 9110 section 10.1.1)."""
    expectation = message.headers.get("Expect")
    if expectation is None:
        return False
    if expectation.lower() == "100-continue":
        return True
    raise StatusError(
        Code.INVALID_ARGUMENT, "the only expectation served is 100-continue", http_status=417
    )


def _too_long(what: str, limit_bytes: int, http_status: int) -> StatusError:
    return StatusError(
        Code.INVALID_ARGUMENT,
        f"the {what} is longer than {limit_bytes} bytes",
        http_status=http_status,
    )


def _timed_out(part: str) -> StatusError:
    return StatusError(
        Code.DEADLINE_EXCEEDED, f"the request's {part} took too long to arrive", http_status=408
    )


def _malformed(error: HttpProcessingError) -> StatusError:
    """What the parser found, in our words."""
    text = str(error.message)
    if isinstance(error, LineTooLong):
        return StatusError(
            Code.INVALID_ARGUMENT, "a line of the request's head is too long", http_status=431
        )
    if "Too many headers" in text:
        return StatusError(Code.INVALID_ARGUMENT, "too many header fields", http_status=431)
    return StatusError(Code.INVALID_ARGUMENT, "the request is not well-formed HTTP")

"""Streaming calls over one HTTP exchange: messages in the bodies of request and response.

The response starts as soon as there is data for it, even while the request is still being read.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial

from gateway.exchange.calls import RequestMessage, RouteMatch, refuse_needless_body
from gateway.exchange.dialects.parts import DialectParts
from gateway.exchange.dialects.request_messages import RequestMessages
from gateway.exchange.rendering import stated_length
from gateway.exchange.streaming_call import StreamingCall
from gateway.exchange.unreadable import log_unreadable
from gateway.exchange.worker_threads import LARGE_BYTES, run_in_thread
from gateway.http.messages import Code, Request, Response, StatusError, StreamBrokenError
from gateway.transcoding.media import OCTET_STREAM, Payload
from gateway.transcoding.response import Encoder
from gateway.transcoding.streams.decoder import RequestStreamDecoder
from gateway.transcoding.streams.framing import RAW_LINES, Framing, last_number, retry_field

logger = logging.getLogger("gateway")

Ended = Callable[[Code, int], None]
"""Called when a stream has ended, with its code and its size in bytes."""


class ResponseStream:
    """The pieces of a streamed response: each message framed, then the end or the failure.

    The reader must close it; closing it before its end cancels the call.
    """

    def __init__(
        self,
        call: StreamingCall,
        encode: Encoder,
        encode_error: Callable[[StatusError], bytes],
        framing: Framing | None,
    ) -> None:
        self.opening = b""
        """The bytes before the first message."""
        self.count = 0
        """The number of the last message."""
        self.length: int | None = None
        """The total size in bytes, if it is known."""
        self.heartbeat_s: float | None = None
        """Seconds of silence after which a heartbeat is due; None for no heartbeats."""
        self.ended: Ended = _ignore
        self._call = call
        self._encode = encode
        self._encode_error = encode_error
        self._framing = framing
        self._bytes = 0
        self._is_over = False
        self._interruption: StatusError | None = None
        self._taken: bytes | None = None
        self._is_waiting = False
        """True while a task waits for the next message."""

    def __aiter__(self) -> "ResponseStream":
        return self

    @property
    def heartbeat(self) -> bytes:
        """The bytes to send between two pieces to show that the stream is alive."""
        return b"" if self._framing is None else self._framing.heartbeat

    def take(self) -> bytes | memoryview | None:
        """Returns the next piece if it is there, as a view if it is raw; see `BodyStream.take`."""
        if self.opening or self._is_over or self._interruption is not None:
            return None
        message = None if self._taken is not None else self._call.take()
        if message is None:
            return None
        piece: bytes | memoryview | None = None
        try:
            if self._framing is None:
                piece = self._encode.view(message)
            if piece is None and len(message) < LARGE_BYTES:
                piece = self._piece(message)
        except Exception:  # noqa: BLE001, S110 - it fails again in `_next`, which ends the call
            pass
        if piece is None:
            self._taken = message
            return None
        self.count += 1
        self._bytes += len(piece)
        return piece

    def _piece(self, message: bytes) -> bytes:
        body = self._encode(message).body
        return body if self._framing is None else self._framing.message(body, self.count)

    async def __anext__(self) -> bytes:
        piece = await self.following()
        return piece if isinstance(piece, bytes) else bytes(piece)

    async def following(self) -> bytes | memoryview:
        """Waits for the next piece, a view if it is raw; see `BodyStream.following`."""
        piece: bytes | memoryview
        if self._is_over:
            raise StopAsyncIteration
        if self.opening:
            piece, self.opening = self.opening, b""
        elif (interruption := self._interruption) is not None:
            piece = await self._fail(interruption)
        else:
            self._is_waiting = True
            try:
                piece = await self._next()
            finally:
                self._is_waiting = False
            if not piece and self._is_over:
                raise StopAsyncIteration
        self._bytes += len(piece)
        return piece

    def interrupt(self, error: StatusError) -> bool:
        """Makes `error` the end of the stream; True if a waiting task must be cancelled."""
        self._interruption = error
        return self._is_waiting

    async def aclose(self) -> None:
        """Ends the call as cancelled, if it has not ended."""
        await self._end(Code.CANCELLED)

    async def _next(self) -> bytes | memoryview:
        piece: bytes | memoryview | None = None
        failure: StatusError | None = None
        cancelled: asyncio.CancelledError | None = None
        try:
            message = self._taken
            self._taken = None
            if message is None and (arrival := self._call.arrival()) is not None:
                await arrival
                message = self._call.take()
            if message is None:
                message = await anext(self._call)
            if self._framing is None:  # a part of the message, or a copy of it, which is cheap
                piece = self._encode.view(message) or self._piece(message)
            elif len(message) < LARGE_BYTES:
                piece = self._piece(message)
            else:
                piece = await run_in_thread(partial(self._piece, message))
        except StopAsyncIteration:
            pass
        except StatusError as error:
            failure = error
        except asyncio.CancelledError as error:
            cancelled = error
        except Exception:
            logger.exception("a stream failed")
            failure = StatusError(Code.INTERNAL, "internal error")
        if cancelled is not None:
            failure = await self._interrupted(cancelled)
        if failure is not None:
            return await self._fail(failure)
        if piece is None:
            return await self._finish()
        self.count += 1
        return piece

    async def _interrupted(self, cancelled: asyncio.CancelledError) -> StatusError:
        failure, task = self._interruption, asyncio.current_task()
        if failure is None or task is None:
            await self.aclose()
            raise cancelled
        task.uncancel()  # only the wait was cancelled
        return failure

    async def _finish(self) -> bytes:
        piece = b"" if self._framing is None else self._framing.end(self.count)
        await self._end(Code.OK)
        return piece

    async def _fail(self, error: StatusError) -> bytes:
        log_unreadable(error)
        await self._end(error.code)
        if self._framing is None or self._framing.failure is None:
            raise StreamBrokenError
        return self._framing.failure(self._encode_error(error), self.count)

    async def _end(self, code: Code) -> None:
        if not self._is_over:
            self._is_over = True
            try:
                await self._call.end(code)
            finally:
                self.ended(code, self._bytes)


def _ignore(code: Code, size: int) -> None:
    """Ignores the end of a stream; the default of `ResponseStream.ended`."""


class RestStreams:
    """Answers requests for methods that stream requests, replies or both."""

    def __init__(self, parts: DialectParts) -> None:
        self._options = parts.config.streams
        self._raw_framing = RAW_LINES if self._options.raw_lines else None
        self._limit_bytes = parts.config.limits.stream_message_bytes
        self._transcoder = parts.transcoder
        self._calls = parts.calls
        self._rendering = parts.rendering
        self._log = parts.log

    async def answer(self, request: Request, match: RouteMatch, started_s: float) -> Response:
        """Returns the response to a streaming call; see `Dialect.answer`."""
        method = match.target.method
        accept, form = request.fields.accept, None
        if self._transcoder.has_system_parameters:
            asked = self._transcoder.asked(match, request.query, request.headers)
            accept, form = (
                asked.media_type_or(accept, is_stream=method.server_streaming),
                asked.form,
            )
        if not method.server_streaming:
            framing, encode = None, self._transcoder.encoder(match, accept, form)
        else:
            framing, encode = self._transcoder.framing(match, accept, form)
        call = self._open(request, match, started_s)
        if not method.server_streaming:
            return await self._one_reply(call, encode)
        if framing is None:
            return await self._raw(request, match, call, encode, started_s)
        return await self._framed(request, match, call, framing, encode, started_s)

    def _open(self, request: Request, match: RouteMatch, started_s: float) -> StreamingCall:
        method = match.target.method
        if method.client_streaming:
            begin = partial(self._read_body, request, match)
            return StreamingCall(
                self._calls,
                request,
                method,
                started_s,
                messages=lambda admit: RequestMessages(request, begin, admit).as_generator(),
            )
        source = RequestMessage(self._transcoder.plan(match).decoder, request, match)
        return StreamingCall(
            self._calls,
            request,
            method,
            started_s,
            read=lambda _: source.read(),
            take=source.take,
        )

    def _read_body(
        self, request: Request, match: RouteMatch, on_admitted: Callable[[], None]
    ) -> RequestStreamDecoder:
        """Returns the decoder of the body of an admitted request."""
        on_admitted()
        refuse_needless_body(request, match)
        # Without a body, the Content-Type header is ignored.
        content_type = request.fields.content_type if request.body is not None else None
        return self._transcoder.stream_decoder(
            match, request.query, content_type, self._limit_bytes
        )

    async def _one_reply(self, call: StreamingCall, encode: Encoder) -> Response:
        """Returns the response to a stream of requests with one reply."""
        reply = await call.reply
        render = partial(self._rendering.reply, reply, encode)
        is_large = len(reply.message) >= LARGE_BYTES
        return await run_in_thread(render) if is_large else render()

    async def _raw(
        self,
        request: Request,
        match: RouteMatch,
        call: StreamingCall,
        encode: Encoder,
        started_s: float,
    ) -> Response:
        """Returns a stream of raw bytes; the first message states their media type."""
        reply = await call.reply
        first = await anext(call, None)
        payload = Payload(b"", OCTET_STREAM) if first is None else encode(first)
        response = self._rendering.head(reply.metadata, payload.content_type)
        response.headers.extend(payload.headers)
        framing = self._raw_framing
        pieces = ResponseStream(call, encode, self._rendering.record, framing)
        if framing is None:
            pieces.opening = payload.body
            pieces.length = stated_length(reply.metadata)
        elif first is not None:
            pieces.opening = framing.message(payload.body, 0)
        return self._streamed(request, match, response, pieces, started_s)

    async def _framed(  # noqa: PLR0917 - the whole of one exchange
        self,
        request: Request,
        match: RouteMatch,
        call: StreamingCall,
        framing: Framing,
        encode: Encoder,
        started_s: float,
    ) -> Response:
        """Returns a stream of framed messages.

        If the first message takes longer than `streams.head_after_s`, the head is sent before it.
        """
        reply = await call.reply_within(self._options.head_after_s)
        response = self._rendering.head(
            [] if reply is None else reply.metadata, framing.content_type
        )
        response.headers += [("Cache-Control", "no-store"), ("X-Accel-Buffering", "no")]
        pieces = ResponseStream(call, encode, self._rendering.record, framing)
        if framing.has_ids:
            pieces.count = last_number(request.headers.get("Last-Event-ID"))
            pieces.opening = retry_field(self._options.retry_s)
        if framing.heartbeat:
            pieces.heartbeat_s = self._options.heartbeat_s
        return self._streamed(request, match, response, pieces, started_s)

    def _streamed(
        self,
        request: Request,
        match: RouteMatch,
        response: Response,
        pieces: ResponseStream,
        started_s: float,
    ) -> Response:
        status, request.first_byte_s = response.status, time.time()
        pieces.ended = lambda code, size: self._log.note(
            request, match, status, code, size, started_s
        )
        response.stream = pieces
        return response

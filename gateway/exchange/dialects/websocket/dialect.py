"""Calls over a WebSocket: matched, guarded as any other call, then handed the connection."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from gateway.config.model import Config
from gateway.exchange.calls import CallFactory, RequestLog
from gateway.exchange.dialects.websocket.connection import Session, WebSocket
from gateway.exchange.dialects.websocket.frames import Frames
from gateway.exchange.dialects.websocket.handshake import accept_handshake
from gateway.exchange.rendering import Rendering
from gateway.exchange.streaming_call import StreamingCall
from gateway.exchange.worker_threads import transcode
from gateway.http.messages import Request, Response
from gateway.status import Code, invalid_argument
from gateway.transcoding.binding import Binding
from gateway.transcoding.media import PROTOBUF_TYPES
from gateway.transcoding.payload import JSON
from gateway.transcoding.response import protobuf_encoder
from gateway.transcoding.routing.router import Match
from gateway.transcoding.transcoder import Transcoder


class WebSocketDialect:
    """Answers requests for a WebSocket with the call that their path names."""

    def __init__(
        self,
        config: Config,
        transcoder: Transcoder,
        calls: CallFactory,
        rendering: Rendering,
        log: RequestLog,
    ) -> None:
        self._options = config.websocket
        self._limits = config.limits
        self._transcoder = transcoder
        self._calls = calls
        self._log = log
        self.fail = rendering.failure

    def match(self, request: Request) -> Match[Binding]:
        """The binding that streams on the request's path: that of GET first, then any.

        A browser's WebSocket can only GET, and a stream of requests is hardly ever bound to that.

        Raises:
            StatusError: none does.
        """
        matches = self._transcoder.matches(request.path)
        for match in matches:
            if match.target.method.client_streaming or match.target.method.server_streaming:
                return match
        if not matches:
            return self._transcoder.match("GET", request.path)  # says what is wrong
        name = matches[0].target.method.name
        raise invalid_argument("", f"{name} does not stream: call it without a WebSocket")

    async def answer(self, request: Request, match: Match[Binding], started_s: float) -> Response:
        """The response that begins a WebSocket, once every guard has agreed.

        Raises:
            StatusError: the handshake is not right, or a guard refuses.
            CancelledError: the client is gone.
        """
        if self._transcoder.answers_raw(match) or self._transcoder.takes_raw(match):
            raise invalid_argument("", f"{match.target.method.name} carries files: call it by HTTP")
        handshake = accept_handshake(request, self._options)
        is_protobuf = handshake.is_protobuf
        encode = (
            protobuf_encoder(match.target, PROTOBUF_TYPES[0])
            if is_protobuf
            else self._transcoder.encoder(match, None)
        )
        limits = self._limits
        frames = Frames(
            limits.stream_message_bytes, limits.decompression_ratio, handshake.extensions
        )
        socket = WebSocket(
            frames,
            self._options,
            is_protobuf=is_protobuf,
            max_messages=_max_messages(match),
            limit_bytes=limits.stream_bytes,
        )
        call = await self._open(request, match, socket, started_s, protobuf=is_protobuf)

        def note(code: Code, sent_bytes: int) -> None:
            request.body_bytes = socket.received_bytes
            self._log.note(request, match, 101, code, sent_bytes, started_s)

        socket.set_session(Session(call, encode, self._transcoder.encode_status, note))
        response = Response(101, handshake.fields)
        response.upgrade = socket
        return response

    async def _open(
        self,
        request: Request,
        match: Match[Binding],
        socket: WebSocket,
        started_s: float,
        *,
        protobuf: bool,
    ) -> StreamingCall:
        """The call, as soon as it may read what the client sends."""
        method = match.target.method
        reading = asyncio.get_running_loop().create_future()
        if method.client_streaming:
            messages = self._messages(request, match, socket, protobuf=protobuf)
            call = StreamingCall(self._calls, request, method, started_s, messages=messages)
        else:

            async def read() -> bytes:
                return await self._read(request, match, socket, reading, protobuf=protobuf)

            call = StreamingCall(self._calls, request, method, started_s, read=read)
        await _wait_until_admitted(call, reading)
        if method.client_streaming:
            # A bad URL is told as a status as long as there is one.
            self._transcoder.message_decoder(match, request.query, protobuf=protobuf)
        return call

    async def _messages(
        self, request: Request, match: Match[Binding], socket: WebSocket, *, protobuf: bool
    ) -> AsyncGenerator[bytes]:
        decoder = self._transcoder.message_decoder(match, request.query, protobuf=protobuf)
        async for payload in socket.payloads():
            yield await transcode(decoder.decode, payload)
        instead = decoder.instead()
        if instead is not None:
            yield instead

    async def _read(
        self,
        request: Request,
        match: Match[Binding],
        socket: WebSocket,
        reading: "asyncio.Future[None]",
        *,
        protobuf: bool,
    ) -> bytes:
        """The one request of a method that streams only its replies."""
        payload = b""
        if match.target.body is not None:
            reading.set_result(None)
            async with aclosing(socket.payloads()) as payloads:
                payload = await anext(payloads, b"")
        kind = PROTOBUF_TYPES[0] if protobuf else JSON
        return await transcode(
            partial(self._transcoder.decode, match, request.query, kind), payload
        )


def _max_messages(match: Match[Binding]) -> int | None:
    if match.target.method.client_streaming:
        return None
    return 0 if match.target.body is None else 1


async def _wait_until_admitted(call: StreamingCall, reading: "asyncio.Future[None]") -> None:
    """Returns once the guards have agreed, even if the one request is still to come."""
    admission = asyncio.ensure_future(call.admitted())
    try:
        await asyncio.wait((admission, reading), return_when=asyncio.FIRST_COMPLETED)
        if admission.done():
            admission.result()
    finally:
        admission.cancel()

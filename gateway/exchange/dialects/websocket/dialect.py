"""The WebSocket dialect: matches a call, lets the guards admit it, then takes the connection."""

from functools import cache, partial
from operator import attrgetter
from typing import Final

from gateway.exchange.dialects.parts import DialectParts
from gateway.exchange.dialects.websocket.connection import Session, WebSocket
from gateway.exchange.dialects.websocket.frames import Frames
from gateway.exchange.dialects.websocket.handshake import accept_handshake
from gateway.exchange.streaming_call import StreamingCall
from gateway.http.messages import Request, Response
from gateway.transcoding.binding import RouteMatch
from gateway.transcoding.media import JSON, PROTOBUF_TYPES, Code, StatusError, invalid_argument

_streams: Final = attrgetter("method.streams")


class WebSocketDialect:
    """Opens a WebSocket for the streaming call that a request's path selects."""

    def __init__(self, parts: DialectParts) -> None:
        self._options = parts.config.websocket
        self._limits = parts.config.limits
        self._transcoder = parts.transcoder
        self._plans = parts.transcoder.plans
        self._ok_text = parts.transcoder.encode_status(StatusError(Code.OK, ""))
        self._calls = parts.calls
        self._log = parts.log
        self.fail = parts.rendering.failure

    def match(self, request: Request) -> RouteMatch:
        """Returns a binding of a streaming method on the request's path: of GET first, then any.

        Other HTTP methods count too: a browser opens a WebSocket only with GET, but methods that
        stream requests are usually bound to POST.

        Raises:
            StatusError: no streaming method has this path.
        """
        match = self._transcoder.preferred(request.path, _streams)
        if match is None:
            return self._transcoder.match("GET", request.path)  # raises the error
        if not match.target.method.streams:
            name = match.target.method.name
            raise invalid_argument("", f"{name} does not stream: call it without a WebSocket")
        return match

    async def answer(self, request: Request, match: RouteMatch, started_s: float) -> Response:
        """Returns the response that opens a WebSocket, after every guard has admitted the call.

        Raises:
            StatusError: the handshake is invalid, or a guard rejects the call.
            CancelledError: the client has disconnected.
        """
        plan = self._plans.get(match.target) or self._transcoder.plan(match)
        if match.target.answers_raw or plan.decoder.takes_raw_body:
            raise invalid_argument("", f"{match.target.method.name} carries files: call it by HTTP")
        handshake = accept_handshake(request, self._options)
        is_protobuf = handshake.is_protobuf
        streams_requests = match.target.method.client_streaming
        max_messages = None if streams_requests else int(match.target.body is not None)
        limits = self._limits
        frames = Frames(
            limits.stream_message_bytes, limits.decompression_ratio, handshake.extensions
        )
        socket = WebSocket(
            request,
            frames,
            self._options,
            is_protobuf=is_protobuf,
            max_messages=max_messages,
            limit_bytes=limits.stream_bytes,
        )
        call = await self._open(request, match, socket, started_s, protobuf=is_protobuf)
        encode = plan.encoder(PROTOBUF_TYPES[0]) if is_protobuf else plan.encode
        ended = partial(self._log.note, request, match, 101, started_s=started_s)
        socket.session = Session(call, encode, self._ok_text, self._transcoder.encode_status, ended)
        response = Response(101, handshake.fields)
        response.upgrade = socket
        return response

    async def _open(
        self,
        request: Request,
        match: RouteMatch,
        socket: WebSocket,
        started_s: float,
        *,
        protobuf: bool,
    ) -> StreamingCall:
        """Opens the call and returns it when it may read the client's messages."""
        method, decoder = match.target.method, self._plans[match.target].decoder
        if not method.client_streaming:
            media_type = PROTOBUF_TYPES[0] if protobuf else JSON
            decode = partial(decoder.decode, match.captures, request.query, media_type)
            read = partial(socket.message, decode)
            call = StreamingCall(self._calls, request, method, started_s, read=read)
            await call.admitted()
            return call
        # Made once, after the guards: for the messages, and to report an invalid query.
        reader = cache(
            partial(decoder.message_reader, match.captures, request.query, protobuf=protobuf)
        )
        messages = partial(socket.messages, reader)
        call = StreamingCall(self._calls, request, method, started_s, messages=messages)
        await call.admitted()
        reader()  # fails now, while the response can still be an HTTP status
        return call

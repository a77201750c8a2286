"""Requests that ask for a WebSocket: matched, guarded as any other call, then handed over."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from gateway.config.model import Config
from gateway.exchange.calls import Calls
from gateway.exchange.dialects.websocket.connection import WebSocket
from gateway.exchange.dialects.websocket.frames import Frames
from gateway.exchange.dialects.websocket.handshake import shake_hands
from gateway.exchange.streaming_call import Conversation
from gateway.http.connection import SocketWire
from gateway.http.messages import Request, Response
from gateway.status import Code, StatusError, invalid_argument
from gateway.transcoding.binding import Binding
from gateway.transcoding.media import PROTOBUF_TYPES
from gateway.transcoding.payload import JSON
from gateway.transcoding.response import Encode, protobuf_encoder
from gateway.transcoding.routing.router import Match
from gateway.transcoding.transcoder import Transcoder


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A WebSocket about to begin: what takes over once the response's head is out."""

    socket: WebSocket
    talk: Conversation
    encode: Encode
    transcoder: Transcoder
    calls: Calls
    request: Request
    match: Match[Binding]
    started_s: float

    def receive(self, data: bytes) -> None:
        """Takes bytes of the client."""
        self.socket.receive(data)

    def beat(self, now_s: float) -> None:
        """Sends a sign of life, if it is time for one."""
        self.socket.beat(now_s)

    def shut_down(self) -> None:
        """Ends the call, because the gateway is about to end."""
        self.socket.shut_down()

    async def run(self, wire: SocketWire, head: bytes, early: bytes) -> None:
        """Serves the call to its end."""
        await self.socket.run(
            wire,
            head,
            early,
            talk=self.talk,
            encode=lambda message: self.encode(message).body,
            encode_status=self.transcoder.encode_status,
            ended=self._note,
        )

    def _note(self, code: Code, sent_bytes: int) -> None:
        self.request.body_bytes = self.socket.received_bytes
        self.calls.note(self.request, self.match, 101, code, sent_bytes, self.started_s)


class Upgrades:
    """Answers requests for a WebSocket."""

    def __init__(self, config: Config, transcoder: Transcoder, calls: Calls) -> None:
        self.is_enabled = config.websocket.enabled
        self._options = config.websocket
        self._limits = config.limits
        self._transcoder = transcoder
        self._calls = calls

    def match(self, path: str) -> Match[Binding]:
        """The binding that streams on `path`: that of GET first, then any.

        A browser's WebSocket can only GET, and a stream of requests is hardly ever bound to that.

        Raises:
            StatusError: none does.
        """
        allowed = self._transcoder.allowed_methods(path)
        named = ["GET", *(name for name in allowed if name not in ("GET", "HEAD", "OPTIONS"))]
        matches: list[Match[Binding]] = []
        for http_method in named if allowed else ():
            try:
                matches.append(self._transcoder.match(http_method.replace("*", "GET"), path))
            except StatusError:
                continue
        for match in matches:
            if match.target.method.client_streaming or match.target.method.server_streaming:
                return match
        if not matches:
            return self._transcoder.match("GET", path)  # says what is wrong
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
        handshake = shake_hands(request, self._options)
        encode = (
            protobuf_encoder(match.target, PROTOBUF_TYPES[0])
            if handshake.is_protobuf
            else self._transcoder.encoder(match, None)
        )
        limits = self._limits
        frames = Frames(
            limits.stream_message_bytes, limits.decompression_ratio, handshake.extensions
        )
        socket = WebSocket(
            frames,
            self._options,
            is_protobuf=handshake.is_protobuf,
            takes=_takes(match),
            limit_bytes=limits.stream_bytes,
        )
        talk = await self._open(request, match, socket, started_s, protobuf=handshake.is_protobuf)
        response = Response(101, handshake.fields)
        response.upgrade = Upgrade(
            socket, talk, encode, self._transcoder, self._calls, request, match, started_s
        )
        return response

    async def _open(
        self,
        request: Request,
        match: Match[Binding],
        socket: WebSocket,
        started_s: float,
        *,
        protobuf: bool,
    ) -> Conversation:
        """The call, as soon as it may read what the client sends."""
        method = match.target.method
        reads = asyncio.get_running_loop().create_future()
        if method.client_streaming:
            messages = self._messages(request, match, socket, protobuf=protobuf)
            talk = Conversation(self._calls, request, method, started_s, messages=messages)
        else:

            async def read() -> bytes:
                return await self._read(request, match, socket, reads, protobuf=protobuf)

            talk = Conversation(self._calls, request, method, started_s, read=read)
        try:
            await _admitted(talk, reads)
            if method.client_streaming:
                # A bad URL is told as a status as long as there is one.
                self._transcoder.message_decoder(match, request.query, protobuf=protobuf)
        except StatusError as error:
            await talk.end(error.code)
            raise
        except asyncio.CancelledError:
            await talk.end(Code.DEADLINE_EXCEEDED if request.is_overdue else Code.CANCELLED)
            raise
        except BaseException:
            await talk.end(Code.INTERNAL)
            raise
        return talk

    async def _messages(
        self, request: Request, match: Match[Binding], socket: WebSocket, *, protobuf: bool
    ) -> AsyncGenerator[bytes]:
        decoder = self._transcoder.message_decoder(match, request.query, protobuf=protobuf)
        async for payload in socket.payloads():
            yield decoder.decode(payload)
        instead = decoder.instead()
        if instead is not None:
            yield instead

    async def _read(
        self,
        request: Request,
        match: Match[Binding],
        socket: WebSocket,
        reads: "asyncio.Future[None]",
        *,
        protobuf: bool,
    ) -> bytes:
        """The one request of a method that streams only its replies."""
        payload = b""
        if match.target.body is not None:
            reads.set_result(None)
            async with aclosing(socket.payloads()) as payloads:
                payload = await anext(payloads, b"")
        kind = PROTOBUF_TYPES[0] if protobuf else JSON
        return self._transcoder.decode(match, request.query, kind, payload)


def _takes(match: Match[Binding]) -> int | None:
    if match.target.method.client_streaming:
        return None
    return 0 if match.target.body is None else 1


async def _admitted(talk: Conversation, reads: "asyncio.Future[None]") -> None:
    """Returns once the guards have agreed, even if the one request is still to come."""
    admission = asyncio.ensure_future(talk.admitted())
    try:
        await asyncio.wait((admission, reads), return_when=asyncio.FIRST_COMPLETED)
        if admission.done():
            admission.result()
    finally:
        admission.cancel()

"""The gateway as an ASGI 3 application, for uvicorn, hypercorn, Starlette and others."""

import asyncio
from contextlib import AsyncExitStack

from gateway.embedding.asgi_body import Incoming
from gateway.embedding.asgi_head import checked_request, head_of, peer_of
from gateway.embedding.asgi_socket import carry
from gateway.embedding.asgi_types import Message, Receive, Scope, Send
from gateway.embedding.embedded import (
    EmbeddedGateway,
    Exchange,
    answer,
    end,
    header_fields,
    with_heartbeats,
)
from gateway.embedding.heads import ReceivedHead
from gateway.http.messages import BodyStream, Code, HeaderFields, Response, StatusError

_OPEN_IT = (
    "serve it with a server that sends lifespan events (uvicorn: --lifespan on), or, if it is "
    "mounted in another application, use `async with gateway.open():` in the lifespan of that one"
)
_WITHOUT_CONTENT = (204, 205, 304)
_POLICY_VIOLATION = 1008
_OF_SERVER = ("upgrade", "connection")
_OF_HANDSHAKE = "sec-websocket-"


class GatewayASGI(EmbeddedGateway):
    """Answers requests and WebSockets of an ASGI server with calls to back ends.

    Logs, guards and limits are those of the settings, except `listen`, `tls`, `workers` and the
    limits of connections, which are the server's. Paths are those below `root_path`. The server
    opens and closes it by lifespan events; an application that it is mounted in uses `open`.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request, one WebSocket, or the lifespan.

        Raises:
            RuntimeError: the gateway is not open.
            StreamBrokenError: a streamed response ends early; the server closes the connection.
            ValueError: this type of scope is unknown (the specification asks to raise).
        """
        kind = scope["type"]
        if kind == "lifespan":
            await self._live(receive, send)
        elif kind == "http":
            await _serve(self.exchange_in_use(_OPEN_IT), scope, receive, send)
        elif kind == "websocket":
            await self._serve_websocket(self.exchange_in_use(_OPEN_IT), scope, receive, send)
        else:
            raise ValueError(f"the ASGI scope {kind} is unknown; expected http or websocket")

    async def _live(self, receive: Receive, send: Send) -> None:
        """Opens the gateway when the server starts, and closes it when the server ends."""
        async with AsyncExitStack() as stack:
            while True:
                event = (await receive())["type"]
                try:
                    if event == "lifespan.startup":
                        await stack.enter_async_context(self.open())
                    elif event == "lifespan.shutdown":
                        await stack.aclose()
                except Exception as error:  # noqa: BLE001 - the server shows it and ends
                    await send({"type": f"{event}.failed", "message": str(error)})
                    return
                await send({"type": f"{event}.complete"})
                if event == "lifespan.shutdown":
                    return

    async def _serve_websocket(
        self, exchange: Exchange, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if (await receive())["type"] != "websocket.connect":
            return  # the client has left
        response = await _answered_handshake(exchange, scope)
        upgrade = response.upgrade
        if upgrade is None:
            await _deny(scope, response, send)
            return
        self._sockets.add(upgrade)
        try:
            await carry(upgrade, _acceptance(response), receive, send)
        finally:
            self._sockets.discard(upgrade)


async def _serve(exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers one request."""
    incoming = Incoming(receive, exchange.limits)
    is_http1 = str(scope.get("http_version", "1.1")).startswith("1")
    head = head_of(scope)
    try:
        try:
            request = checked_request(head, scope, exchange.limits)
        except StatusError as error:
            response = _refused(exchange, error, scope, head)
        else:
            await incoming.begin(request, is_http1=is_http1)
            response = await answer(exchange, request, incoming.gone)
        if response.stream is not None:
            incoming.watch()
            await _stream(response, response.stream, send, incoming.gone, head.method)
            return
        body = b"" if response.status in _WITHOUT_CONTENT else response.body
        length = [] if response.status in (204, 304) else [_length(len(body))]
        await send(_start("http.response.start", response, length))
        is_head = head.method == "HEAD"
        await send({"type": "http.response.body", "body": b"" if is_head else body})
    except asyncio.CancelledError:
        if not incoming.gone.done():
            raise
    finally:
        await incoming.close()


async def _stream(
    response: Response, stream: BodyStream, send: Send, gone: "asyncio.Future[None]", method: str
) -> None:
    """Sends a stream no faster than the client reads it, until its end or the client's."""
    sending = asyncio.get_running_loop().create_task(_send_pieces(response, stream, send, method))
    try:
        await asyncio.wait([sending, gone], return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(sending)
        await stream.aclose()
    if not sending.cancelled():
        sending.result()


async def _send_pieces(response: Response, stream: BodyStream, send: Send, method: str) -> None:
    length = [] if stream.length is None else [_length(stream.length)]
    has_content = response.status not in _WITHOUT_CONTENT
    await send(_start("http.response.start", response, length if has_content else []))
    if has_content and method != "HEAD":
        async for piece in with_heartbeats(stream):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _answered_handshake(exchange: Exchange, scope: Scope) -> Response:
    """Returns the response to a handshake: one with an upgrade, or a refusal."""
    head = head_of(scope)
    try:
        request = checked_request(head, scope, exchange.limits)
    except StatusError as error:
        return _refused(exchange, error, scope, head)
    if not exchange.speaks_websocket:
        off = StatusError(Code.UNIMPLEMENTED, "WebSockets are off: see websocket.enabled")
        return _refused(exchange, off, scope, head)
    return await answer(exchange, request)


def _refused(exchange: Exchange, error: StatusError, scope: Scope, head: ReceivedHead) -> Response:
    """Returns the response to a head that is refused."""
    fields = HeaderFields(head.headers, head.raw_headers)
    return exchange.refuse(error, peer_of(scope), head.method, head.path, fields)


async def _deny(scope: Scope, response: Response, send: Send) -> None:
    """Refuses a handshake with the whole response, or with 403 if the server cannot send it."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        return
    start = _start("websocket.http.response.start", response, [_length(len(response.body))])
    await send(start)
    await send({"type": "websocket.http.response.body", "body": response.body})


def _acceptance(response: Response) -> Message:
    """Returns the message that accepts a WebSocket, without the fields that the server sends."""
    fields = header_fields(response)
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in fields.items()
        if name.lower() not in _OF_SERVER and not name.lower().startswith(_OF_HANDSHAKE)
    ]
    subprotocol = fields.get("Sec-WebSocket-Protocol")
    return {"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers}


def _start(kind: str, response: Response, more: list[tuple[bytes, bytes]]) -> Message:
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in header_fields(response).items()
    ]
    return {"type": kind, "status": response.status, "headers": [*headers, *more]}


def _length(size: int) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % size

"""The gateway inside an aiohttp application: a handler that answers some of its routes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import NoReturn

from aiohttp import StreamReader, web
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.config.limits import Limits
from gateway.embedding.aiohttp_connection import UpgradedConnection
from gateway.embedding.embedded import (
    EmbeddedGateway,
    Exchange,
    answer,
    end,
    header_fields,
    raise_failure,
    with_heartbeats,
)
from gateway.embedding.heads import ReceivedHead
from gateway.http.messages import (
    BodyStream,
    Code,
    HeaderFields,
    Response,
    StatusError,
    StreamBrokenError,
    Takeover,
)
from gateway.listeners.http1.inflating import too_large
from gateway.listeners.http1.response_bytes import http_date, response_bytes
from gateway.message_stream import Parts

_DECODED = b"content-encoding"
"""aiohttp decompresses bodies, and leaves this field."""
_PIECE_BYTES = 64 * 1024
_PING_SWEEP_S = 1.0


class GatewayHandler(EmbeddedGateway):
    """Answers requests of an aiohttp application with calls to back ends.

    `run` goes into `app.cleanup_ctx`, `shut_down` into `app.on_shutdown`, `handle` onto routes.
    Logs, guards and limits are those of the settings, except `listen`, `tls`, `workers` and the
    limits of connections, which are the application's.
    """

    async def run(self, app: web.Application) -> AsyncIterator[None]:
        """Opens the gateway while the application runs, and closes it after its last request.

        Raises:
            StartUpError: it cannot start; the message says why.
        """
        del app
        async with self.open():
            yield

    async def shut_down(self, app: web.Application) -> None:
        """Ends the WebSockets, for which the application would wait otherwise."""
        del app
        self.end_websockets()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one request of the application.

        Raises:
            RuntimeError: `run` is not in `app.cleanup_ctx`.
        """
        exchange = self.exchange_in_use("app.cleanup_ctx.append(gateway.run)")
        head = _head(request)
        response = await _answered(exchange, request, head)
        if response.upgrade is not None:
            return await self._carried(request, response, response.upgrade)
        if response.stream is not None:
            return await _streamed(request, response, response.stream)
        return web.Response(
            status=response.status, headers=header_fields(response), body=response.body or None
        )

    async def _carried(
        self, request: web.Request, response: Response, upgrade: Takeover
    ) -> web.StreamResponse:
        """Lets a WebSocket have the connection, to its end."""
        head, _ = response_bytes(
            response, http_date(), "Upgrade", head_only=False, with_trailers=False
        )
        connection = UpgradedConnection(request, upgrade)
        running = asyncio.get_running_loop().create_task(upgrade.run(connection, head, b""))
        self._sockets.add(upgrade)
        try:
            connection.take(running)
            while not running.done():
                await asyncio.wait([running], timeout=_PING_SWEEP_S)
                connection.look_for_the_client()
                upgrade.send_heartbeat(asyncio.get_running_loop().time())
        finally:
            self._sockets.discard(upgrade)
            await end(running)
        raise_failure(running)
        return _Sent(status=response.status)


class _Sent(web.StreamResponse):
    """A response that is sent already; nothing follows it on its connection."""

    def __init__(self, *, status: int) -> None:
        super().__init__(status=status)
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> None:
        """Sends nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Sends nothing."""


class _Body:
    """The body of an application's request, which aiohttp has decompressed; see `Body`."""

    def __init__(self, content: StreamReader, limits: Limits) -> None:
        self._content = content
        self._limits = limits

    @property
    def is_buffered(self) -> bool:
        """False: whether the body is small is known when it has been read."""
        return False

    def read_now(self) -> NoReturn:
        """Refuses to read, as the body is not buffered.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("the body may not have arrived yet; expected a call of read")

    async def read(self) -> Parts:
        """See `Body.read`."""
        return [piece async for piece in self._pieces(self._limits.body_bytes)]

    def pieces(self, is_inside_message: Callable[[], bool]) -> AsyncGenerator[bytes]:
        """See `Body.pieces`."""
        del is_inside_message
        return self._pieces(self._limits.stream_bytes)

    async def _pieces(self, limit_bytes: int | None) -> AsyncGenerator[bytes]:
        total = 0
        try:
            async for piece in self._content.iter_chunked(_PIECE_BYTES):
                total += len(piece)
                if limit_bytes is not None and total > limit_bytes:
                    raise too_large(limit_bytes)
                yield piece
        except web.RequestPayloadError:
            raise StatusError(
                Code.INVALID_ARGUMENT, "the request body is incomplete or not in its coding"
            ) from None


async def _answered(exchange: Exchange, request: web.Request, head: ReceivedHead) -> Response:
    peer = request.remote or "unix"
    try:
        received = head.request(peer, exchange.limits, websockets=exchange.speaks_websocket)
    except StatusError as error:
        fields = HeaderFields(head.headers, head.raw_headers)
        return exchange.refuse(error, peer, head.method, head.path, fields)
    if request.body_exists:
        received.body = _Body(request.content, exchange.limits)
    return await answer(exchange, received)


def _head(request: web.Request) -> ReceivedHead:
    """Returns the head, without the coding that aiohttp has removed from the body."""
    raw = tuple(field for field in request.raw_headers if field[0].lower() != _DECODED)
    by_name = CIMultiDict(request.headers)
    by_name.popall("Content-Encoding", None)
    version = "1.0" if request.version < (1, 1) else "1.1"
    return ReceivedHead(request.method, request.raw_path, CIMultiDictProxy(by_name), raw, version)


async def _streamed(
    request: web.Request, response: Response, stream: BodyStream
) -> web.StreamResponse:
    """Sends a stream no faster than the client reads it; a broken one ends the connection."""
    sent = web.StreamResponse(status=response.status, headers=header_fields(response))
    if stream.length is not None:
        sent.content_length = stream.length
    try:
        await sent.prepare(request)
        if request.method != "HEAD":
            async for piece in with_heartbeats(stream):
                await sent.write(piece)
        await sent.write_eof()
    except StreamBrokenError:
        # The client must not take it for complete.
        if request.transport is not None:
            request.transport.abort()
    finally:
        await stream.aclose()
    return sent

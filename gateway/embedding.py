"""The gateway inside an aiohttp application: a handler that answers some of its routes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack

from aiohttp import StreamReader, web
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.app.site import open_site
from gateway.call import Interceptor
from gateway.config.limits import Limits
from gateway.config.model import Config
from gateway.exchange.exchange import Exchange
from gateway.exchange.stream_body import StreamBrokenError
from gateway.http.header_fields import HeaderFields, with_whole_lists
from gateway.http.messages import BodyStream, Request, Response, origin_form
from gateway.listeners.http1.body import too_large
from gateway.status import Code, StatusError
from gateway.telemetry.logs.opening import open_logs

_DECODED = b"content-encoding"
"""aiohttp decompresses bodies, and leaves this field."""
_PIECE_BYTES = 64 * 1024


class GatewayHandler:
    """Answers requests of an aiohttp application with calls to back ends.

    `run` goes into `app.cleanup_ctx`, `handle` onto routes. Logs, guards and limits are those of
    the settings, except `listen`, `tls`, `workers` and the limits of connections, which are the
    application's. WebSockets are refused with 501.
    """

    def __init__(self, config: Config, *, interceptors: Sequence[Interceptor] = ()) -> None:
        self._config = config
        self._interceptors = interceptors
        self._exchange: Exchange | None = None

    async def run(self, app: web.Application) -> AsyncIterator[None]:
        """Opens the gateway while the application runs, and closes it after its last request.

        Raises:
            StartUpError: it cannot start; the message says why.
        """
        del app
        async with AsyncExitStack() as stack:
            logs = await stack.enter_async_context(open_logs(self._config.log))
            opened = await open_site(self._config, logs, stack, self._interceptors)
            self._exchange = Exchange(opened.site)
            yield
            self._exchange = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one request of the application.

        Raises:
            RuntimeError: `run` is not in `app.cleanup_ctx`.
        """
        exchange = self._exchange
        if exchange is None:
            raise RuntimeError("the gateway is not open: app.cleanup_ctx.append(gateway.run)")
        peer = request.remote or "unix"
        fields = _fields(request)
        try:
            target = _target(request)
        except StatusError as error:
            response = exchange.refuse(error, peer, request.method, request.raw_path, fields)
        else:
            received = Request(request.method, target, fields, peer)
            if request.body_exists:
                received.body = _Body(request.content, exchange.limits)
            response = await exchange.answer(received)
        if response.stream is not None:
            return await _streamed(request, response, response.stream)
        return web.Response(
            status=response.status, headers=_headers(response), body=response.body or None
        )


class _Body:
    """The body of an application's request, which aiohttp has decompressed; see `Body`."""

    def __init__(self, content: StreamReader, limits: Limits) -> None:
        self._content = content
        self._limits = limits

    @property
    def is_buffered(self) -> bool:
        """False: whether the body is small is known when it has been read."""
        return False

    def read_now(self) -> bytes:
        """Is never called, because the body is never buffered."""
        raise NotImplementedError

    async def read(self) -> bytes:
        """See `Body.read`."""
        pieces = [piece async for piece in self._pieces(self._limits.body_bytes)]
        return b"".join(pieces)

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


def _target(request: web.Request) -> str:
    """Returns the path and query of a request.

    Raises:
        StatusError: it has none on this server, or asks for a WebSocket.
    """
    if request.headers.get("Upgrade", "").lower() == "websocket":
        raise StatusError(
            Code.UNIMPLEMENTED, "WebSockets are not served inside another application"
        )
    return origin_form(request.method, request.raw_path)


def _fields(request: web.Request) -> HeaderFields:
    """Returns the header fields, without the coding that aiohttp has removed from the body."""
    raw = [field for field in request.raw_headers if field[0].lower() != _DECODED]
    by_name = CIMultiDict(request.headers)
    by_name.popall("Content-Encoding", None)
    return HeaderFields(with_whole_lists(CIMultiDictProxy(by_name)), raw)


def _headers(response: Response) -> CIMultiDict[str]:
    lines = (line.partition(": ") for line in response.fixed.splitlines())
    headers = CIMultiDict([(name, value) for name, _, value in lines])
    headers.extend(response.headers)
    if response.content_type:
        headers["Content-Type"] = response.content_type
    return headers


async def _streamed(
    request: web.Request, response: Response, stream: BodyStream
) -> web.StreamResponse:
    """Sends a stream no faster than the client reads it; a broken one ends the connection."""
    sent = web.StreamResponse(status=response.status, headers=_headers(response))
    if stream.length is not None:
        sent.content_length = stream.length
    try:
        await sent.prepare(request)
        async for piece in _with_heartbeats(stream):
            await sent.write(piece)
        await sent.write_eof()
    except StreamBrokenError:
        # The client must not take it for complete.
        if request.transport is not None:
            request.transport.abort()
    finally:
        await stream.aclose()
    return sent


async def _with_heartbeats(stream: BodyStream) -> AsyncGenerator[bytes]:
    """Yields the pieces, and a heartbeat after each long silence."""
    waiting: asyncio.Future[bytes] | None = None
    try:
        while True:
            if waiting is None:
                waiting = asyncio.ensure_future(anext(stream))
            await asyncio.wait([waiting], timeout=stream.heartbeat_s)
            if not waiting.done():
                yield stream.heartbeat
                continue
            done, waiting = waiting, None
            try:
                piece = done.result()
            except StopAsyncIteration:
                return
            if piece:
                yield piece
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.wait([waiting])

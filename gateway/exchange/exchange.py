"""One HTTP request to one `Call`, and its reply back: the stops between socket and chain.

`Exchange.answer` is the HTTP ring in one place: every request gets its id, is matched and called,
and whatever happened is written down once, with the code its caller was told.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from gateway.audit import ORIGIN
from gateway.call import Handler
from gateway.config.model import Config
from gateway.exchange.calls import Calls
from gateway.exchange.dialects.rest_streams import Streams
from gateway.exchange.dialects.websocket.dialect import Upgrades
from gateway.exchange.dialects.websocket.handshake import take_credentials
from gateway.exchange.rendering import Rendering
from gateway.exchange.request_message import decode_message, read_message
from gateway.exchange.ring.ring import Ring
from gateway.http.compression import compress
from gateway.http.header_fields import NO_FIELDS
from gateway.http.messages import Request, Response
from gateway.http.request_id import RequestIds
from gateway.schema.catalog import Method
from gateway.status import Code, StatusError
from gateway.telemetry.logs.access import AccessLog
from gateway.transcoding.binding import Binding
from gateway.transcoding.routing.router import Match
from gateway.transcoding.transcoder import Transcoder

logger = logging.getLogger("gateway")

_NO_RING = Ring()
# A name of one's own saves looking for a member of an enum, which takes as long as a small call.
_OK: Final = Code.OK
_INTERNAL: Final = Code.INTERNAL
_now_s: Final = time.monotonic


class Exchange:
    """Answers requests through a transcoder and the chains of its methods."""

    def __init__(
        self,
        config: Config,
        transcoder: Transcoder,
        handlers: Mapping[Method, Handler],
        log: AccessLog,
        ring: Ring = _NO_RING,
    ) -> None:
        self.limits = config.limits
        self._compression = config.compression
        # Looked up once: a setting takes ten times as long as what is our own.
        self._compressed_from = config.compression.min_bytes if config.compression.enabled else None
        self._transcoder = transcoder
        # As what they are, not as what they can be asked: saves machine code asking each time.
        self._handlers = dict(handlers)
        self._gates = tuple(ring.gates)
        self._finishes = tuple(ring.finishes)
        self._endpoints = dict(ring.endpoints)
        self._ids = RequestIds()
        self.calls = Calls(config, handlers, log)
        self._note = self.calls.note
        self._log = log
        self._rendering = Rendering(
            transcoder, self.calls.rules, config.errors, config.limits.response_bytes
        )
        self._streams = Streams(config, transcoder, self.calls, self._rendering)
        self._upgrades = Upgrades(config, transcoder, self.calls)
        self.speaks_websocket = config.websocket.enabled
        """Whether a request can become a WebSocket."""

    async def answer(self, request: Request) -> Response:
        """The response to a request; whatever goes wrong is one too.

        Raises:
            CancelledError: the client is gone; its call has been ended and logged.
        """
        started_s = _now_s()
        request.id = self._ids.choose(request.fields.request_id)
        request.client = self.calls.client(request)
        ORIGIN.set((request.id, request.client))
        match: Match[Binding] | None = None
        try:
            if request.wants_websocket:
                take_credentials(request)
            for gate in self._gates:
                gate(request)
            if request.path in self._endpoints:
                response = await self._answer_at_endpoint(request)
            elif request.wants_websocket:
                match = self._upgrades.match(request.path)
                response = await self._upgrades.answer(request, match, started_s)
            else:
                match = self._match(request)
                response = await self._call(request, match, started_s)
            least = self._compressed_from
            if least is not None and len(response.body) >= least:
                accepted = request.headers.get("Accept-Encoding")
                await compress(response, accepted, self._compression)
        except StatusError as error:
            response = self._failure(request, error)
        except asyncio.CancelledError:
            if not request.is_overdue:
                self._note(request, match, 499, Code.CANCELLED, 0, started_s)
                raise
            response = self._failure(request, _overdue())
        except Exception:
            logger.exception("request %s failed", request.id)
            response = self._failure(request, StatusError(Code.INTERNAL, "internal error"))
        self._finish(request, response)
        if response.stream is not None or response.upgrade is not None:
            return response  # written down when it is through
        sent = 0 if request.method == "HEAD" or response.status == 204 else len(response.body)
        self._note(request, match, response.status, response.code, sent, started_s)
        return response

    def refuse(self, error: StatusError, peer: str, method: str = "", path: str = "") -> Response:
        """The response to what was not even a request, written down like any other."""
        # Only a path is safe to write down: an absolute target can hold a password.
        request = Request(method, path if path.startswith("/") else "", NO_FIELDS, peer)
        request.id = self._ids.choose(None)
        response = self._rendering.failure(error)
        self._finish(request, response)
        self._note(request, None, response.status, error.code, len(response.body), _now_s())
        return response

    def _failure(self, request: Request, error: StatusError) -> Response:
        return self._rendering.failure(error, request.fields.accept)

    def _finish(self, request: Request, response: Response) -> None:
        if request.own_headers:
            response.state(request.own_headers)
        response.headers.append(("X-Request-Id", request.id))
        for finish in self._finishes:
            finish(request, response)

    async def _answer_at_endpoint(self, request: Request) -> Response:
        by_method = self._endpoints[request.path]
        endpoint = by_method.get(request.method)
        if endpoint is None and request.method == "HEAD":
            endpoint = by_method.get("GET")  # RFC 9110 section 9.3.2
        if endpoint is None:
            raise _not_allowed(request.method, sorted(by_method))
        return await endpoint(request)

    def _match(self, request: Request) -> Match[Binding]:
        if request.path == "*":
            raise _allow(["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"])
        try:
            return self._transcoder.match(request.method, request.path)
        except StatusError as error:
            if request.method == "OPTIONS" and error.http_status == 405:
                raise _allow(self._transcoder.allowed_methods(request.path)) from None
            if self._log.masks.mask(request.path, None) != request.path:
                raise _without_path(error) from None
            raise

    async def _call(self, request: Request, match: Match[Binding], now_s: float) -> Response:
        """The response to a call of one message each way."""
        method = match.target.method
        if method.client_streaming or method.server_streaming:
            return await self._streams.answer(request, match, now_s)
        encode = self._transcoder.encoder(match, request.fields.accept)
        if request.body is None or request.body.is_whole:
            decode = partial(decode_message, self._transcoder, request, match)
            call = self.calls.open(request, method, now_s, decode=decode)
        else:
            read = partial(read_message, self._transcoder, request, match)
            call = self.calls.open(request, method, now_s, read=read)
        code = _INTERNAL
        try:
            reply = await self._handlers[method](call)
            response = self._rendering.reply(reply, encode)
            code = _OK
        except StatusError as error:
            code = error.code
            raise
        except asyncio.CancelledError:
            code = Code.DEADLINE_EXCEEDED if request.is_overdue else Code.CANCELLED
            raise
        finally:
            request.principal = call.principal
            call.end(code)
        return response


def _not_allowed(method: str, allowed: Sequence[str]) -> StatusError:
    """The answer where an endpoint has no such method (RFC 9110 section 15.5.6)."""
    if method == "OPTIONS":
        return _allow(list(allowed))
    return StatusError(
        Code.UNIMPLEMENTED,
        f"{method} is not served here; allowed: {', '.join(allowed)}",
        http_status=405,
        headers=[("Allow", ", ".join(allowed))],
    )


def _allow(methods: "list[str] | tuple[str, ...]") -> StatusError:
    """The answer to OPTIONS: not a failure, but no RPC either (RFC 9110 section 9.3.7)."""
    return StatusError(Code.OK, "", http_status=204, headers=[("Allow", ", ".join(methods))])


def _without_path(error: StatusError) -> StatusError:
    """The same failure, of a request whose path may hold a secret."""
    return StatusError(
        error.code,
        "no route for this request, whose path is not shown",
        http_status=error.http_status,
        headers=error.headers,
    )


def _overdue() -> StatusError:
    return StatusError(Code.DEADLINE_EXCEEDED, "the call did not finish in time")

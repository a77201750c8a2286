"""One HTTP request to one `Call`, and its reply back: the stops between socket and chain.

`Exchange.answer` is the HTTP ring in one place: every request gets its id, is matched and called,
and whatever happened is written down once, with the code its caller was told.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo

from gateway.call import Call, Deadline, Handler, Metadata, Reply
from gateway.config.model import Config
from gateway.frontend.compression import compress
from gateway.frontend.deadlines import Deadlines
from gateway.frontend.messages import Headers, Request, Response
from gateway.frontend.middleware.access_log import AccessLog, Entry, open_access_log
from gateway.frontend.middleware.forwarded import Forwarding
from gateway.frontend.middleware.request_id import RequestIds
from gateway.frontend.ring import Ring
from gateway.frontend.streaming import Pieces
from gateway.schema.catalog import Method
from gateway.status import Code, ErrorShape, StatusError, invalid_argument
from gateway.transcoding.binding import Binding
from gateway.transcoding.framing import FRAMINGS, Framing, choose_framing
from gateway.transcoding.metadata import HTTP_CODE, MetadataRules
from gateway.transcoding.payload import OCTET_STREAM, Payload
from gateway.transcoding.router import Match
from gateway.transcoding.transcoder import Transcoder

logger = logging.getLogger("gateway")

_NO_RING = Ring()


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
        self._shape = config.errors
        self._compression = config.compression
        self._transcoder = transcoder
        self._handlers = handlers
        self._log = log
        self._gates = ring.gates
        self._finishes = ring.finishes
        self._endpoints = ring.endpoints
        self._ids = RequestIds()
        self._rules = MetadataRules(config.metadata)
        self._forwarding = Forwarding(config.forwarded)
        self._deadlines = Deadlines(config.deadlines)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        config: Config,
        transcoder: Transcoder,
        handlers: Mapping[Method, Handler],
        ring: Ring = _NO_RING,
    ) -> AsyncIterator["Exchange"]:
        """An exchange with its access log open."""
        async with open_access_log(config.log.access) as log:
            yield cls(config, transcoder, handlers, log, ring)

    async def answer(self, request: Request) -> Response:
        """The response to a request; whatever goes wrong is one too.

        Raises:
            CancelledError: the client is gone; its call has been ended and logged.
        """
        started_s = time.monotonic()
        request.id = self._ids.choose(request.headers.get("X-Request-Id"))
        request.client = self._forwarding.client(request.peer, request.headers)
        match: Match[Binding] | None = None
        try:
            for gate in self._gates:
                gate(request)
            if request.path in self._endpoints:
                response = await self._answer_at_endpoint(request)
            else:
                match = self._match(request)
                response = await self._call(request, match, started_s)
            if len(response.body) >= self._compression.min_bytes and self._compression.enabled:
                accepted = request.headers.get("Accept-Encoding")
                await compress(response, accepted, self._compression)
        except StatusError as error:
            response = self.failure(error)
        except asyncio.CancelledError:
            if not request.is_overdue:
                self._note(request, match, 499, Code.CANCELLED, 0, started_s)
                raise
            response = self.failure(_overdue())
        except Exception:
            logger.exception("request %s failed", request.id)
            response = self.failure(StatusError(Code.INTERNAL, "internal error"))
        self._finish(request, response)
        if response.stream is not None:
            return response  # written down when it is through
        sent = 0 if request.method == "HEAD" or response.status == 204 else len(response.body)
        self._note(request, match, response.status, response.code, sent, started_s)
        return response

    def refuse(self, error: StatusError, peer: str, method: str = "", path: str = "") -> Response:
        """The response to what was not even a request, written down like any other."""
        # Only a path is safe to write down: an absolute target can hold a password.
        request = Request(method, path if path.startswith("/") else "", {}, (), peer)
        request.id = self._ids.choose(None)
        response = self.failure(error)
        self._finish(request, response)
        self._note(request, None, response.status, error.code, len(response.body), time.monotonic())
        return response

    def failure(self, error: StatusError) -> Response:
        """The response that tells of an error, with what the back end sent before it."""
        payload = self._transcoder.encode_error(error)
        headers = [*error.headers, *self._rules.to_headers(error.metadata)]
        if error.http_status == 401 and not _has(headers, "www-authenticate"):
            headers.append(("WWW-Authenticate", "Bearer"))  # RFC 9110 section 15.5.2
        retry_after_s = _retry_after_s(error)
        if retry_after_s is not None and not _has(headers, "retry-after"):
            headers.append(("Retry-After", str(retry_after_s)))  # RFC 9110 section 10.2.3
        return Response(
            error.http_status,
            headers,
            payload.body,
            payload.content_type,
            code=error.code,
            trailers=self._rules.to_headers(error.trailers),
        )

    def _finish(self, request: Request, response: Response) -> None:
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
            raise

    async def _call(self, request: Request, match: Match[Binding], now_s: float) -> Response:
        method = match.target.method
        headers = request.headers
        if method.client_streaming:
            raise StatusError(Code.UNIMPLEMENTED, f"{method.name} is {method.kind}, not served yet")
        framing = self._negotiate(match, headers.get("Accept"))
        timeout_s = self._timeout_s(method, headers.get("Grpc-Timeout"))
        request.deadline_s = math.inf if timeout_s is None else now_s + timeout_s
        call = Call(
            method,
            read=lambda: self._read(request, match),
            metadata=self._metadata(request),
            headers=headers,
            deadline=None if timeout_s is None else Deadline(request.deadline_s),
            peer=request.client,
        )
        code: Code | None = Code.INTERNAL
        try:
            reply = await self._handlers[method](call)
            if reply.messages is not None:
                response = await self._stream(request, match, call, reply, framing, now_s)
                code = None  # the stream ends the call when it is through
                return response
            response = self._respond(match, reply)
            code = Code.OK
        except StatusError as error:
            code = error.code
            raise
        except asyncio.CancelledError:
            code = Code.DEADLINE_EXCEEDED if request.is_overdue else Code.CANCELLED
            raise
        finally:
            if code is not None:
                call.end(code)
        return response

    def _negotiate(self, match: Match[Binding], accept: str | None) -> Framing | None:
        """The framing of a stream; None where there is none: unary replies, raw bytes."""
        if not match.target.method.server_streaming or self._transcoder.answers_raw(match):
            self._transcoder.accept(match, accept)
            return None
        framing = choose_framing(accept)
        if framing is None:
            offered = ", ".join(FRAMINGS)
            raise StatusError(
                Code.INVALID_ARGUMENT,
                f"the answer is a stream, offered as {offered}",
                http_status=406,
            )
        return framing

    def _timeout_s(self, method: Method, asked: str | None) -> float | None:
        if method.server_streaming:
            return self._deadlines.stream_timeout_s(method, asked)
        return self._deadlines.timeout_s(method, asked)

    async def _stream(  # noqa: PLR0917 - the whole of one exchange
        self,
        request: Request,
        match: Match[Binding],
        call: Call,
        reply: Reply,
        framing: Framing | None,
        started_s: float,
    ) -> Response:
        """The response to a stream; raw bytes have the media type of the first message."""
        messages = reply.messages
        assert messages is not None  # noqa: S101 - the caller has looked
        headers = self._rules.to_headers(reply.metadata)
        status = _chosen_status(reply.metadata)
        if framing is None:
            messages, payload = await _with_first(messages, partial(self._transcoder.encode, match))
            content_type = payload.content_type
            headers.extend(payload.headers)
        else:
            content_type = framing.media_type
            headers += [("Cache-Control", "no-store"), ("X-Accel-Buffering", "no")]

        def ended(code: Code, size: int) -> None:
            call.end(code)
            self._note(request, match, status, code, size, started_s)

        response = Response(status, headers, content_type=content_type)
        response.stream = Pieces(
            messages,
            lambda message: self._transcoder.encode(match, message).body,
            self._error_record,
            framing,
            ended,
        )
        return response

    def _error_record(self, error: StatusError) -> bytes:
        """A failure as the last record of a stream: an object with the one member `error`."""
        body = self._transcoder.encode_error(error).body
        return body if self._shape is ErrorShape.AIP193 else b'{"error":%b}' % body

    async def _read(self, request: Request, match: Match[Binding]) -> bytes:
        """The request's message: its body is read here and not before."""
        if match.target.body is None:
            if request.has_body:
                method = match.target.method.name
                raise invalid_argument("", f"{request.method} for {method} takes no body")
            body = b""
        else:
            body = await request.read_body()
            request.body_bytes = len(body)
        content_type = request.headers.get("Content-Type")
        return self._transcoder.decode(match, request.query, content_type, body)

    def _metadata(self, request: Request) -> Metadata:
        metadata = self._rules.to_metadata(request.raw_headers)
        metadata += self._forwarding.metadata(request.peer, request.headers)
        metadata.append(("x-request-id", request.id))
        return metadata

    def _respond(self, match: Match[Binding], reply: Reply) -> Response:
        payload = self._transcoder.encode(match, reply.message)
        if len(payload.body) > self.limits.response_bytes:
            raise StatusError(
                Code.RESOURCE_EXHAUSTED,
                f"the response is larger than {self.limits.response_bytes} bytes",
                http_status=500,
            )
        headers = self._rules.to_headers(reply.metadata)
        headers.extend(payload.headers)
        trailers = self._rules.to_headers(reply.trailers) if reply.trailers else None
        status = _chosen_status(reply.metadata)
        return Response(status, headers, payload.body, payload.content_type, trailers=trailers)

    def _note(  # noqa: PLR0917 - one value for each column of the log
        self,
        request: Request,
        match: Match[Binding] | None,
        status: int,
        code: Code,
        response_bytes: int,
        started_s: float,
    ) -> None:
        binding = None if match is None else match.target
        self._log.add(
            Entry(
                time.time(),
                request.id,
                request.method,
                request.path,
                "" if binding is None else binding.rule.template,
                "" if binding is None else binding.method.full_name,
                status,
                code.name,
                time.monotonic() - started_s,
                request.body_bytes,
                response_bytes,
                request.peer,
                request.headers.get("User-Agent", ""),
            )
        )


async def _with_first(
    messages: AsyncGenerator[bytes], encode: Callable[[bytes], Payload]
) -> tuple[AsyncGenerator[bytes], Payload]:
    """A stream whose first message has been looked at, and that message's payload."""
    first = await anext(messages, None)
    if first is None:
        return messages, Payload(b"", OCTET_STREAM)

    async def all_of_them() -> AsyncGenerator[bytes]:
        try:
            yield first
            async for message in messages:
                yield message
        finally:
            await messages.aclose()

    return all_of_them(), encode(first)


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


def _overdue() -> StatusError:
    return StatusError(Code.DEADLINE_EXCEEDED, "the call did not finish in time")


def _chosen_status(metadata: Metadata) -> int:
    """The HTTP status of a success: 200, or what the back end chose by x-http-code."""
    for name, value in metadata:
        if name == HTTP_CODE:
            if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
                status = int(value)
                if 200 <= status <= 599:
                    return status
            logger.warning("a back end sent a malformed %s; expected 200 to 599", HTTP_CODE)
    return 200


def _has(headers: Headers, name: str) -> bool:
    return any(key.lower() == name for key, _ in headers)


def _retry_after_s(error: StatusError) -> int | None:
    """Whole seconds from a RetryInfo detail, rounded up."""
    if error.code not in (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED):
        return None
    for detail in error.details:
        if detail.Is(RetryInfo.DESCRIPTOR):
            try:
                delay = RetryInfo.FromString(detail.value).retry_delay
            except DecodeError:
                return None
            return max(0, int(delay.seconds) + int(delay.nanos > 0))
    return None

"""Renders replies and failures as responses: status, headers, body, entity tag and Vary.

Sources: RFC 9110 sections 8.8.3.3 (entity tags) and 12.5.5 (Vary).
"""

import logging
from collections.abc import Sequence
from typing import Final

from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo

from gateway.call import Forms, Metadata, Reply
from gateway.exchange.unreadable import log_unreadable
from gateway.http.compression import is_compressible
from gateway.http.entity_tags import tag_representation
from gateway.http.messages import Headers, Request, Response, ResponseForm
from gateway.status import (
    STATUS_OF_CODE,
    Code,
    ErrorShape,
    Refused,
    RefusedAlike,
    StatusError,
    UnreadableReplyError,
)
from gateway.transcoding.metadata import CONTENT_LENGTH, HTTP_CODE, MetadataRules
from gateway.transcoding.response import Encoder
from gateway.transcoding.transcoder import Config, RouteMatch, Transcoder

# With what a response is made of: those that make them need no other import for it.
__all__ = ["Encoder", "Rendering", "Reply", "stated_length"]
logger = logging.getLogger("gateway")

_LARGE_BYTES: Final = 64 * 1024
"""The size above which a raw body is not copied out of its message."""
_BY_ACCEPT: Final = ("Vary", "Accept")
_BY_CODING: Final = ("Vary", "Accept-Encoding")
# A constant, because looking up an enum member takes as long as a small function call.
_UNAVAILABLE: Final = Code.UNAVAILABLE
_RESOURCE_EXHAUSTED: Final = Code.RESOURCE_EXHAUSTED
_BY_BOTH: Final = ("Vary", "Accept, Accept-Encoding")


class Rendering:
    """Creates the responses of one gateway."""

    def __init__(self, transcoder: Transcoder, rules: MetadataRules, config: Config) -> None:
        self._transcoder = transcoder
        self._rules = rules
        self._shape = config.errors
        self._limit_bytes = config.limits.response_bytes
        self._compresses = config.compression.enabled
        self._varies = _BY_BOTH if self._compresses else _BY_ACCEPT

    def reply(self, reply: Reply, encode: Encoder) -> Response:
        """Returns the response to a reply of one message.

        Raises:
            StatusError: the reply cannot be encoded, or is larger than `limits.response_bytes`.
        """
        own_headers: Sequence[tuple[str, str]] = ()
        part: memoryview | None = None
        if encode.write is not None:  # the usual case, which needs no payload
            body, content_type = encode.write(reply.message), encode.content_type
        else:
            large = encode.large(reply.message) if len(reply.message) > _LARGE_BYTES else None
            if large is None:
                payload = encode(reply.message)
            else:
                payload, part = large
            body, content_type, own_headers = payload.body, payload.content_type, payload.headers
        if (len(body) if part is None else len(part)) > self._limit_bytes:
            raise StatusError(
                Code.RESOURCE_EXHAUSTED,
                f"the response is larger than {self._limit_bytes} bytes",
                http_status=500,
            )
        if not (reply.metadata or reply.trailers or own_headers):  # the usual case
            return Response(200, [], body, content_type)
        response = self.head(reply.metadata, content_type)
        response.body = body
        response.part = part
        response.headers += own_headers
        if reply.trailers:
            response.trailers = self._rules.to_trailers(reply.trailers)
        return response

    def kept(self, forms: Forms, reply: Reply, encode: Encoder) -> Response | None:
        """Returns a response like one that was made of an equal reply; None without one."""
        form = forms.made.get(encode)
        return form.response() if isinstance(form, ResponseForm) and form.is_of(reply) else None

    def keep(self, forms: Forms, reply: Reply, encode: Encoder, response: Response) -> None:
        """Keeps a response for equal replies, before anything of its request is added."""
        form = ResponseForm(forms, reply, response)
        forms.keep(encode, form, form.size_bytes)

    def head(self, metadata: Metadata, content_type: str) -> Response:
        """Returns the response to a reply, without its body or its stream."""
        if not metadata:  # the usual case
            return Response(200, [], b"", content_type)
        headers = self._rules.to_headers(metadata)
        return Response(_chosen_status(metadata), headers, b"", content_type)

    def refusal(self, refused: Refused, request: Request) -> Response:
        """Returns the response to a request whose call is refused."""
        if not isinstance(refused, RefusedAlike):
            return self.failure(refused.error, request)
        code = refused.code
        payload = self._transcoder.encode_refusal(refused, request.fields.accept)
        headers = [*refused.headers, self._varies]
        return _plain(code, headers, payload.body, payload.content_type)

    def plain_failure(self, code: Code, message: str, request: Request) -> Response | None:
        """Returns the response for a failure without details, for which no error is made.

        Returns None if only `failure` can render it; see `Transcoder.encode_plain_error`.
        """
        payload = self._transcoder.encode_plain_error(code, message, request.fields.accept)
        if payload is None:
            return None
        return _plain(code, [self._varies], payload.body, payload.content_type)

    def failure(self, error: StatusError, request: Request | None = None) -> Response:
        """Returns the response for an error, with the metadata that the back end sent before it.

        It depends on the fields of its request, if that is given. Never raises: if an error cannot
        be rendered, only its code and its status are kept.
        """
        if isinstance(error, UnreadableReplyError):
            log_unreadable(error)
        try:
            response = self._failure(error, None if request is None else request.fields.accept)
        except Exception:
            logger.exception("an error could not be rendered")
            plain = StatusError(error.code, "internal error", http_status=error.http_status)
            payload = self._transcoder.encode_error(plain)
            body, content_type = payload.body, payload.content_type
            response = Response(error.http_status, [], body, content_type, code=error.code)
        response.is_failure = True
        if request is not None and response.status != 204:
            if _has(response.headers, "etag"):  # hardly ever
                tag_representation(response, request.fields, is_raw=False)
            response.headers.append(self._varies)
        return response

    def _failure(self, error: StatusError, accept: str | None) -> Response:
        payload = self._transcoder.encode_error(error, accept)
        headers, metadata, trailers = [*error.headers], error.metadata, error.trailers
        if metadata:
            headers += self._rules.to_headers(metadata)
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
            trailers=self._rules.to_trailers(trailers) if trailers else None,
        )

    def record(self, error: StatusError) -> bytes:
        """Renders a failure as the last record of a stream: an object with the member `error`."""
        body = self._transcoder.encode_error(error).body
        return body if self._shape is ErrorShape.AIP193 else b'{"error":%b}' % body

    def describe(self, request: Request, match: RouteMatch | None, response: Response) -> None:
        """Adds the entity tag and Vary to a response; it is an endpoint's if `match` is None.

        Not for a response that opens a WebSocket: it has no representation.
        """
        form = response.form
        if form is not None:  # all of it depends on the form and its coding
            is_gzip = form.is_gzipped(response)
            known = form.described.get(is_gzip)
            if known is None:
                response.form = None
                self.describe(request, match, response)
                form.described[is_gzip] = response.headers.copy()
            else:
                response.headers = known.copy()
            return
        is_raw = match is None or match.target.answers_raw
        if response.headers:  # without headers there is no entity tag; this is the usual case
            tag_representation(response, request.fields, is_raw=is_raw)
        if not is_raw:
            response.headers.append(self._varies if response.stream is None else _BY_ACCEPT)
        elif (
            self._compresses and response.stream is None and is_compressible(response.content_type)
        ):
            response.headers.append(_BY_CODING)


def _plain(code: Code, headers: Headers, body: bytes, content_type: str) -> Response:
    """Returns the response for a failure without details."""
    response = Response(STATUS_OF_CODE[code], headers, body, content_type, code=code)
    response.is_failure = True
    return response


def stated_length(metadata: Metadata) -> int | None:
    """Returns the size of a raw reply, if the back end states it in x-http-content-length."""
    for name, value in metadata:
        if name == CONTENT_LENGTH:
            if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
                return int(value)
            logger.warning("a back end sent a malformed %s; expected a number", CONTENT_LENGTH)
    return None


def _chosen_status(metadata: Metadata) -> int:
    """Returns the HTTP status of a success: 200, or the one that x-http-code states."""
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
    """Returns the whole seconds of a RetryInfo detail, rounded up."""
    code = error.code
    if code is not _UNAVAILABLE and code is not _RESOURCE_EXHAUSTED:
        return None
    for detail in error.details:
        if detail.Is(RetryInfo.DESCRIPTOR):
            try:
                delay = RetryInfo.FromString(detail.value).retry_delay
            except DecodeError:
                return None
            return max(0, int(delay.seconds) + int(delay.nanos > 0))
    return None

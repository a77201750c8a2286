"""Decodes the single request message of a call from the request's body and its URL."""

from typing import Final

from gateway.exchange.worker_threads import transcode
from gateway.http.messages import Request
from gateway.status import invalid_argument
from gateway.transcoding.binding import RouteMatch
from gateway.transcoding.request import RequestDecoder

_READS: Final = ("GET", "HEAD")


class RequestMessage:
    """The request message of a call; decoded when the call first reads it."""

    __slots__ = ("_decoder", "_match", "_request")

    def __init__(self, decoder: RequestDecoder, request: Request, match: RouteMatch) -> None:
        self._decoder = decoder
        self._request = request
        self._match = match

    def take(self) -> bytes | None:
        """Returns the message, or None if its body has not arrived yet or is large.

        Raises:
            StatusError: the request is invalid for its method.
        """
        request = self._request
        body = request.body
        if body is None:
            return self._decoder.decode(
                self._match.captures, request.query, request.fields.content_type, b""
            )
        self._refuse_excess_body()
        if not body.is_buffered:
            return None
        return self._decode(body.read_now())

    async def read(self) -> bytes:
        """Returns the message, after its body has arrived.

        Raises:
            StatusError: as `take`.
        """
        body = self._request.body
        if body is None:
            return self._decode(b"")
        self._refuse_excess_body()
        parts = await body.read()
        if self._decoder.takes_raw_body:  # raw bytes are only copied
            return self._decode_parts(parts)
        return await transcode(self._decode, b"".join(parts))

    def line(self) -> tuple[str, str, str] | None:
        """Returns the request line of a GET or HEAD without a body; None for other requests."""
        request = self._request
        if request.method not in _READS or request.body is not None:
            return None
        if request.fields.content_type is not None:
            return None
        return request.method, request.path, request.query

    def _refuse_excess_body(self) -> None:
        if self._match.target.body is not None:
            return
        decoder, request = self._decoder, self._request
        if decoder.ignores_excess_body or decoder.takes_url_encoded(request.fields.content_type):
            return
        refuse_needless_body(request, self._match)

    def _decode_parts(self, parts: list[bytes]) -> bytes:
        request = self._request
        request.body_bytes = sum(map(len, parts))
        return self._decoder.decode_parts(
            self._match.captures, request.query, request.fields.content_type, parts
        )

    def _decode(self, body: bytes) -> bytes:
        request = self._request
        request.body_bytes = len(body)
        return self._decoder.decode(
            self._match.captures, request.query, request.fields.content_type, body
        )


def refuse_needless_body(request: Request, match: RouteMatch) -> None:
    """Rejects a body if the HTTP rule of the method has no `body`.

    Raises:
        StatusError: INVALID_ARGUMENT.
    """
    if request.body is not None and match.target.body is None:
        method = match.target.method.name
        raise invalid_argument("", f"{request.method} for {method} takes no body")

"""From the bytes of one connection to its requests."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import StreamReader
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from aiohttp.streams import EMPTY_PAYLOAD

from gateway.config.model import Limits
from gateway.http.header_fields import NO_FIELDS
from gateway.http.messages import Request, origin_form
from gateway.listeners.http1.body import BrokenBodyError, IncomingBody, ReadHook, WholeBody
from gateway.listeners.http1.repeated_head import RepeatedHead
from gateway.listeners.http1.request_head import (
    TARGET_SLACK_BYTES,
    Head,
    asks_for_websocket,
    awaits_continue,
    check_request_line,
    fields_of_broken,
    framed,
    read_fields,
    with_host_of,
)
from gateway.status import StatusError

ReceivedRequest = tuple[Request | StatusError, Head, StreamReader]
"""A request, or why it is refused; what the parser made of it; and what its body comes in."""

_BUFFER_BYTES: Final = 64 * 1024


class RequestReader:
    """Reads requests with aiohttp's parser; those that repeat one another, without."""

    __slots__ = (
        "_feed",
        "_fields",
        "_limits",
        "_on_awaited_read",
        "_on_read",
        "_repeated_head",
        "_websockets",
        "broken",
        "certificate",
        "parser",
        "peer",
    )

    def __init__(
        self,
        protocol: object,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        on_read: ReadHook,
        on_awaited_read: ReadHook,
        *,
        websockets: bool,
    ) -> None:
        """`protocol` is whose bytes they are, and is what the bodies hold back when they are full.

        `begin` hears when a body is being read; `invite` where the client waits for that.
        """
        self.parser = _request_parser(protocol, loop, limits)
        self._feed = self.parser.feed_data
        self._limits = limits
        self._on_read = on_read
        self._on_awaited_read = on_awaited_read
        self._repeated_head = RepeatedHead(limits)
        self._websockets = websockets
        self._fields = NO_FIELDS
        """Those of the last request, for the next one most often says the same."""
        self.broken = NO_FIELDS
        """What is known of a request that no parser could read."""
        self.peer = ""
        self.certificate: Any = None
        """What the client has shown of itself, where it speaks TLS."""

    def read(self, data: bytes) -> tuple[Sequence[ReceivedRequest], bool, bytes]:
        """The requests whose heads are whole now; whether another protocol is asked for; its bytes.

        Raises:
            HttpProcessingError: what comes is no HTTP, and nothing behind it can be read.
        """
        repeated = self._repeated_head.read(data)
        if repeated is not None:
            method, target, fields, body = repeated
            self._fields = fields
            request = Request(method, target, fields, self.peer)
            request.certificate = self.certificate
            if body:
                request.body = WholeBody(body)
            return ((request, self._repeated_head.message, EMPTY_PAYLOAD),), False, b""
        try:
            messages, is_upgraded, early = self._feed(data)
        except HttpProcessingError:
            self.broken = fields_of_broken(data)
            raise
        if not messages:
            return (), is_upgraded, early
        before = self._fields
        received = [self._received_request(*each, upgraded=is_upgraded) for each in messages]
        first, *more = received
        if not more and isinstance(first[0], Request) and first[0].fields is before:
            self._repeated_head.learn(data, first[1], first[2], before)
        return received, is_upgraded, early

    def _received_request(
        self, message: Head, body: StreamReader, *, upgraded: bool
    ) -> ReceivedRequest:
        try:
            return self._request(message, body, upgraded=upgraded), framed(message), body
        except StatusError as error:
            return error, framed(message), body

    def _request(self, message: Head, body: StreamReader, *, upgraded: bool) -> Request:
        limits = self._limits
        check_request_line(message, limits)
        fields = self._fields
        if fields.raw != message.raw_headers:
            fields = self._fields = read_fields(message, limits)
        waits = fields.expect is not None and awaits_continue(fields.expect, message.version)
        target = origin_form(message.method, message.path)
        if message.path[:1] not in ("/", "*"):
            fields = with_host_of(message.path, fields)
        request = Request(message.method, target, fields, self.peer)
        if not body.is_eof() or body.total_bytes:
            request.body = IncomingBody(
                body, fields, limits, self._on_awaited_read if waits else self._on_read
            )
        request.certificate = self.certificate
        if upgraded and message.upgrade and self._websockets:
            request.wants_websocket = asks_for_websocket(message, fields)
        return request


def _request_parser(protocol: object, loop: asyncio.AbstractEventLoop, limits: Limits) -> Any:
    """What makes requests of the bytes of one connection, and fills their bodies."""
    parser: Any = HttpRequestParser  # its C half has more arguments than its types tell
    return parser(
        protocol,
        loop,
        _BUFFER_BYTES,
        max_line_size=limits.url_bytes + TARGET_SLACK_BYTES,
        max_headers=limits.header_count,
        max_field_size=limits.header_bytes,
        payload_exception=BrokenBodyError,
        auto_decompress=False,
    )

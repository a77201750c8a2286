"""Parses the bytes of one connection into requests."""

import asyncio
from typing import Any, Final

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from aiohttp.streams import EMPTY_PAYLOAD
from multidict import istr

from gateway.http.messages import NO_FIELDS, HeaderFields, Request, StatusError, origin_form
from gateway.listeners.http1.arriving_body import LOW_WATER_BYTES, ArrivingBody, BodySource
from gateway.listeners.http1.body import BrokenBodyError, IncomingBody, ReadHook, WholeBody
from gateway.listeners.http1.plain_head import KEPT_BYTES, PLAIN_MESSAGE, PLAIN_UPLOAD, PlainHeads
from gateway.listeners.http1.request_head import (
    TARGET_SLACK_BYTES,
    Head,
    Limits,
    asks_for_websocket,
    awaits_continue,
    check_request_line,
    framed,
    is_too_large,
    malformed,
    read_fields,
    timed_out,
    with_host_of,
)
from gateway.listeners.http1.unfinished_head import UnfinishedHead, after_last_head

_CONTENT_LENGTH: Final = istr("Content-Length")
_MAX_SKIPPED_BYTES: Final = 64 * 1024
"""The limit for the rest of a head that is too large, which is searched for its `Origin`."""


class ReceivedRequest:
    """A request whose head is complete.

    A class, because machine code checks the types of a tuple's items each time it takes one.
    """

    __slots__ = ("body", "head", "request")

    def __init__(self, request: Request | StatusError, head: Head, body: BodySource) -> None:
        self.request = request
        """The request, or the error that rejects it."""
        self.head = head
        """Its parsed head."""
        self.body = body
        """The stream of its body."""


class RequestReader:
    """Reads requests with aiohttp's parser; those with plain heads without it.

    So the body of a plain head does not pass the parser either: of its bytes, as many as the head
    states are the body's, without a copy.
    """

    __slots__ = (
        "_body",
        "_connection",
        "_failure",
        "_fields",
        "_held",
        "_is_at_rest",
        "_is_full",
        "_limits",
        "_loop",
        "_parser",
        "_plain_heads",
        "_raw_headers",
        "_stated_bytes",
        "_taken_bytes",
        "_unfinished",
        "_websockets",
        "certificate",
        "peer",
    )

    def __init__(
        self,
        protocol: object,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        *,
        websockets: bool,
    ) -> None:
        """Takes the connection (`protocol`), which the bodies pause when they are full.

        Its `on_body_read` is called when the reading of a body starts; its `on_awaited_read`
        instead, if the client waits for 100 Continue.
        """
        self._parser: Any = None
        """Parses heads that are not plain, and fills their bodies; None before the first one.

        It takes a kilobyte, and most clients send plain heads only.
        """
        self._connection: Any = protocol
        self._loop = loop
        self._limits = limits
        self._plain_heads = PlainHeads(limits)
        self._is_at_rest = True
        """True while the parser waits for the first byte of a request."""
        self._is_full = False
        """True if the body of a plain head was full after its last bytes."""
        self._held = b""
        """The bytes after a body that was full at its end: they wait until some of it is read."""
        self._websockets = websockets
        self._fields, self._raw_headers = NO_FIELDS, NO_FIELDS.raw
        """The fields of the last request from the parser; the next usually has the same."""
        self._unfinished: UnfinishedHead | None = None
        """The head that has begun, if it comes in several pieces or cannot be parsed."""
        self._failure: HttpProcessingError | None = None
        """The error of a head that is too large, while the rest of it is received."""
        self._body: BodySource | None = None
        """The body that was not complete after the last piece; it has given `_taken_bytes`."""
        self._taken_bytes = 0
        self._stated_bytes = 0
        """The size that the head of this body states; 0 if its end is known only when it comes."""
        self.peer = ""
        self.certificate: Any = None
        """The client certificate, if there is one."""

    def read(self, data: bytes | memoryview) -> tuple[list[ReceivedRequest], bool, bytes]:
        """Returns the requests whose heads are complete, an upgrade flag, and the bytes after it.

        The flag is true if the last request asks for another protocol. A view is cheaper for the
        bytes of a body, and dearer for others.

        Raises:
            HttpProcessingError: the bytes are not HTTP, so nothing after them can be read.
        """
        body = self._body
        if self._is_at_rest and isinstance(body, ArrivingBody):
            return self._fill(body, data)
        if not isinstance(data, bytes):
            data = bytes(data)
        request = self._plain_heads.read(data, self.peer) if self._is_at_rest else None
        if request is None:
            return self.parse(data)
        request.certificate = self.certificate
        fields = request.fields
        length = fields.content_length
        if not length:
            return [ReceivedRequest(request, PLAIN_MESSAGE, EMPTY_PAYLOAD)], False, b""
        start = data[self._plain_heads.body_at :]
        if len(start) == length:
            request.body = WholeBody(start)
            return [ReceivedRequest(request, PLAIN_MESSAGE, EMPTY_PAYLOAD)], False, b""
        stream = ArrivingBody(self._connection, self._loop)
        on_read: ReadHook = self._connection.on_body_read
        request.body = IncomingBody(stream, fields, self._limits, on_read)
        self._body, self._stated_bytes = stream, length
        stream.feed_data(start)
        return [ReceivedRequest(request, PLAIN_UPLOAD, stream)], False, b""

    def _fill(
        self, body: ArrivingBody, data: bytes | memoryview
    ) -> tuple[list[ReceivedRequest], bool, bytes]:
        """Adds bytes to the body of a plain head, and reads what follows its end."""
        left = self._stated_bytes - body.total_bytes
        size = len(data)
        if size < left:
            body.feed_data(data)
            return [], False, b""
        if left:
            self._is_full = False
            body.feed_data(data if size == left else data[:left])
            self._held = bytes(data[left:])
            if self._is_full:  # as the parser does: the end is noted when there is room again
                return [], False, b""
            data = b""
        data, self._held = self._held + data, b""
        self._body = None
        body.feed_eof()
        return self.read(data) if data else ([], False, b"")

    def pause_reading(self) -> None:
        """Called while bytes are added to a body, if it is full."""
        if self._is_at_rest:
            self._is_full = True
        else:
            self._parser.pause_reading()

    def parse(self, data: bytes) -> tuple[list[ReceivedRequest], bool, bytes]:
        """Does the work of `read` with the parser alone."""
        self._is_at_rest = False
        if self._failure is not None:
            self._skip(data, self._failure)
            return [], False, b""
        if self._parser is None:
            kind: Any = HttpRequestParser  # the one in C has parameters that its types do not list
            limits = self._limits
            self._parser = kind(
                *(self._connection, self._loop, LOW_WATER_BYTES),
                max_line_size=limits.url_bytes + TARGET_SLACK_BYTES,
                max_headers=limits.header_count,
                max_field_size=limits.header_bytes,
                payload_exception=BrokenBodyError,
                auto_decompress=False,
            )
        try:
            messages, is_upgraded, early = self._parser.feed_data(data)
        except HttpProcessingError as error:
            self._fail(data, error)
            return [], False, b""
        if not messages:
            self._note_unfinished(data)
            return [], is_upgraded, early
        received: list[ReceivedRequest] = []
        for message, body in messages:
            head = framed(message) if message.chunked else message
            try:
                request = self._request(message, body, upgraded=is_upgraded)
            except StatusError as error:
                received.append(ReceivedRequest(error, head, body))
            else:
                received.append(ReceivedRequest(request, head, body))
        head, body = received[-1].head, received[-1].body
        self._unfinished = self._body = None
        if not body.is_eof():
            self._body, self._taken_bytes = body, body.total_bytes
            # The parser has refused a length that is no number, and one beside chunks.
            self._stated_bytes = int(head.headers.get(_CONTENT_LENGTH, "0"))
        elif not data.endswith(b"\r\n\r\n"):
            self._note_unfinished(after_last_head(data)[body.total_bytes :])
        if len(received) == 1 and not is_upgraded:
            self._is_at_rest = _ends_with_request(data, head, body)
            if self._is_at_rest and len(data) - body.total_bytes > KEPT_BYTES:
                # The parser holds the whole head, too.
                self._parser, self._fields, self._raw_headers = None, NO_FIELDS, NO_FIELDS.raw
        return received, is_upgraded, early

    @property
    def has_begun_head(self) -> bool:
        """True if a head has begun and is not complete."""
        return self._unfinished is not None

    def body_left(self) -> int:
        """Returns the number of bytes that certainly belong to the body that has begun."""
        body = self._body
        return 0 if body is None else self._stated_bytes - body.total_bytes

    def fields_of_failed(self) -> HeaderFields:
        """Returns the known fields of a request whose head is incomplete or could not be parsed."""
        return NO_FIELDS if self._unfinished is None else self._unfinished.fields()

    def overdue(self) -> StatusError:
        """Returns the error of a head that does not arrive in time."""
        failure = self._failure
        return timed_out("head") if failure is None else malformed(failure, self._limits)

    def _note_unfinished(self, data: bytes) -> None:
        """Notes a piece that completed no head: of a body, of a head, or the end of one of both."""
        body = self._body
        if body is not None:
            if not body.is_eof():
                self._taken_bytes = body.total_bytes
                return
            # The size of chunks is not known, but their end looks like that of a head.
            data = after_last_head(data[body.total_bytes - self._taken_bytes :])
            self._body = None
        if data:
            if self._unfinished is None:
                self._unfinished = UnfinishedHead()
            self._unfinished.add(data)

    def _fail(self, data: bytes, error: HttpProcessingError) -> None:
        """Raises `error`; at the end of the head, if it is only too large."""
        is_body = self._body is not None and not self._body.is_eof()
        self._note_unfinished(data)
        unfinished = self._unfinished
        if is_body or unfinished is None or unfinished.is_complete or not is_too_large(error):
            raise error
        self._failure = error

    def _skip(self, data: bytes, failure: HttpProcessingError) -> None:
        """Takes the rest of a head that is too large, and raises its error at the end."""
        unfinished = self._unfinished
        if unfinished is not None:
            unfinished.add(data)
            if not unfinished.is_complete and unfinished.size <= _MAX_SKIPPED_BYTES:
                return
        raise failure

    def _request(self, message: Head, body: BodySource, *, upgraded: bool) -> Request:
        limits = self._limits
        check_request_line(message, limits)
        fields = self._fields
        if self._raw_headers != message.raw_headers:
            fields = self._fields = read_fields(message, limits)
            self._raw_headers = message.raw_headers
        waits = fields.expect is not None and awaits_continue(fields.expect, message.version)
        target = origin_form(message.method, message.path)
        if message.path[:1] not in ("/", "*"):
            fields = with_host_of(message.path, fields)
        request = Request(message.method, target, fields, self.peer)
        if message.version < (1, 1):
            request.http_version = "1.0"  # the others are 1.1, whatever they call themselves
        if not body.is_eof() or body.total_bytes:
            connection = self._connection
            on_read: ReadHook = connection.on_awaited_read if waits else connection.on_body_read
            request.body = IncomingBody(body, fields, limits, on_read)
        request.certificate = self.certificate
        if upgraded and message.upgrade and self._websockets:
            request.wants_websocket = asks_for_websocket(message)
        return request


def fields_of(message: Head) -> HeaderFields:
    """Returns the fields of a request that is refused, as they are."""
    return HeaderFields(message.headers, message.raw_headers)


def _ends_with_request(data: bytes, message: Head, body: BodySource) -> bool:
    """True if `data`, of which the parser made one request, certainly ends with that request.

    The end of the head was then not split between two reads, which would start with CR or LF, and
    no line ends otherwise than with CRLF. So the head ends at the first empty line or later, and at
    that line exactly if the body fills the rest.
    """
    end = data.find(b"\r\n\r\n") + 4
    if message.should_close or message.upgrade or message.chunked or end < 4:
        return False
    if data[0] in b"\r\n" or data.count(b"\n", 0, end) != data.count(b"\r\n", 0, end):
        return False
    return body.is_eof() and body.total_bytes == len(data) - end

"""The HTTP request and response that the exchange works with."""

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from gateway.call import Attempt, Certificate, Code, Forms, Principal, Reply, StatusError, Trace
from gateway.http.connection import SocketConnection, StreamBrokenError, StreamConnection
from gateway.http.header_fields import NO_FIELDS, HeaderFields
from gateway.http.sent_lines import MOST_CHARACTERS, KeptHeads, SentHead
from gateway.message_stream import Parts

# With all that a request and a response are made of, and the errors of those that handle them.
__all__ = ["NO_FIELDS", "Certificate", "Code", "HeaderFields", "SocketConnection", "StatusError"]
__all__ += ["Body", "BodyStream", "Endpoint", "StreamBrokenError", "StreamConnection", "Trace"]
__all__ += ["Endpoints", "Headers", "OpenCall", "Request", "Response", "ResponseForm", "Takeover"]
__all__ += ["origin_form"]
Headers = list[tuple[str, str]]

_OK: Final = Code.OK
_FORM_BYTES: Final = 3300 + 2 * MOST_CHARACTERS
"""The memory of a form besides its texts, roughly."""


class Body(Protocol):
    """The body of a request; it is read only on demand."""

    @property
    def is_buffered(self) -> bool:
        """True if the whole body has arrived, is not compressed, and is small."""

    def read_now(self) -> bytes:
        """Returns the whole body without waiting; only if `is_buffered`.

        Raises:
            StatusError: the body is too large or incomplete.
        """

    async def read(self) -> Parts:
        """Returns the whole body, decompressed, in the parts in which it arrived.

        Raises:
            StatusError: the body is too large, incomplete, or not in the stated coding.
        """

    def pieces(self, is_inside_message: Callable[[], bool]) -> AsyncGenerator[bytes]:
        """Yields the body as it arrives, decompressed, in pieces of a bounded size.

        A client may pause between messages; while `is_inside_message`, a timeout applies.

        Raises:
            StatusError: the body is too large, incomplete, or not in the stated coding.
        """


class BodyStream(Protocol):
    """The pieces of a streamed response's body, closed by the connection that writes them."""

    length: int | None
    """The total size in bytes, if it is known."""
    heartbeat_s: float | None
    """Seconds of silence after which a heartbeat is due; None for no heartbeats."""

    @property
    def heartbeat(self) -> bytes:
        """The bytes that may be sent between two pieces to show that the stream is alive."""

    def __aiter__(self) -> "BodyStream":
        """Returns the iterator over the pieces, in order."""

    def take(self) -> bytes | memoryview | None:
        """Returns the next piece if it is there, maybe as a view; None if it has to be awaited."""

    async def following(self) -> bytes | memoryview:
        """Waits for the next piece, which may be a view; raises what `__anext__` does."""

    async def __anext__(self) -> bytes:
        """Returns the next piece.

        Raises:
            ConnectionError: the stream failed, and its format cannot express errors.
        """

    def interrupt(self, error: StatusError) -> bool:
        """Makes `error` the end of the stream, instead of its next piece.

        Returns True if a task waits for that piece: it must be cancelled, and gets the end.
        """

    async def aclose(self) -> None:
        """Ends the call if it has not ended."""


class Takeover(Protocol):
    """A protocol that takes over a connection when the response's head is ready."""

    async def run(self, connection: SocketConnection, head: bytes, early: bytes) -> None:
        """Sends `head`, receives `early` (bytes after the request), and serves to the end."""

    def receive(self, data: bytes) -> None:
        """Receives bytes from the client."""

    def send_heartbeat(self, now_s: float) -> None:
        """Sends a heartbeat if one is due."""

    def shut_down(self) -> None:
        """Ends, because the gateway shuts down."""


class OpenCall(Protocol):
    """The part of a call that the exchange needs to end it."""

    @property
    def principal(self) -> Principal | None:
        """The authenticated caller; None before authentication."""

    @property
    def split(self) -> tuple[str, str] | None:
        """The name of the split that chose the upstream, and the upstream; None without one."""

    @property
    def cache_result(self) -> str:
        """The result of the cache; empty if it was not asked."""

    @property
    def back_end_failed(self) -> bool:
        """True if its back end failed or did not answer in time."""

    def end(self, code: Code) -> Awaitable[None] | None:
        """Ends the call with the code that the client receives, if it has not ended.

        The result must be awaited, unless it is None.
        """


class Request(Trace):
    """A request whose head has arrived; its body is read only on demand.

    It is also its place in its trace, once a call or the record needs that: one object less each.
    `path` and `query` are raw: nothing is decoded, and dot segments are kept. After `deadline_s`,
    on the loop's clock, the connection sets `interruption` and cancels the task of the request.
    """

    __slots__ = (
        *("attempts", "back_end_failed", "body", "body_bytes", "cache_result", "certificate"),
        *("client", "deadline_s", "fields", "first_byte_s", "http_version", "id", "interruption"),
        *("method", "open_call", "own_headers", "path", "peer", "principal", "query", "split"),
        "wants_websocket",
    )

    def __init__(self, method: str, target: str, fields: HeaderFields, peer: str) -> None:
        self.traceparent, self.call_code = b"", None  # costs less than a call of `super`
        self.method = method
        self.path, _, self.query = target.partition("?") if "?" in target else (target, "", "")
        self.fields = fields
        self.peer = peer
        self.client = peer
        """The client's address; differs from `peer` behind trusted proxies."""
        self.first_byte_s = 0.0
        """The time since 1970 at which the head of a stream was ready; 0 without a stream."""
        self.http_version = "1.1"
        """The version of HTTP, for the metrics and the trace; empty if it is not known."""
        self.certificate: Certificate | None = None
        """The client certificate of this connection."""
        self.own_headers: Headers = []
        """Response headers of the gateway's guards; they replace those of a back end."""
        self.id = ""
        self.principal: Principal | None = None
        """The authenticated caller, for the access log; None before authentication."""
        self.split: tuple[str, str] | None = None
        """The split of its call and the upstream, for the access log; None without one."""
        self.attempts: Sequence[Attempt] = ()
        """The attempts of its call, for the access log and the trace; empty for one."""
        self.back_end_failed = False
        """True if its back end failed or did not answer in time, for the metrics."""
        self.cache_result = ""
        """The result of the cache, for the access log; empty if it was not asked."""
        self.open_call: OpenCall | None = None
        """The call of this request, from its opening until the exchange ends it."""
        self.body: Body | None = None
        self.wants_websocket = False
        self.body_bytes = 0
        self.deadline_s = math.inf
        self.interruption: StatusError | None = None
        """The error with which the connection ends the request; None if it does not."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields by name, in any letter case."""
        return self.fields.by_name


class ResponseForm:
    """A response to a stored reply, from which equal responses are made.

    It is that of the message and its representation, before anything of a request is added.
    """

    __slots__ = ("_forms", "_heads", "_reply", "_response", "body_bytes", "described", "gzipped")

    def __init__(self, forms: Forms, reply: Reply, response: "Response") -> None:
        """Takes the reply and the response that was made of it, which may be changed later."""
        self._forms = forms
        self._reply = Reply(
            reply.message, metadata=reply.metadata.copy(), trailers=reply.trailers.copy()
        )
        self._response = _copy(response)
        self.body_bytes = response.body_bytes
        """The size of the body, not compressed."""
        self.gzipped = b""
        """The body in gzip; empty if nobody has asked for it yet, or it is not kept."""
        self.described: dict[bool, Headers] = {}
        """The headers with entity tag and Vary, for the body in gzip and as it is."""
        self._heads = KeptHeads()

    @property
    def size_bytes(self) -> int:
        """The memory that it takes."""
        fields = [*self._response.headers, *(self._response.trailers or ())]
        return _FORM_BYTES + self.body_bytes + sum([len(n) + len(v) for n, v in fields])

    def is_of(self, reply: Reply) -> bool:
        """True if a reply is the one it was made of: an interceptor may have changed it."""
        made_of = self._reply
        return (
            made_of.message is reply.message
            and made_of.metadata == reply.metadata
            and made_of.trailers == reply.trailers
        )

    def repeat_head(
        self, response: "Response", own: Headers, variant: str, request_id: str
    ) -> bool:
        """Gives a response of this form the head of an equal one; False if none is kept."""
        head = self._heads.find(own, variant, is_gzip=self.is_gzipped(response))
        if head is not None:
            response.headers, response.sent = head.headers_of(request_id), head
            response.fixed, response.date = head.fixed, head.date
        return head is not None

    def repeated(self, own: Headers, variant: str, request_id: str) -> "Response | None":
        """Returns a response of this form with the head of an equal one; None if none is kept."""
        head, like = self._heads.find(own, variant, is_gzip=False), self._response
        if head is None:
            return None
        made = Response(like.status, head.headers_of(request_id), like.body, like.content_type)
        made.form, made.sent, made.fixed, made.date = self, head, head.fixed, head.date
        return made

    def keep_head(self, response: "Response", own: Headers, variant: str) -> None:
        """Keeps the complete head of a response of this form, for those with the same parts."""
        if not response.trailers:
            parts = own.copy(), variant, response.fixed, response.headers.copy(), response.date
            self._heads.keep(SentHead(*parts, is_gzip=self.is_gzipped(response)))

    def is_gzipped(self, response: "Response") -> bool:
        """True if the body of a response of this form is the one in gzip."""
        return self.gzipped != b"" and response.body is self.gzipped

    def response(self) -> "Response":
        """Returns an equal response, which may be changed."""
        made = _copy(self._response)
        made.form = self
        return made

    def keep_gzipped(self, body: bytes) -> bool:
        """Keeps the body in gzip; False if there is no room for it."""
        if self._forms.grow(len(body)):
            self.gzipped = body
        return bool(self.gzipped)


class Response:
    """A response: status, headers and body; also the code of the ended call, for the log.

    A streamed response has its pieces in `stream`, which ends the call at its end; the connection
    that writes the pieces closes it.
    """

    __slots__ = (
        *("_body", "code", "content_type", "date", "fixed", "form", "headers", "is_failure"),
        *("part", "sent", "status", "stream", "trailers", "upgrade"),
    )

    def __init__(
        self,
        status: int,
        headers: Headers,
        body: bytes = b"",
        content_type: str = "",
        *,
        code: Code = _OK,
        trailers: Headers | None = None,
    ) -> None:
        self.status, self.headers, self._body = status, headers, body
        self.part: memoryview | None = None
        """The body as a part of the message it came in; None for one of its own."""
        self.content_type, self.code = content_type, code
        self.is_failure = False
        """True if it is a rendered failure, with all that describes it; `code` ends the call."""
        self.trailers = trailers
        self.date = ""
        """The value of Date; if empty, the present."""
        self.fixed = ""
        """Header lines that many responses share, prepared once."""
        self.form: ResponseForm | None = None
        """The form it was made of; None if it was made of a reply that is not stored."""
        self.sent: SentHead | None = None
        """The head of an equal response that it repeats; None if it has its own."""
        self.stream: BodyStream | None = None
        self.upgrade: Takeover | None = None
        """The protocol that takes over the connection, if the response opens a WebSocket."""

    @property
    def body(self) -> bytes:
        """The body; one that is part of a message is copied out of it."""
        if self.part is not None:
            self.body = bytes(self.part)
        return self._body

    @body.setter
    def body(self, body: bytes) -> None:
        """Replaces the body."""
        self._body, self.part = body, None

    @property
    def body_bytes(self) -> int:
        """The size of the body."""
        return len(self._body) if self.part is None else len(self.part)

    def state(self, own: Headers) -> None:
        """Adds headers of the gateway and removes those of a back end with the same names.

        Cookies are added to those of a back end: each has a field of its own (RFC 6265 section 3).
        Date becomes that of the response, which has only one (RFC 9110 section 6.6.1).
        """
        for name, value in own:
            if name == "Date":
                self.date = value
                own = [field for field in own if field[0] != "Date"]
                break
        if self.trailers or _has_one_of(self.headers, own):  # seldom: avoids a set of the names
            names = {name.lower() for name, _ in own} - {"set-cookie"}
            self.headers = [field for field in self.headers if field[0].lower() not in names]
            if self.trailers:
                self.trailers = [one for one in self.trailers if one[0].lower() not in names]
        self.headers += own


def _has_one_of(headers: Headers, own: Headers) -> bool:
    """True if a name of `own` may be among the headers, in any letter case."""
    for name, _ in headers:
        for own_name, _ in own:
            if len(own_name) == len(name) and own_name.lower() == name.lower():
                return True
    return False


def _copy(response: Response) -> Response:
    trailers = None if response.trailers is None else response.trailers.copy()
    headers, kind = response.headers.copy(), response.content_type
    return Response(response.status, headers, response.body, kind, trailers=trailers)


Endpoint = Callable[[Request], Awaitable[Response]]
"""Answers a request that is not a call, or raises `StatusError`."""
Endpoints = Mapping[str, Mapping[str, Endpoint]]
"""Endpoints by path, then by HTTP method."""


def origin_form(method: str, target: str) -> str:
    """Returns the path and query of a request target (RFC 9112 section 3.2).

    Raises:
        StatusError: INVALID_ARGUMENT for a target without a path on this server.
    """
    if method == "CONNECT":
        raise StatusError(
            Code.INVALID_ARGUMENT, "CONNECT is not supported: this server is not a proxy"
        )
    if "#" in target:
        raise StatusError(Code.INVALID_ARGUMENT, "a request target must not have a fragment (#)")
    if target.startswith("/") or (target == "*" and method == "OPTIONS"):
        return target
    scheme, found, rest = target.partition("://")
    if not found or scheme.lower() not in ("http", "https"):
        raise StatusError(
            Code.INVALID_ARGUMENT, "expected a request target that starts with / or http://"
        )
    slash, question = rest.find("/"), rest.find("?")
    if "@" in rest.partition("/")[0].partition("?")[0]:
        raise StatusError(  # RFC 9110 section 4.2.4
            Code.INVALID_ARGUMENT, "a request target must not have a user name or a password"
        )
    if slash < 0 and question < 0 and method == "OPTIONS":
        return "*"  # RFC 9112 section 3.2.4
    if slash < 0 or 0 <= question < slash:
        return "/" + (rest[question:] if question >= 0 else "")
    return rest[slash:]

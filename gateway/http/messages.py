"""One HTTP request and one HTTP response, as the exchange sees them."""

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Final, Protocol

from gateway.call import Certificate, Principal
from gateway.http.connection import SocketConnection
from gateway.http.header_fields import HeaderFields
from gateway.status import Code, StatusError

Headers = list[tuple[str, str]]

_OK: Final = Code.OK


class Body(Protocol):
    """The body of a request, which nobody reads before it is asked for."""

    @property
    def is_buffered(self) -> bool:
        """Whether all of it is there, as it is to be read, and small enough to be read at once."""

    def read_now(self) -> bytes:
        """All of a body that is at hand.

        Raises:
            StatusError: it is too large, or broke off.
        """

    async def read(self) -> bytes:
        """All of it, decoded.

        Raises:
            StatusError: it is too large, or not what it says it is.
        """

    def pieces(self, is_midway: Callable[[], bool]) -> AsyncGenerator[bytes]:
        """It as it comes, decoded, in pieces of a bounded size.

        A client may pause for long, unless `is_midway` says that it owes the rest of something.

        Raises:
            StatusError: it is too large, not what it says it is, or stops halfway.
        """


class BodyStream(Protocol):
    """The pieces of a streamed response's body, closed by the connection that writes them."""

    length: int | None
    """How many bytes all pieces will be, where that is known."""
    heartbeat_s: float | None
    """Seconds of silence after which a heartbeat is due, or None for never."""

    @property
    def heartbeat(self) -> bytes:
        """The bytes that may be sent between two pieces to show that the stream is alive."""

    def __aiter__(self) -> "BodyStream":
        """The pieces, in order."""

    async def __anext__(self) -> bytes:
        """The next piece.

        Raises:
            ConnectionError: the stream failed in a way that its format has no word for.
        """

    async def aclose(self) -> None:
        """Ends the call if it has not ended."""


class Takeover(Protocol):
    """Another protocol that takes a connection over once the response's head is ready."""

    async def run(self, connection: SocketConnection, head: bytes, early: bytes) -> None:
        """Sends `head`, takes `early`, which came behind the request, and serves to the end."""

    def receive(self, data: bytes) -> None:
        """Takes bytes of the client."""

    def send_heartbeat(self, now_s: float) -> None:
        """Sends a sign of life, if it is time for one."""

    def shut_down(self) -> None:
        """Ends, because the gateway is about to end."""


class OpenCall(Protocol):
    """The call of a request, as far as the exchange has to end it."""

    @property
    def principal(self) -> Principal | None:
        """The caller, once that has been established."""

    def end(self, code: Code) -> Awaitable[None] | None:
        """Ends the call with the code its client gets, if it has not ended.

        What it returns must be awaited, if it returns anything.
        """


class Request:
    """A request whose head has arrived; its body is read only when someone asks.

    `path` and `query` are raw: nothing is decoded, no dot segment resolved. After `deadline_s`, on
    the loop's clock, nobody wants the answer; who then cancels its task sets `is_overdue` before.
    """

    __slots__ = (
        "body",
        "body_bytes",
        "certificate",
        "client",
        "deadline_s",
        "fields",
        "headers",
        "id",
        "is_overdue",
        "method",
        "open_call",
        "own_headers",
        "path",
        "peer",
        "principal",
        "query",
        "wants_websocket",
    )

    def __init__(
        self,
        method: str,
        target: str,
        fields: HeaderFields,
        peer: str,
    ) -> None:
        self.method = method
        self.path, _, self.query = target.partition("?")
        self.fields = fields
        self.headers: Mapping[str, str] = fields.by_name
        self.peer = peer
        self.client = peer
        """The address of the client itself, where trusted proxies stand between."""
        self.certificate: Certificate | None = None
        """What the client of this connection has shown of itself."""
        self.own_headers: Headers = []
        """What the gateway's own guards say in the response, stronger than any back end."""
        self.id = ""
        self.principal: Principal | None = None
        """Who called, once that has been established; for the access log."""
        self.open_call: OpenCall | None = None
        """The call of this request, from its opening until the exchange has ended it."""
        self.body: Body | None = None
        self.wants_websocket = False
        self.body_bytes = 0
        self.deadline_s = math.inf
        self.is_overdue = False


class Response:
    """What goes back: status, headers, body; and how the call ended, for the log.

    A response that streams has its pieces in `stream`, which ends the call when it is through, and
    is closed by who writes it.
    """

    __slots__ = (
        "body",
        "code",
        "content_type",
        "fixed",
        "headers",
        "status",
        "stream",
        "trailers",
        "upgrade",
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
        self.status = status
        self.headers = headers
        self.body = body
        self.content_type = content_type
        self.code = code
        self.trailers = trailers
        self.fixed = ""
        """Header lines that are the same for many responses, made beforehand."""
        self.stream: BodyStream | None = None
        self.upgrade: Takeover | None = None
        """What takes the connection over, where the response begins a WebSocket."""

    def state(self, own: Headers) -> None:
        """Says what only the gateway may say: what a back end said by these names goes."""
        if self.headers or self.trailers:  # most back ends say nothing: saves naming it all
            names = {name.lower() for name, _ in own}
            self.headers = [field for field in self.headers if field[0].lower() not in names]
            if self.trailers:
                self.trailers = [one for one in self.trailers if one[0].lower() not in names]
        self.headers += own


Endpoint = Callable[[Request], Awaitable[Response]]
"""Answers a request that is no call, or raises `StatusError`."""
Endpoints = Mapping[str, Mapping[str, Endpoint]]
"""Endpoints by path, then by HTTP method."""


def origin_form(method: str, target: str) -> str:
    """The path and query of a request target (RFC 9112 section 3.2).

    Raises:
        StatusError: INVALID_ARGUMENT for a target that names no path here.
    """
    if method == "CONNECT":
        raise StatusError(Code.INVALID_ARGUMENT, "this is no proxy: CONNECT is not served")
    if "#" in target:
        raise StatusError(Code.INVALID_ARGUMENT, "a request target has no fragment (#)")
    if target.startswith("/") or (target == "*" and method == "OPTIONS"):
        return target
    scheme, found, rest = target.partition("://")
    if not found or scheme.lower() not in ("http", "https"):
        raise StatusError(
            Code.INVALID_ARGUMENT, "expected a request target that starts with / or http://"
        )
    slash, question = rest.find("/"), rest.find("?")
    if slash < 0 and question < 0 and method == "OPTIONS":
        return "*"  # RFC 9112 section 3.2.4
    if slash < 0 or 0 <= question < slash:
        return "/" + (rest[question:] if question >= 0 else "")
    return rest[slash:]

"""A minimal HTTP/1.1 server for endpoints alone: one request a connection, small bodies.

The supervisor serves the admin endpoints with it. The server of the public port would bring all the
code that serves into that process.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from multidict import CIMultiDict

from gateway.config.grammar import is_token
from gateway.exchange.endpoints import EndpointRegistry
from gateway.http.messages import Code, HeaderFields, Request, Response, StatusError, origin_form
from gateway.listeners.callers import Caller, caller_of
from gateway.listeners.sockets import copy_of
from gateway.message_stream import Parts

logger = logging.getLogger("gateway")

_MAX_CONNECTIONS: Final = 64
_MAX_HEAD_BYTES: Final = 16 * 1024
_MAX_BODY_BYTES: Final = 64 * 1024
_REQUEST_S: Final = 10.0
"""The time limit for a request to arrive, and for its response to be sent."""
_STEP_S: Final = 0.01
_ANSWER_S: Final = 300.0
"""The time limit for the work between both: a reload composes the whole gateway."""

Admit = Callable[[Request], None]
"""Raises `StatusError` for a request that must not be answered."""
Fail = Callable[[StatusError], Response]
"""Renders a failure."""
Answered = Callable[[Request, Caller, Response], None]
"""Takes each request that was read, with its caller and the response; must not wait or raise."""


class SmallBody:
    """A request body that has arrived."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def is_buffered(self) -> bool:
        """True: the whole body has arrived."""
        return True

    def read_now(self) -> bytes:
        """Returns the whole body."""
        return self._data

    async def read(self) -> Parts:
        """Returns the whole body."""
        return [self._data]

    async def pieces(self, is_inside_message: Callable[[], bool]) -> AsyncGenerator[bytes]:
        """Yields the whole body."""
        del is_inside_message
        yield self._data


@dataclass(eq=False, repr=False)
class PlainServer:
    """The servers of some sockets; each answers from the same endpoints."""

    _sockets: Sequence[socket.socket]
    _registry: EndpointRegistry
    admit: Admit
    """The check of each request; may be replaced."""
    _fail: Fail
    _answered: Answered | None
    _open: int = 0
    _servers: list[asyncio.Server] = field(default_factory=list)

    async def open(self, tls: ssl.SSLContext | None) -> None:
        """Accepts connections with these certificates from now on; open connections keep theirs.

        A client has ten seconds for its TLS handshake.
        """
        handshake_s = None if tls is None else _REQUEST_S
        before, self._servers = self._servers, []
        for one in self._sockets:
            # A server closes its socket at its end, so each gets a duplicate.
            opened = await asyncio.start_server(
                self.serve,
                sock=copy_of(one),
                limit=_MAX_HEAD_BYTES,
                ssl=tls,
                ssl_handshake_timeout=handshake_s,
            )
            self._servers.append(opened)
        for server in before:
            server.close()

    async def finish(self, within_s: float) -> None:
        """Waits for the responses to the requests that it has, for this time at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._open:  # noqa: ASYNC110 - once, at the end
                    await asyncio.sleep(_STEP_S)

    def close(self) -> None:
        """Accepts no more connections, and closes the sockets."""
        for server in self._servers:
            server.close()
        for one in self._sockets:
            one.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection; bounded in time and in number."""
        self._open += 1
        try:
            if self._open <= _MAX_CONNECTIONS:
                with suppress(TimeoutError, OSError, asyncio.IncompleteReadError):
                    await self._answer(reader, writer)
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_head = False
        request = None
        try:
            async with asyncio.timeout(_REQUEST_S):
                request = await _read_request(reader)
            is_head = request.method == "HEAD"
            self.admit(request)
            if request.path in self._registry.by_path:
                async with asyncio.timeout(_ANSWER_S):
                    response = await self._registry.answer(request)
            else:
                error = StatusError(Code.NOT_FOUND, f"{request.path} is not served here")
                response = self._fail(error)
        except StatusError as error:
            response = self._fail(error)
        except Exception:
            if request is None:
                raise  # the client sent no whole request
            logger.exception("an admin request failed")
            response = self._fail(StatusError(Code.INTERNAL, "internal error"))
        if request is not None and self._answered is not None:
            self._answered(request, caller_of(writer), response)
        async with asyncio.timeout(_REQUEST_S):
            writer.write(_bytes_of(response, is_head=is_head))
            await writer.drain()


@asynccontextmanager
async def serve_endpoints(
    sockets: Sequence[socket.socket],
    registry: EndpointRegistry,
    admit: Admit,
    fail: Fail,
    *,
    tls: ssl.SSLContext | None = None,
    answered: Answered | None = None,
) -> AsyncIterator[PlainServer]:
    """Serves endpoints on listening sockets while the block runs, and closes them at its end.

    With `tls`, connections are secured; `answered` is called before each response is sent.
    """
    server = PlainServer(sockets, registry, admit, fail, answered)
    try:
        await server.open(tls)
        yield server
    finally:
        server.close()


async def _read_request(reader: asyncio.StreamReader) -> Request:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise _bad(f"the head of a request is larger than {_MAX_HEAD_BYTES} bytes", 431) from None
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not is_token(parts[0]) or parts[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise _bad("expected an HTTP/1.1 request line")
    by_name: CIMultiDict[str] = CIMultiDict()
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not is_token(name):
            raise _bad("a header field is malformed")
        by_name.add(name, value.strip(" \t"))
    if "Transfer-Encoding" in by_name:
        raise _bad("bodies need the header Content-Length here", 411)
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in by_name.items()]
    request = Request(parts[0], origin_form(parts[0], parts[1]), HeaderFields(by_name, raw), "")
    lengths = by_name.getall("Content-Length", ["0"])
    if len(lengths) > 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
        raise _bad("Content-Length is malformed")
    if len(lengths[0]) > 9 or int(lengths[0]) > _MAX_BODY_BYTES:
        raise _bad(f"a body is larger than {_MAX_BODY_BYTES} bytes", 413)
    request.body = SmallBody(await reader.readexactly(int(lengths[0])))
    return request


def _bad(message: str, http_status: int = 400) -> StatusError:
    return StatusError(Code.INVALID_ARGUMENT, message, http_status=http_status)


def _bytes_of(response: Response, *, is_head: bool) -> bytes:
    try:
        reason = HTTPStatus(response.status).phrase
    except ValueError:
        reason = ""
    lines = [f"HTTP/1.1 {response.status} {reason}"]
    lines += [f"{name}: {value}" for name, value in response.headers]
    if response.content_type:
        lines.append(f"Content-Type: {response.content_type}")
    if response.status != 204:
        lines.append(f"Content-Length: {len(response.body)}")
    lines += ["Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + (b"" if is_head else response.body)

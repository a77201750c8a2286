"""What listens to a stream for gRPC's sake: frames of messages in, a reply or an error out.

Sources: gRPC over HTTP/2 (PROTOCOL-HTTP2.md), its tables "HTTP2 Transport Mapping" and "HTTP to
gRPC Status Code Mapping".
"""

import asyncio
import zlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping

from gateway.call import Metadata, Reply
from gateway.status import Code, StatusError
from gateway.upstream.http2.connection import Connection
from gateway.upstream.http2.frames import ErrorCode
from gateway.upstream.http2.headers import ResponseHeaders
from gateway.upstream.http2.stream import Stream
from gateway.upstream.status_details import (
    backend_error,
    deadline_exceeded,
    too_large,
    unavailable,
)

_PREFIX_BYTES = 5
_GZIP_WINDOW = 31

CODE_OF_RESET: Mapping[ErrorCode, Code] = {
    ErrorCode.NO_ERROR: Code.INTERNAL,
    ErrorCode.REFUSED_STREAM: Code.UNAVAILABLE,
    ErrorCode.CANCEL: Code.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: Code.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: Code.PERMISSION_DENIED,
}
"""How a stream's reset reads as a status; any other code is INTERNAL."""

CODE_OF_HTTP: Mapping[str, Code] = {
    "400": Code.INTERNAL,
    "401": Code.UNAUTHENTICATED,
    "403": Code.PERMISSION_DENIED,
    "404": Code.UNIMPLEMENTED,
    "429": Code.UNAVAILABLE,
    "502": Code.UNAVAILABLE,
    "503": Code.UNAVAILABLE,
    "504": Code.UNAVAILABLE,
}
"""How an intermediary's HTTP status reads as a gRPC status; any other is UNKNOWN."""


_LIBRARY_WORDS = frozenset({"Deadline Exceeded", "context deadline exceeded"})
"""How gRPC libraries at the back end speak of the deadline that we gave them."""


class Unprocessed(Exception):  # noqa: N818 - reads as what happened
    """The back end is sure to have done nothing: the call may be sent again."""


class RpcCall(ABC):
    """One call, from its headers to its status; messages come out one by one."""

    def __init__(self, upstream: str, limit_bytes: int) -> None:
        self.stream: Stream | None = None
        self.connection: Connection | None = None
        self.deadline_s: float | None = None
        self.metadata: Metadata = []
        self.trailers: Metadata = []
        self.error: Exception | None = None
        self.ended = False
        self._upstream = upstream
        self._limit_bytes = limit_bytes
        self._started = False
        self._encoding = "identity"
        self._buffer = bytearray()
        self._drained: asyncio.Future[None] | None = None

    def on_headers(self, headers: ResponseHeaders, *, ended: bool) -> None:
        """Takes headers, or the trailers that close the call."""
        if headers.http_status.startswith("1") and not ended:
            return  # an interim response; the final one follows (RFC 9110 section 15.2)
        if not self._started:
            self._started = True
            if headers.http_status != "200" or not _is_grpc(headers.content_type):
                self._finish(self._not_grpc(headers))
                return
            if not ended:
                self._encoding = headers.encoding
                self.metadata = list(headers.metadata)
                self.changed()
                return
        if not ended:
            self._finish(self._broken())
            return
        self._on_trailers(headers)

    def on_data(self, data: bytes, *, ended: bool) -> None:
        """Cuts messages out of the body."""
        if self.ended:
            return
        size = len(data) - _PREFIX_BYTES
        if (
            not self._buffer
            and 0 <= size <= self._limit_bytes
            and data.startswith(size.to_bytes(_PREFIX_BYTES, "big"))
        ):
            # Saves copying a message that comes whole in one frame, as most do.
            self.on_message(data[_PREFIX_BYTES:])
        else:
            self._buffer += data
            self._cut()
        if ended and not self.ended:
            self._finish(self._broken())

    @abstractmethod
    def on_message(self, message: bytes) -> None:
        """One message is complete."""

    def on_writable(self) -> None:
        """All that was handed in has been sent."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    async def writable(self) -> None:
        """Waits until what was handed in has been sent, or the call is over."""
        if self.stream is not None and self.stream.pending is not None and not self.ended:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def on_failed(self, code: ErrorCode, *, unprocessed: bool) -> None:
        """The stream was reset, or its connection is gone."""
        if unprocessed:
            self._finish(Unprocessed())
        elif self.connection is not None and self.connection.draining:
            self._finish(unavailable(self._upstream))
        else:
            status = CODE_OF_RESET.get(code, Code.INTERNAL)
            self._finish(StatusError(status, f'upstream "{self._upstream}" ended the call'))

    @abstractmethod
    def changed(self) -> None:
        """Something has come that someone may be waiting for."""

    def took(self, size: int) -> None:
        """So much of the body is out of the way: the peer may send as much again."""
        if self.connection is not None and self.stream is not None:
            self.connection.consumed(self.stream, size)

    def fail(self, error: Exception) -> None:
        """Ends the call from this side."""
        self._finish(error)

    def give_up(self) -> None:
        """Tells the back end that nobody waits any more."""
        self.ended = True
        if self.connection is not None and self.stream is not None:
            self.connection.reset(self.stream)

    def _on_trailers(self, headers: ResponseHeaders) -> None:
        trailers = list(headers.metadata)
        if headers.grpc_status == "0":
            self.trailers.extend(trailers)
            self._finish(self._broken() if self._buffer else None)
        elif headers.grpc_status.isascii() and headers.grpc_status.isdigit():
            number, message = int(headers.grpc_status), headers.grpc_message
            if number == Code.DEADLINE_EXCEEDED and message in _LIBRARY_WORDS:
                self._finish(deadline_exceeded())
            else:
                self._finish(backend_error(number, message, self.metadata, trailers))
        else:
            self._finish(self._broken())

    def _cut(self) -> None:
        buffer = self._buffer
        while len(buffer) >= _PREFIX_BYTES and not self.ended:
            size = int.from_bytes(buffer[1:_PREFIX_BYTES], "big")
            if size > self._limit_bytes:
                self._finish(too_large(self._limit_bytes))
                return
            whole = _PREFIX_BYTES + size
            if len(buffer) < whole:
                return
            packed, message = buffer[0], bytes(buffer[_PREFIX_BYTES:whole])
            del buffer[:whole]
            if packed:
                inflated = self._inflate(message)
                if inflated is None:
                    return
                message = inflated
            self.on_message(message)

    def _inflate(self, message: bytes) -> bytes | None:
        """A compressed message, decompressed no further than the limit; None if that failed."""
        if self._encoding != "gzip":
            self._finish(self._broken())
            return None
        inflater = zlib.decompressobj(_GZIP_WINDOW)
        try:
            text = inflater.decompress(message, self._limit_bytes)
        except zlib.error:
            self._finish(self._broken())
            return None
        if inflater.unconsumed_tail:
            self._finish(too_large(self._limit_bytes))
            return None
        return text

    def _finish(self, error: Exception | None) -> None:
        if self.ended:
            return
        self.ended = True
        self.error = error
        self.on_writable()
        if self.connection is not None and self.stream is not None:
            self.connection.reset(self.stream)
        self.changed()

    def _broken(self) -> StatusError:
        return StatusError(Code.INTERNAL, f'upstream "{self._upstream}" broke the gRPC protocol')

    def _not_grpc(self, headers: ResponseHeaders) -> StatusError:
        """An answer that is none of gRPC's: an intermediary's, or trailers alone with a status."""
        if headers.grpc_status.isascii() and headers.grpc_status.isdigit():
            number, message = int(headers.grpc_status), headers.grpc_message
            return backend_error(number, message, [], list(headers.metadata))
        code = CODE_OF_HTTP.get(headers.http_status, Code.UNKNOWN)
        return StatusError(
            code, f'upstream "{self._upstream}" answered with HTTP status {headers.http_status}'
        )


def _is_grpc(content_type: str) -> bool:
    return content_type.startswith("application/grpc")


class UnaryCall(RpcCall):
    """A call with one reply, which is awaited as a future."""

    def __init__(self, upstream: str, limit_bytes: int, done: asyncio.Future[None]) -> None:
        super().__init__(upstream, limit_bytes)
        self.message: bytes | None = None
        self._done = done

    def on_message(self, message: bytes) -> None:
        """Keeps the one message."""
        if self.message is not None:
            self._finish(self._broken())
        self.message = message

    def on_data(self, data: bytes, *, ended: bool) -> None:
        """As for any call; the message is bounded, so the peer may send on at once."""
        super().on_data(data, ended=ended)
        self.took(len(data))

    def changed(self) -> None:
        """Wakes who waits once all is there."""
        if self.ended and not self._done.done():
            self._done.set_result(None)

    def reply(self) -> Reply:
        """The reply, or the error raised."""
        if self.error is not None:
            raise self.error
        if self.message is None:
            raise self._broken()
        return Reply(self.message, metadata=self.metadata, trailers=self.trailers)


class StreamingCall(RpcCall):
    """A call with many replies, which are taken one by one."""

    def __init__(self, upstream: str, limit_bytes: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(upstream, limit_bytes)
        self._loop = loop
        self._messages: deque[bytes] = deque()
        self._owed = 0
        self._waiter: asyncio.Future[None] | None = None

    def on_message(self, message: bytes) -> None:
        """Queues a message."""
        self._messages.append(message)
        self.changed()

    def on_data(self, data: bytes, *, ended: bool) -> None:
        """As for any call; while messages wait to be taken, the peer is held back."""
        super().on_data(data, ended=ended)
        self._owed += len(data)
        self._settle()

    def changed(self) -> None:
        """Wakes who waits for the next message."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def next(self) -> bytes | None:
        """The next message, or None after the last.

        Raises:
            StatusError: the call failed; all messages before that have been handed out.
        """
        while not self._messages:
            if self.ended:
                if self.error is not None:
                    raise self.error
                return None
            self._waiter = self._loop.create_future()
            await self._waiter
        message = self._messages.popleft()
        self._settle()
        return message

    def _settle(self) -> None:
        if not self._messages and self._owed:
            self.took(self._owed)
            self._owed = 0

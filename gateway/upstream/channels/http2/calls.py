"""One gRPC call as the listener of a stream: events in, a reply or an error out."""

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Generator
from typing import Any, Final

from gateway.call import Metadata, Reply, StatusError
from gateway.http2.frames import ErrorCode
from gateway.http2.stream import PART_BYTES, Stream
from gateway.upstream.channels.failures import (
    Progress,
    connection_lost,
    deadline_exceeded,
    headers_too_large,
    lost,
    of_breach,
    too_large,
)
from gateway.upstream.channels.http2 import status
from gateway.upstream.channels.http2.compressed_message import CompressedMessage, inflated
from gateway.upstream.channels.http2.headers import ResponseHeaders
from gateway.upstream.channels.http2.socket import Http2Socket
from gateway.upstream.channels.large_replies import LARGE_BYTES, LargeReplies, Share

PREFIX_BYTES: Final = 5
"""Those before each message: whether it is compressed, and its length (gRPC over HTTP/2)."""
_SHORT: Final = 1024
_PREFIXES: Final = [size.to_bytes(PREFIX_BYTES, "big") for size in range(_SHORT)]
_MANY: Final = 16
"""Messages in one frame above which it counts as more than one frame of work."""

_SAYS_LITTLE: Final = frozenset({None, ErrorCode.CANCEL})
"""Codes with which a back end ends a stream at its deadline; None: the connection went with it."""


def plain_prefix(size: int) -> bytes:
    """The bytes before a message of a size that is not compressed; short ones are made once."""
    return _PREFIXES[size] if size < _SHORT else size.to_bytes(PREFIX_BYTES, "big")


class RpcCall(Stream[ResponseHeaders]):
    """One call, from its headers to its status; messages come out one by one."""

    __slots__ = (
        *("_begun", "_drained", "_due_bytes", "_encoding", "_is_large", "_limit_bytes"),
        "_missing_bytes",
        *("_owed", "_parts", "_share", "deadline_s", "ended", "error", "large_replies"),
        *("metadata", "received_bytes", "sent_bytes", "socket", "started", "trailers", "upstream"),
    )

    def __init__(
        self, upstream: str, limit_bytes: int, socket: Http2Socket, large_replies: LargeReplies
    ) -> None:
        self.socket = socket
        self.large_replies = large_replies
        self.deadline_s: float | None = None
        self.metadata: Metadata = []
        self.trailers: Metadata = []
        self.error: Exception | None = None
        self.ended = False
        self.sent_bytes = self.received_bytes = 0
        self.started = False
        """True once the back end has started to answer."""
        self.upstream = upstream
        self._limit_bytes = limit_bytes
        self._encoding = "identity"
        # The bytes of the body still to come, negative without a content-length.
        self._due_bytes = -1
        # The first bytes of a prefix, or, of a message that has begun: its prefix, the parts that
        # have come, and the number of bytes that have not.
        self._begun = b""
        self._parts: list[bytes | bytearray | memoryview] | None = None
        self._missing_bytes = 0
        self._is_large = False
        self._drained: asyncio.Future[None] | None = None
        self._owed = 0
        # The share of the large message that is being received.
        self._share: Share | None = None
        self._begin()

    @abstractmethod
    def _begin(self) -> None:
        """Sets the fields of one kind of call; a call from `__init__` is cheaper than `super`."""

    def on_headers(self, headers: ResponseHeaders, *, ended: bool) -> None:
        """Takes headers, or the trailers that close the call."""
        is_first = not self.started
        if headers.is_grpc:
            self.started = True
        if not self.started:
            if ended or not headers.interim:
                self._finish(status.of_stranger(self.upstream, headers))
        elif not ended:
            if is_first:
                self._encoding = headers.encoding
                self._due_bytes = headers.content_length
                self.metadata.extend(headers.metadata)
            else:
                self._finish(of_breach(self.upstream))
        elif headers.grpc_status != 0:
            trailers = list(headers.metadata)
            self._finish(status.of_trailers(self.upstream, headers, self.metadata, trailers))
        elif self._begun or self._due_bytes > 0:
            self._finish(of_breach(self.upstream))
        else:
            self.trailers.extend(headers.metadata)
            self._finish(None)

    def on_data(self, data: bytes, *, ended: bool) -> None:
        """Cuts messages out of the body."""
        if self.ended:
            return
        if self._due_bytes >= 0:
            self._due_bytes -= len(data)
            if self._due_bytes < 0:  # RFC 9113 section 8.1.1
                self._finish(of_breach(self.upstream))
                return
        size = len(data) - PREFIX_BYTES
        if (
            not self._begun
            and 0 <= size <= self._limit_bytes
            and data.startswith(plain_prefix(size))
            and self.started
        ):
            # Takes a message that comes whole in one frame, as most do, without copying it twice.
            self.received_bytes += size
            self.on_message(data[PREFIX_BYTES:])
        else:
            self._cut(data)
        if ended and not self.ended:
            self._finish(of_breach(self.upstream))

    @abstractmethod
    def on_message(self, message: bytes) -> None:
        """One message is complete."""

    def on_large(self, size: int) -> None:
        """Part of a large message has come: asks for a share; the peer has to wait for it."""
        if self._share is None:
            self._share = self.large_replies.ask(size, self._on_share, self.fail)

    @abstractmethod
    def _on_share(self) -> None:
        """The share was granted."""

    def on_writable(self) -> None:
        """All data given has been sent."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    async def writable(self) -> None:
        """Waits until all data given has been sent, or the call is over."""
        if self.pending is not None and not self.ended:
            self._drained = self.socket.loop.create_future()
            await self._drained

    def on_breach(self, code: ErrorCode) -> None:  # noqa: ARG002 - gRPC has one code for all
        """The back end broke HTTP/2's rules on this stream: the call fails, and it alone."""
        self._finish(of_breach(self.upstream))

    def on_oversized(self, limit_bytes: int) -> None:
        """Headers or trailers were over the limit: the call fails, and it alone."""
        self._finish(headers_too_large(self.upstream, limit_bytes))

    def on_failed(self, code: ErrorCode | None, *, unprocessed: bool) -> None:
        """The stream was reset, or its connection is gone."""
        if unprocessed and not self.started:
            refused = code is not None or self.socket.connection.goaway_code is not None
            self._finish(lost(self.upstream, Progress.REFUSED if refused else Progress.UNSENT))
        elif code in _SAYS_LITTLE and self.is_late(self.socket.loop.time()):
            self._finish(deadline_exceeded())
        elif code is None:
            self._finish(connection_lost(self.upstream))
        else:
            self._finish(status.of_reset(self.upstream, code))

    def is_late(self, now_s: float) -> bool:
        """True if the call's deadline has passed."""
        return self.deadline_s is not None and now_s >= self.deadline_s

    @abstractmethod
    def changed(self) -> None:
        """The next message, or the end, has come."""

    def took(self, size: int) -> None:
        """Lets the peer send as many bytes as have been taken."""
        self.socket.connection.consumed(self, size)

    def fail(self, error: Exception) -> None:
        """Ends the call from this side."""
        self._finish(error)
        self.socket.flush_soon()

    def give_up(self) -> None:
        """Cancels the call at the back end."""
        if not self.ended:
            self.ended = True
            self.socket.connection.reset(self)
            self.socket.flush_soon()
        if self._share is not None:
            self._share.give_back()

    def _cut(self, data: bytes) -> None:
        if not self.started:
            self._finish(of_breach(self.upstream))
            return
        at = count = 0
        if self._missing_bytes:
            at = self._missing_bytes
            if len(data) < at:
                self._take_part(data)
                return
            packed, message = self._begun[0], b"".join((*(self._parts or ()), data[:at]))
            self._begun, self._parts, self._missing_bytes = b"", None, 0
            count = 1
            self.received_bytes += len(message)
            self.on_message(CompressedMessage(message) if packed else message)
        elif self._begun:
            data = self._begun + data
            self._begun = b""
        while len(data) - at >= PREFIX_BYTES and not self.ended:
            start = at + PREFIX_BYTES
            size = int.from_bytes(data[at + 1 : start], "big")
            packed = data[at]
            if packed > 1:  # gRPC over HTTP/2, "Compressed-Flag": 0 or 1
                self._finish(of_breach(self.upstream))
                return
            if size > self._limit_bytes:
                self._finish(too_large(self._limit_bytes))
                return
            end = start + size
            if len(data) < end:
                self._begun, self._missing_bytes = data[at:start], size
                self._take_part(data[start:])
                return
            count += 1
            at = end
            message = data[start:end]
            self.received_bytes += size
            self.on_message(CompressedMessage(message) if packed else message)
        self._begun = data[at:]
        if count > _MANY:
            self.socket.connection.spend(count)

    def _take_part(self, data: bytes | memoryview) -> None:
        """Keeps a part of a message; small ones together, for each takes memory of its own."""
        parts = self._parts
        if parts is None:
            parts = self._parts = []
            self._is_large = self._missing_bytes > LARGE_BYTES
        size = len(data)
        self._missing_bytes -= size
        if size >= PART_BYTES:
            parts.append(data)
        elif parts and isinstance(parts[-1], bytearray):
            parts[-1] += data
        else:
            parts.append(bytearray(data))
        if self._is_large:
            self.on_large(int.from_bytes(self._begun[1:PREFIX_BYTES], "big"))

    def _inflated(self, message: CompressedMessage) -> bytes:
        return inflated(message, self._encoding, self._limit_bytes, self.upstream)

    def _finish(self, error: Exception | None) -> None:
        if self.ended:
            return
        self.ended = True
        self.error = error
        if self._drained is not None:
            self.on_writable()
        if error is not None:
            self.socket.connection.reset(self)
            if self._share is not None:
                self._share.give_back()
        self.changed()


class CallOwner:
    """The owner of unary calls, which is told when nobody waits for one any more."""

    def over(self, call: RpcCall) -> None:
        """Takes a call that has a reply or an error, or was given up."""
        raise NotImplementedError


class UnaryCall(RpcCall):
    """A call with one reply, which has begun, and has to be awaited at once.

    A caller on the path of each request awaits `done`, and then takes the `reply` or gives up,
    which saves a coroutine for each call.
    """

    __slots__ = ("_message", "done", "owner")

    owner: CallOwner

    def _begin(self) -> None:
        self.done: asyncio.Future[None] = self.socket.loop.create_future()
        self._message: bytes | None = None

    def __await__(self) -> Generator[Any, Any, Reply]:
        return self._wait().__await__()

    async def _wait(self) -> Reply:
        try:
            await self.done
        except asyncio.CancelledError:
            self.give_up()
            raise
        reply = self.reply()
        return reply if isinstance(reply, Reply) else await reply

    def give_up(self) -> None:
        """Cancels the call at the back end."""
        super().give_up()
        self.owner.over(self)

    def on_message(self, message: bytes) -> None:
        """Keeps the one message."""
        if self._message is not None:
            self._finish(of_breach(self.upstream))
            return
        try:
            self._message = (
                self._inflated(message) if type(message) is CompressedMessage else message
            )
        except StatusError as error:
            self._finish(error)

    def on_whole(self, headers: ResponseHeaders, data: bytes, trailers: ResponseHeaders) -> None:
        """Takes a whole reply in a third of the steps, if it is of the common form."""
        size = len(data) - PREFIX_BYTES
        if (
            headers.is_grpc
            and headers.content_length < 0
            and trailers.grpc_status == 0
            and not (self.started or self.ended)
            and 0 <= size <= self._limit_bytes
            and data.startswith(plain_prefix(size))
        ):
            self._message = data[PREFIX_BYTES:]
            self.received_bytes = size
            if headers.metadata:
                self.metadata += headers.metadata
            if trailers.metadata:
                self.trailers += trailers.metadata
            self.started = self.ended = True
            self.changed()
        else:
            super().on_whole(headers, data, trailers)

    def on_data(self, data: bytes, *, ended: bool) -> None:
        """Takes part of the body; the peer may send more at once, unless the message is large."""
        super().on_data(data, ended=ended)
        if self._message is None:
            if self._share is None or self._share.is_granted:
                self.took(len(data))
            else:
                self._owed += len(data)

    def _on_share(self) -> None:
        if self._owed and not self.ended:
            self.took(self._owed)
            self._owed = 0
            self.socket.flush_soon()

    def changed(self) -> None:
        """Wakes the task that waits for the end."""
        # Not asked before, as hardly any task was cancelled in this very turn of the loop.
        try:  # noqa: SIM105 - `suppress` costs several times as much
            self.done.set_result(None)
        except asyncio.InvalidStateError:
            pass

    def reply(self) -> Reply | Awaitable[Reply]:
        """The reply of a call that is done, or the error raised.

        A large one that came compressed has to wait for its share.
        """
        self.owner.over(self)
        if self.error is not None:
            raise self.error
        if self._message is None:
            raise of_breach(self.upstream)
        reply = Reply(self._message, None, self.metadata, self.trailers)
        if self._share is not None:
            reply.share, self._share = self._share, None
        elif len(self._message) > LARGE_BYTES:
            return self._with_share(reply)
        return reply

    async def _with_share(self, reply: Reply) -> Reply:
        reply.share = await self.large_replies.room(len(reply.message))
        return reply

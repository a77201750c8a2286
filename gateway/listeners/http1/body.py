"""Reads a request's body: whole or as it arrives, up to its limit, and decompresses gzip."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Protocol

from gateway.exchange.worker_threads import LARGE_BYTES
from gateway.listeners.http1.arriving_body import ArrivingBody, BodySource
from gateway.listeners.http1.inflating import Inflater, content_coding, gunzip, too_large
from gateway.listeners.http1.request_head import Code, HeaderFields, Limits, StatusError, timed_out
from gateway.message_stream import MessageStream, Parts

# Above this size, decompress in a thread: the result can be megabytes and block the event loop.
_IN_THREAD_BYTES = 32 * 1024
# As much as one read of a connection brings (uvloop reads up to 256,000 bytes), so that most pieces
# are passed on as they came, without a copy.
_PIECE_BYTES = 256 * 1024


class BrokenBodyError(Exception):
    """A body is incomplete, or its framing is invalid; the parser sets it on the body's stream."""


class ReadHook(Protocol):
    """Called when the reading of a body starts."""

    def __call__(self, body: BodySource, *, whole: bool) -> None:
        """Prepares for the reading; `whole` is false if the body is read as it arrives."""
        ...


class WholeBody:
    """A body that arrived with its head, is within the limits, and is not compressed."""

    __slots__ = ("_data", "is_buffered")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.is_buffered = len(data) < LARGE_BYTES

    def read_now(self) -> bytes:
        """Returns the whole body."""
        return self._data

    async def read(self) -> Parts:
        """Returns the whole body."""
        return [self._data]

    def pieces(self, _is_inside_message: Callable[[], bool]) -> AsyncGenerator[bytes]:
        """Yields the body in pieces of a bounded size."""
        return WholePieces(self._data).as_generator()


class WholePieces(MessageStream):
    """The pieces of a body that has arrived."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    async def __anext__(self) -> bytes:
        at = self._at
        if at >= len(self._data):
            raise StopAsyncIteration
        self._at = at + _PIECE_BYTES
        return self._data[at : self._at]

    async def aclose(self) -> None:
        """Hands out no more."""
        self._data = b""


class IncomingBody:
    """The body of one request that arrives on a connection; it is read only on demand."""

    __slots__ = ("_fields", "_limits", "_on_read", "_stream")

    def __init__(
        self,
        stream: BodySource,
        fields: HeaderFields,
        limits: Limits,
        on_read: ReadHook,
    ) -> None:
        self._stream = stream
        self._fields = fields
        self._limits = limits
        self._on_read = on_read

    @property
    def is_buffered(self) -> bool:
        """True if the whole body has arrived, is small, and is not compressed."""
        stream = self._stream
        return stream.is_eof() and stream.total_bytes < LARGE_BYTES and not self._fields.is_encoded

    async def read(self) -> Parts:
        """See `Body.read`."""
        coding = self._coding()
        self._refuse_announced(self._limits.body_bytes)
        self._on_read(self._stream, whole=True)
        return await read_body(self._stream, coding, self._limits)

    def read_now(self) -> bytes:
        """See `Body.read_now`."""
        try:
            body: bytes = self._stream.read_nowait()
        except BrokenBodyError:
            raise _incomplete() from None
        if len(body) > self._limits.body_bytes:
            raise too_large(self._limits.body_bytes)
        return body

    def pieces(self, is_inside_message: Callable[[], bool]) -> AsyncGenerator[bytes]:
        """See `Body.pieces`.

        Between two pieces nothing is read from the connection, so a slow reader slows the client.
        """
        begin = self._begin_pieces
        return ArrivingPieces(self._stream, self._limits, is_inside_message, begin).as_generator()

    def _begin_pieces(self) -> Inflater | None:
        """Begins to read the body as it arrives; returns what decompresses it, if it is gzip."""
        coding = self._coding()
        self._refuse_announced(self._limits.stream_bytes)
        self._on_read(self._stream, whole=False)
        return Inflater(self._limits.decompression_ratio) if coding else None

    def _coding(self) -> str:
        # Most fields are not needed by their names, for which all of them have to be read.
        return content_coding(self._fields.by_name) if self._fields.is_encoded else ""

    def _refuse_announced(self, limit_bytes: int | None) -> None:
        if limit_bytes is None:
            return
        fields = self._fields
        if fields.is_parsed:
            stated_bytes = int(fields.by_name.get("Content-Length", "0"))
        else:
            stated_bytes = fields.content_length
        if stated_bytes > limit_bytes:
            raise too_large(limit_bytes)


class ArrivingPieces(MessageStream):
    """The pieces of a body as it arrives; `begin` is called when the first one is wanted."""

    __slots__ = (
        *("_begin", "_inflate", "_is_inside_message", "_is_over", "_limit_bytes", "_parts"),
        *("_silence", "_stream", "_total_bytes", "_waiting"),
    )

    def __init__(
        self,
        stream: BodySource,
        limits: Limits,
        is_inside_message: Callable[[], bool],
        begin: Callable[[], Inflater | None],
    ) -> None:
        self._stream = stream
        self._limit_bytes = limits.stream_bytes
        self._is_inside_message = is_inside_message
        self._begin: Callable[[], Inflater | None] | None = begin
        self._inflate: Inflater | None = None
        self._silence = Silence(stream, limits.body_timeout_s)
        self._waiting: Parts = []
        """The last pieces that came, in reverse order."""
        self._parts: Iterator[bytes | memoryview] = iter(())
        """The rest of the one that is handed out."""
        self._total_bytes = 0
        self._is_over = False

    async def __anext__(self) -> bytes:
        return b"".join(await self.following())

    async def following(self) -> Parts:
        """The next piece, as it came: as a view, if it is a part of a read of the connection."""
        if self._is_over:
            raise StopAsyncIteration
        try:
            begin, self._begin = self._begin, None
            if begin is not None:
                self._inflate = begin()
            while (part := next(self._parts, None)) is None:
                if not self._waiting:
                    self._waiting = await self._next()
                    if not self._waiting:
                        break
                    self._waiting.reverse()
                piece, inflate = self._waiting.pop(), self._inflate
                self._parts = _parts(piece) if inflate is None else inflate.feed(piece)
            if part is not None:
                self._count(len(part))
                return [part]
            if self._inflate is not None:
                self._inflate.finish()
        except BaseException:
            self._close()
            raise
        self._close()
        raise StopAsyncIteration

    def _count(self, size: int) -> None:
        self._total_bytes += size
        if self._limit_bytes is not None and self._total_bytes > self._limit_bytes:
            raise too_large(self._limit_bytes)

    async def _next(self) -> Parts:
        """The next pieces that arrive; none at the end."""
        stream = self._stream
        try:
            if self._is_inside_message():
                self._silence.begin()
            if isinstance(stream, ArrivingBody):
                return await stream.pieces_after(0)
            found: bytes = await stream.readany()
        except BrokenBodyError:
            raise _incomplete() from None
        finally:
            self._silence.end()
        return [found] if found else []

    async def aclose(self) -> None:
        """Reads no further."""
        self._close()

    def _close(self) -> None:
        self._is_over = True
        self._silence.close()


class Silence:
    """Ends a body with an error if a wait for its next bytes takes too long.

    One timer for all waits: to make and cancel one for each costs more than all else in a wait.
    """

    def __init__(self, stream: BodySource, limit_s: float) -> None:
        self._stream = stream
        self._limit_s = limit_s
        self._loop = asyncio.get_running_loop()
        self._since_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Called when a wait begins that may take too long."""
        self._since_s = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._limit_s, self._check)

    def end(self) -> None:
        """Called when a wait has ended."""
        self._since_s = None

    def close(self) -> None:
        """Called after the last wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        self._timer = None
        if self._since_s is None:
            return
        left_s = self._since_s + self._limit_s - self._loop.time()
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._check)
        else:
            self._stream.set_exception(timed_out("body"))


def _parts(piece: bytes | memoryview) -> Iterator[bytes | memoryview]:
    if len(piece) <= _PIECE_BYTES:
        return iter((piece,))
    return (piece[at : at + _PIECE_BYTES] for at in range(0, len(piece), _PIECE_BYTES))


async def read_body(stream: BodySource, coding: str, limits: Limits) -> Parts:
    """Reads the whole body, in parts, and decompresses it.

    Raises:
        StatusError: the body is over the limit, is not gzip although its coding is, or is
            incomplete.
    """
    most_bytes = limits.body_bytes
    pieces: Parts = []
    total = 0
    try:
        if isinstance(stream, ArrivingBody):
            pieces = await stream.readall(most_bytes)
            total = sum(map(len, pieces))
        else:
            while total <= most_bytes and (piece := await stream.readany()):
                total += len(piece)
                pieces.append(piece)
    except BrokenBodyError:
        raise _incomplete() from None
    if total > most_bytes:
        raise too_large(most_bytes)
    if not coding:
        return pieces
    body = b"".join(pieces)
    if len(body) > _IN_THREAD_BYTES:
        return [await asyncio.to_thread(gunzip, body, limits)]
    return [gunzip(body, limits)]


def _incomplete() -> StatusError:
    return StatusError(Code.INVALID_ARGUMENT, "the request body is incomplete")

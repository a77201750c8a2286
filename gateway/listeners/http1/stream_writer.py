"""Writes a streamed response to one connection, no faster than the client reads it."""

import asyncio
from contextlib import suppress
from socket import SO_LINGER, SOL_SOCKET
from struct import pack
from typing import Final

from gateway.http.messages import (
    BodyStream,
    Response,
    StatusError,
    StreamBrokenError,
    StreamConnection,
)
from gateway.http.turns import MESSAGES_PER_TURN
from gateway.listeners.http1.response_bytes import stream_head

_CHUNKED: Final = "Transfer-Encoding: chunked\r\n"
_WITHOUT_CONTENT: Final = (204, 205, 304)
# As much as one read of a back end's connection brings, so that it is sent on in one write.
_BATCH_BYTES: Final = 256 * 1024
# Below this size, to join pieces costs less than a write of several.
_JOINED_BYTES: Final = 16 * 1024
_LINGER_ZERO: Final = pack("ii", 1, 0)


class StreamWriter:
    """Writes one streamed response.

    The body is delimited by chunks, by its stated length, or, for HTTP/1.0 clients, by the end of
    the connection (RFC 9112 section 6.3).
    """

    def __init__(self, connection: StreamConnection, pieces: BodyStream) -> None:
        self._connection = connection
        self._pieces = pieces
        self.is_interrupted = False
        """True if the gateway has ended the stream."""
        self._chunked = self._until_close = False
        self._bytes_left: int | None = pieces.length
        """The bytes still to send, if the length is known."""
        self._loop = asyncio.get_running_loop()
        self._sent_s = self._loop.time()
        self._head = b""
        self._waiting: list[bytes | memoryview] = []
        """Pieces to send together, at the end of the loop's turn or when they are large enough."""
        self._waiting_bytes = 0

    async def write(
        self, response: Response, date: str, connection: str, *, head_only: bool
    ) -> None:
        """Writes head, pieces and end, and closes the pieces.

        Raises:
            StreamBrokenError: the response is incomplete; the caller must close the connection,
                which shows this to the client.
            CancelledError: the client has disconnected.
        """
        failure: BaseException | None = None
        has_content = response.status not in _WITHOUT_CONTENT
        try:
            self._write_head(response, date, connection)
            if not head_only:
                await self._write_pieces(has_content=has_content)
            self._finish(has_content=has_content and not head_only)
        except StreamBrokenError as error:
            failure = error
            self._flush()
            if self._until_close:
                # A normal close would look like the end of the stream.
                reset(self._connection.transport)
        except BaseException as error:  # noqa: BLE001 - it is raised after the pieces are closed
            failure = error
        await self._pieces.aclose()
        if failure is not None:
            raise failure

    def interrupt(self, error: StatusError) -> bool:
        """Makes `error` the end of the stream; see `BodyStream.interrupt`."""
        self.is_interrupted = True
        return self._pieces.interrupt(error)

    def send_heartbeat(self, now_s: float) -> None:
        """Sends a heartbeat if nothing was sent for `heartbeat_s` seconds."""
        after_s = self._pieces.heartbeat_s
        # Not while writing is paused: new bytes would hide that the client reads nothing.
        if after_s is None or self._connection.writing_paused:
            return
        if now_s - self._sent_s > after_s:
            self._send(self._pieces.heartbeat)

    async def _write_pieces(self, *, has_content: bool) -> None:
        pieces = self._pieces
        in_turn = 0
        while True:
            piece = pieces.take()
            if piece is None:
                try:
                    piece = await pieces.following()
                except StopAsyncIteration:
                    return
            if has_content:
                self._send(piece)
            if self._connection.writing_paused:
                await self._connection.drained()
            in_turn = in_turn + 1 if in_turn < MESSAGES_PER_TURN else 0
            if not in_turn:
                await asyncio.sleep(0)

    def _write_head(self, response: Response, date: str, connection: str) -> None:
        is_old = connection == "close-delimited"
        self._chunked = self._bytes_left is None and not is_old
        self._until_close = self._bytes_left is None and is_old
        framing = _CHUNKED if self._chunked else ""
        if self._bytes_left is not None:
            framing = f"Content-Length: {self._bytes_left}\r\n"
        if response.status in _WITHOUT_CONTENT:
            # RFC 9112 section 6.1; RFC 9110 section 15.3.6: only 205 states a length, which is 0.
            framing = "Content-Length: 0\r\n" if response.status == 205 else ""
        connection = "close" if is_old else connection
        self._head = stream_head(response, date, connection, framing)
        self._loop.call_soon(self._flush)

    def _finish(self, *, has_content: bool) -> None:
        if has_content and self._bytes_left:
            raise StreamBrokenError  # fewer bytes than the stated length
        self._flush(b"0\r\n\r\n" if has_content and self._chunked else b"")

    def _send(self, piece: bytes | memoryview) -> None:
        """Sends a piece, joined with other pieces of the same turn of the loop.

        This avoids a system call for each message of a fast stream, and delays no message beyond
        the current turn.
        """
        if self._bytes_left is not None:
            self._bytes_left -= len(piece)
            if self._bytes_left < 0:
                raise StreamBrokenError  # more bytes than the stated length
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(piece)
        self._waiting_bytes += len(piece)
        if self._waiting_bytes >= _BATCH_BYTES:
            self._flush()

    def _flush(self, end: bytes = b"") -> None:
        head, pieces, size = self._head, self._waiting, self._waiting_bytes
        self._head, self._waiting, self._waiting_bytes = b"", [], 0
        if self._chunked and size:  # an empty chunk would end the stream
            head += b"%x\r\n" % size
            end = b"\r\n" + end
        if not (head or size or end) or self._connection.transport is None:
            return
        self._sent_s = self._loop.time()
        pieces = [head, *pieces, end]
        if size > _JOINED_BYTES:
            self._connection.send_pieces(pieces)
        else:
            self._connection.send_now(b"".join(pieces))


def reset(transport: asyncio.WriteTransport | None) -> None:
    """Resets a connection, so that its peer sees an error (RFC 9293 section 3.6.1)."""
    if transport is None:
        return
    sock = transport.get_extra_info("socket")
    with suppress(OSError):  # a Unix socket has no reset
        sock.setsockopt(SOL_SOCKET, SO_LINGER, _LINGER_ZERO)
    transport.abort()

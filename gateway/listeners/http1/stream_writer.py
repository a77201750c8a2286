"""Writes a streamed response onto one connection, no faster than the client takes it."""

import asyncio
from contextlib import suppress
from socket import SO_LINGER, SOL_SOCKET
from struct import pack

from gateway.exchange.stream_body import StreamBrokenError
from gateway.http.connection import StreamConnection
from gateway.http.messages import BodyStream, Response
from gateway.http.turns import MESSAGES_AT_ONCE
from gateway.listeners.http1.response_bytes import stream_head

_CHUNKED = "Transfer-Encoding: chunked\r\n"
_WITHOUT_CONTENT = (204, 205, 304)
_BATCH_BYTES = 64 * 1024
_LINGER_ZERO = pack("ii", 1, 0)


class StreamWriter:
    """One streamed response on its way out.

    In chunks; as so many bytes as were promised; or, to HTTP/1.0 clients, up to the end of the
    connection (RFC 9112 section 6.3).
    """

    def __init__(self, connection: StreamConnection, pieces: BodyStream) -> None:
        self._connection = connection
        self._pieces = pieces
        self._chunked = self._until_close = False
        self._bytes_left: int | None = pieces.length
        """How many bytes are still owed, where that is known."""
        self._loop = asyncio.get_running_loop()
        self._sent_s = self._loop.time()
        self._head = b""
        self._waiting: list[bytes] = []
        """Pieces to be sent together when the loop has had its turn, or there are enough."""
        self._waiting_bytes = 0

    async def write(
        self, response: Response, date: str, connection: str, *, head_only: bool
    ) -> None:
        """Writes head, pieces and end, and closes the pieces.

        Raises:
            StreamBrokenError: what has been written is not the whole; the connection is to be
                closed, so that the client sees that it is not.
            CancelledError: the client is gone.
        """
        try:
            self._write_head(response, date, connection)
            has_content = response.status not in _WITHOUT_CONTENT
            if not head_only:
                at_once = 0
                async for piece in self._pieces:
                    if has_content:
                        self._send(piece)
                    if self._connection.writing_paused:
                        await self._connection.drained()
                    at_once = at_once + 1 if at_once < MESSAGES_AT_ONCE else 0
                    if not at_once:
                        await asyncio.sleep(0)
            self._finish(has_content=has_content and not head_only)
        except StreamBrokenError:
            self._flush()
            if self._until_close:
                reset(
                    self._connection.transport
                )  # an orderly end would look like the end of the stream
            raise
        finally:
            await self._pieces.aclose()

    def send_heartbeat(self, now_s: float) -> None:
        """Says that somebody is there, if the stream has long been silent."""
        after_s = self._pieces.heartbeat_s
        # One that is paused has bytes to take; more of them would hide that it takes none.
        if (
            after_s is not None
            and now_s - self._sent_s > after_s
            and not self._connection.writing_paused
        ):
            self._send(self._pieces.heartbeat)

    def _write_head(self, response: Response, date: str, connection: str) -> None:
        is_old = connection == "close-delimited"
        self._chunked = self._bytes_left is None and not is_old
        self._until_close = self._bytes_left is None and is_old
        framing = _CHUNKED if self._chunked else ""
        if self._bytes_left is not None:
            framing = f"Content-Length: {self._bytes_left}\r\n"
        if response.status in _WITHOUT_CONTENT:
            # RFC 9112 section 6.1; RFC 9110 section 15.3.6: 205 alone may say that it has nothing.
            framing = "Content-Length: 0\r\n" if response.status == 205 else ""
        connection = "close" if is_old else connection
        self._head = stream_head(response, date, connection, framing)
        self._loop.call_soon(self._flush)

    def _finish(self, *, has_content: bool) -> None:
        if has_content and self._bytes_left:
            raise StreamBrokenError  # less than was promised
        self._flush(b"0\r\n\r\n" if has_content and self._chunked else b"")

    def _send(self, piece: bytes) -> None:
        """Sends a piece with those that come in the same turn of the loop.

        That saves a system call for each message where they come faster than they can be sent, and
        lets none wait for one that is not there.
        """
        if self._bytes_left is not None:
            self._bytes_left -= len(piece)
            if self._bytes_left < 0:
                raise StreamBrokenError  # more than was promised
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(piece)
        self._waiting_bytes += len(piece)
        if self._waiting_bytes >= _BATCH_BYTES:
            self._flush()

    def _flush(self, end: bytes = b"") -> None:
        body = b"".join(self._waiting)
        if self._chunked and body:  # an empty chunk would end the stream
            body = b"%x\r\n%b\r\n" % (len(body), body)
        data = b"".join((self._head, body, end))
        self._head, self._waiting, self._waiting_bytes = b"", [], 0
        if data and self._connection.transport is not None:
            self._sent_s = self._loop.time()
            self._connection.send_now(data)


def reset(transport: asyncio.WriteTransport | None) -> None:
    """Closes a connection so that its peer sees it break, not end (RFC 9293 section 3.6.1)."""
    if transport is None:
        return
    sock = transport.get_extra_info("socket")
    with suppress(OSError):  # a unix socket knows no reset
        sock.setsockopt(SOL_SOCKET, SO_LINGER, _LINGER_ZERO)
    transport.abort()

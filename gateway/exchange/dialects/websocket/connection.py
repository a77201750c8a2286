"""One WebSocket that carries one call: receives the client's messages and sends the replies.

The last text frame and the close code state how the call ended. A client sends an empty text frame
to end its messages and still receive replies; closing the WebSocket would end the call.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from functools import partial
from math import inf
from time import perf_counter
from typing import NamedTuple

from gateway.config.websocket import WebSocketOptions
from gateway.exchange.dialects.websocket.frames import Frames, Message
from gateway.exchange.streaming_call import StreamingCall
from gateway.exchange.unreadable import log_unreadable
from gateway.exchange.worker_threads import LARGE_BYTES, run_in_thread, transcode
from gateway.http.messages import Request, SocketConnection
from gateway.http.turns import MESSAGES_PER_TURN, TURN_LIMIT_S
from gateway.status import Code, StatusError, invalid_argument
from gateway.transcoding.response import Encoder
from gateway.transcoding.streams.decoder import MessageDecoder, MessageReader

logger = logging.getLogger("gateway")

NORMAL, GOING_AWAY, WRONG_KIND, TOO_BIG, SILENT = 1000, 1001, 1003, 1009, 1011
"""The close codes (RFC 6455 section 7.4.1)."""
CODE_BASE = 4000
"""The base to which a canonical code is added: close codes for private use (section 7.4.2)."""

_QUEUE_BYTES = 64 * 1024
# Counted for each queued message in addition to its bytes, so that many empty ones have a limit.
_MESSAGE_OVERHEAD_BYTES = 128
_BATCH_BYTES = 64 * 1024
_CLOSE_TIMEOUT_S = 2.0


class Ending(NamedTuple):
    """The end of a call, which its last text frame and the close frame report to the client."""

    error: StatusError | None = None
    close_code: int | None = None
    """A close code that is more exact than the canonical code."""


class Session(NamedTuple):
    """The call that a WebSocket carries."""

    call: StreamingCall
    encode: Encoder
    """Encodes the payload of a reply."""
    ok_text: bytes
    """The last text frame of a call that succeeded."""
    encode_status: Callable[[StatusError], bytes]
    """Encodes the last text frame of a call that failed."""
    ended: Callable[[Code, int], None]
    """Called with the code of the ended call and the number of bytes sent."""


class WebSocket:
    """One WebSocket, from the handshake to the close."""

    def __init__(
        self,
        request: Request,
        frames: Frames,
        options: WebSocketOptions,
        *,
        is_protobuf: bool,
        max_messages: int | None,
        limit_bytes: int | None,
    ) -> None:
        """Takes the limits for the client's messages: their number, and their bytes in all.

        They count as the body of `request`, which asked for the WebSocket.
        """
        self._loop = asyncio.get_running_loop()
        self._request = request
        self._frames = frames
        self._options = options
        self._is_protobuf = is_protobuf
        self._max_messages = self._messages_left = max_messages
        self._limit_bytes = limit_bytes
        self.session: Session
        """The call to carry; must be set before `run`."""
        self._connection: SocketConnection | None = None
        self._queue: deque[bytes] = deque()
        self._room: float = _QUEUE_BYTES
        """The bytes that may still be queued; no limit once the call is over: they are dropped."""
        self._reader: asyncio.Future[None] | None = None
        self._unread = b""
        self._paused = False
        self._is_reading_later = False
        self._is_half_closed = False
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._received_s = self._loop.time()
        self._pinged_s = 0.0
        self._early_ending: asyncio.Future[Ending] = self._loop.create_future()
        """The end of the call, if something other than the back end ended it."""
        self._peer_closed: asyncio.Future[None] = self._loop.create_future()
        """The future that is done when the client has closed."""
        self.sent_bytes = 0

    def receive(self, data: bytes) -> None:
        """Receives bytes from the client; pauses reading if they are too many to use now."""
        self._received_s, self._pinged_s = self._loop.time(), 0.0
        self._unread = self._unread + data if self._unread else data
        if len(self._unread) <= self._frames.piece_bytes:
            self._read()
        else:
            if not self._paused:
                self._set_paused(paused=True)
            self._read_later()

    def send_heartbeat(self, now_s: float) -> None:
        """Sends a ping to a silent client, and ends the call if it does not answer.

        Called at regular intervals.
        """
        if self._paused or not self._frames.is_open:
            return  # an answer may have arrived, but is not read while paused
        if self._pinged_s:
            if now_s - self._pinged_s > self._options.ping_timeout_s:
                error = StatusError(Code.CANCELLED, "no answer to a ping")
                self._end(Ending(error, SILENT))
        elif now_s - self._received_s > self._options.ping_s:
            self._pinged_s = now_s
            self._send(self._frames.ping())

    def shut_down(self) -> None:
        """Ends the call because the gateway shuts down; the client may reconnect."""
        error = StatusError(Code.UNAVAILABLE, "the gateway is shutting down")
        self._end(Ending(error, GOING_AWAY))

    async def messages(
        self, reader: Callable[[], MessageReader], on_admitted: Callable[[], None]
    ) -> AsyncGenerator[bytes]:
        """Yields the client's messages, decoded, until the client ends them.

        `reader` makes what reads them, once the call is admitted.
        """
        on_admitted()
        decoder = MessageDecoder(*reader())
        in_turn = 0
        while (payload := await self._payload()) is not None:
            if len(payload) < LARGE_BYTES:
                yield decoder.decode(payload)
            else:
                yield await run_in_thread(partial(decoder.decode, payload))
            in_turn = in_turn + 1 if in_turn < MESSAGES_PER_TURN else 0
            if not in_turn:
                await asyncio.sleep(0)
        if decoder.default is not None:
            yield decoder.default

    async def message(
        self, decode: Callable[[bytes], bytes], on_admitted: Callable[[], None]
    ) -> bytes:
        """Returns the one message of the request, decoded; it is empty if none may be sent."""
        payload = b""
        if self._max_messages:
            on_admitted()
            payload = await self._payload() or b""
        return await transcode(decode, payload)

    async def _payload(self) -> bytes | None:
        """Returns the payload of the client's next message; None once the client has ended them."""
        while not self._queue:
            if self._is_half_closed:
                return None
            self._reader = self._loop.create_future()
            await self._reader
        payload = self._queue.popleft()
        self._room += len(payload) + _MESSAGE_OVERHEAD_BYTES
        if self._paused and self._room > _QUEUE_BYTES // 2:
            self._read()
        return payload

    async def run(self, connection: SocketConnection, head: bytes, early: bytes) -> None:
        """Serves the call to its end, reports the end, and waits briefly for the client to close.

        Raises:
            CancelledError, ConnectionError: the client has disconnected; the call has been ended.
        """
        session, self._connection = self.session, connection
        code = Code.CANCELLED
        try:
            connection.send_now(head)
            self.receive(early)
            ending = await self._run_call(session)
            code = Code.OK if ending.error is None else ending.error.code
        finally:
            try:
                await session.call.end(code)
            finally:
                session.ended(code, self.sent_bytes)
        await self._close(ending, session)

    async def _run_call(self, session: Session) -> Ending:
        pump = self._loop.create_task(self._pump(session))
        try:
            await asyncio.wait((pump, self._early_ending), return_when=asyncio.FIRST_COMPLETED)
            return self._early_ending.result() if self._early_ending.done() else pump.result()
        finally:
            if not pump.done():
                pump.cancel()
                await asyncio.wait([pump])

    async def _pump(self, session: Session) -> Ending:
        """Sends the replies, no faster than the client reads them."""
        encode = session.encode.write
        assert self._connection is not None  # noqa: S101 - `run` has set it
        assert encode is not None  # noqa: S101 - the dialect refuses raw replies
        frame = self._frames.binary if self._is_protobuf else self._frames.text
        in_turn = 0
        try:
            reply = await session.call.reply
            # The call would hand the messages of a stream on, one step more for each.
            async for message in session.call if reply.messages is None else reply.messages:
                # Not in a coroutine of its own: each costs every message a microsecond.
                if len(message) < LARGE_BYTES:
                    payload = encode(message)
                else:
                    payload = await run_in_thread(partial(encode, message))
                if not self._frames.is_open:  # the client has closed while this was on its way
                    return Ending(StatusError(Code.CANCELLED, "the client has closed"))
                self._send(frame(payload))
                if self._connection.writing_paused:
                    await self._connection.drained()
                in_turn = in_turn + 1 if in_turn < MESSAGES_PER_TURN else 0
                if not in_turn:
                    await asyncio.sleep(0)
        except StatusError as error:
            log_unreadable(error)
            return Ending(error)
        except Exception as error:
            # One raised while the client is still there is of an interceptor.
            if isinstance(error, ConnectionError) and self._connection.transport is None:
                return Ending(StatusError(Code.CANCELLED, "the client has disconnected"))
            logger.exception("a WebSocket failed")
            return Ending(StatusError(Code.INTERNAL, "internal error"))
        return Ending()

    async def _close(self, ending: Ending, session: Session) -> None:
        self._end(ending)  # unread messages are dropped; the client's close may follow them
        if self._frames.is_open:
            error = ending.error
            if error is None:
                text, close_code, reason = session.ok_text, NORMAL, ""
            else:
                text = session.encode_status(error)
                close_code = ending.close_code or CODE_BASE + error.code
                reason = f"{error.code.name}: {error.message}"
            self._send(self._frames.text(text) + self._frames.close(close_code, reason))
        self._flush()
        self._read()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._peer_closed

    def _end(self, ending: Ending) -> None:
        if not self._early_ending.done():
            self._early_ending.set_result(ending)
            self._room = inf

    def _read(self) -> None:
        """Parses received bytes in pieces, while the queue has room.

        Yields to other connections after `TURN_LIMIT_S`.
        """
        if self._is_reading_later:  # its time in this turn of the loop is used up
            return
        frames = self._frames
        until_s = perf_counter() + TURN_LIMIT_S
        while self._unread and self._room > 0:
            if len(self._unread) <= frames.piece_bytes:
                piece, self._unread = self._unread, b""
            else:
                piece = self._unread[: frames.piece_bytes]
                self._unread = self._unread[frames.piece_bytes :]
            for message in frames.feed(piece):
                self._accept(message)
            # For example pongs; none while the client reads too slowly, or one that sends pings and
            # never reads could fill the memory.
            connection = self._connection
            if frames.answers and connection is not None and not connection.writing_paused:
                self._send(frames.answers)
            if frames.peer_closed:
                self._on_peer_closed()
            if perf_counter() > until_s:
                break
        if self._unread and self._room > 0:
            self._read_later()
        paused = self._is_reading_later or self._room <= 0
        if paused is not self._paused:
            self._set_paused(paused=paused)
        if self._reader is not None and (self._queue or self._is_half_closed):
            if not self._reader.done():
                self._reader.set_result(None)
            self._reader = None

    def _read_later(self) -> None:
        if not self._is_reading_later and self._connection is not None:
            self._is_reading_later = True
            self._connection.later(self._read_on)

    def _read_on(self) -> None:
        self._is_reading_later = False
        self._read()

    def _set_paused(self, *, paused: bool) -> None:
        if self._connection is not None:
            self._paused = paused
            if paused:
                self._connection.pause()
            else:
                self._received_s = self._loop.time()
                self._connection.resume()

    def _on_peer_closed(self) -> None:
        """Ends the call: the client has closed, or has violated the protocol."""
        if not self._peer_closed.done():
            self._peer_closed.set_result(None)
        if self._early_ending.done():
            return
        match self._frames.violation:
            case None:
                error = StatusError(Code.CANCELLED, "the client has closed")
            case code if code == TOO_BIG:
                error = StatusError(Code.RESOURCE_EXHAUSTED, "a message is too large")
            case _:
                error = invalid_argument("", "the client violated the WebSocket protocol")
        self._end(Ending(error))

    def _accept(self, message: Message) -> None:
        if self._early_ending.done():
            return
        size = len(message.payload)
        self._request.body_bytes += size
        if not size and message.is_text:
            self._is_half_closed = True
        elif self._limit_bytes is not None and self._request.body_bytes > self._limit_bytes:
            text = f"the request is larger than {self._limit_bytes} bytes"
            self._end(Ending(StatusError(Code.RESOURCE_EXHAUSTED, text), TOO_BIG))
        elif message.is_text is self._is_protobuf:
            kind = "binary" if self._is_protobuf else "text"
            self._end(Ending(invalid_argument("", f"expected {kind} frames"), WRONG_KIND))
        elif self._is_half_closed:
            self._end(Ending(invalid_argument("", "a message came after the empty text frame")))
        elif self._messages_left == 0:
            self._end(Ending(invalid_argument("", "the method takes no further messages")))
        else:
            if self._messages_left is not None:
                self._messages_left -= 1
            self._queue.append(message.payload)
            self._room -= size + _MESSAGE_OVERHEAD_BYTES

    def _send(self, data: bytes) -> None:
        """Sends at the end of this turn of the loop, joined with other data: one system call."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)
        self._out_bytes += len(data)
        if self._out_bytes >= _BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._out:
            return
        data, self._out = b"".join(self._out), []
        self._out_bytes = 0
        self.sent_bytes += len(data)
        if self._connection is not None:
            with suppress(ConnectionError):  # disconnected: `run` is being cancelled
                self._connection.send_now(data)

"""HTTP/1.1 on one connection: aiohttp's parser reads requests, one write sends a response.

A custom `asyncio.Protocol`, because aiohttp's server loop costs more than a whole request here. One
task serves the requests in order. Malformed input gets one error response, and the connection is
closed, because the start of the next request is unknown.

The states of a connection and their flags; a flag that is not listed is false, [flag] is either:

    waiting     no flag                              no request is in progress
    serving     _is_serving                          answers a request; others may be queued
    last one    _is_serving _closing                 answers it as the last one, then closes
    ending      _is_serving _closing _discarding     an error is the last response, then lingers
    upgrading   _is_serving _discarding [_closing]   another protocol is requested, or in use
    closing     _closing [_discarding]               lingers, was rejected, or is disconnected

While the port drains, the answer to the last queued request ends the connection, in any state.

Two flags pause reading, in any state: `_reading_paused` while a body is full, and `_paused` while
the queue is full, bytes wait for a later turn, or an upgrade is unanswered. Lingering clears both.
"""

import asyncio
import logging
from collections.abc import Awaitable
from sys import intern
from typing import Final

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD

from gateway.http.messages import BodyStream, Request, Response, StreamBrokenError, Takeover
from gateway.http.responder import Responder
from gateway.listeners.http1.arriving_body import BodySource
from gateway.listeners.http1.plain_head import PLAIN_MESSAGE
from gateway.listeners.http1.request_head import (
    Code,
    Head,
    Limits,
    StatusError,
    malformed,
    timed_out,
)
from gateway.listeners.http1.request_rate import RequestRate
from gateway.listeners.http1.request_reader import ReceivedRequest, RequestReader, fields_of
from gateway.listeners.http1.response_bytes import plain_response, response_bytes
from gateway.listeners.http1.serving_connection import ServingConnection
from gateway.listeners.http1.stream_writer import StreamWriter
from gateway.listeners.port import Port

logger = logging.getLogger("gateway")

_LATE: Final = "the call did not finish in time"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_MAX_PIPELINED: Final = 16
# The requests of one connection that are answered before other connections run.
_MAX_REQUESTS_PER_TURN: Final = 4
_OVERDUE_AFTER_S: Final = 0.25  # first wait for the more precise DEADLINE_EXCEEDED of the back end


class HttpProtocol(ServingConnection):
    """One client connection; without `eof_received`, a half-close ends it as a disconnect does."""

    __slots__ = (
        *("_body", "_head_since_s", "_idle_since_s", "_incoming", "_over_rate", "_port", "_rate"),
        *("_reader", "_responder", "_upgrade_data"),
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, responder: Responder, port: Port) -> None:
        super().__init__(loop, port)
        limits, websockets = responder.limits, responder.speaks_websocket
        self._reader = RequestReader(self, loop, limits, websockets=websockets)
        self._parser = self._reader
        self._responder = responder
        self._port = port
        self._incoming: BodySource | None = None
        """The body that the parser fills, or has filled last."""
        self._body: BodySource | None = None
        """The body that is being read."""
        self._upgrade_data = b""
        """The bytes that arrived after a head that asks for an upgrade."""
        most = limits.connection_requests_per_s
        self._rate = None if most is None else RequestRate(most)
        self._over_rate: ReceivedRequest | None = None
        """The first request over the rate limit, which is refused."""
        self._head_since_s = self._idle_since_s = self._received_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called when a client has connected; rejects it if too many connections are open."""
        super().connection_made(transport)
        name = transport.get_extra_info("peername")
        # Interned: a proxy opens many connections from one address.
        self.peer = self._reader.peer = intern(name[0]) if isinstance(name, tuple) else "unix"
        refusal = self._port.admit(self)
        if refusal is not None:
            self._closing = self._discarding = True
            self._send(self._responder.refuse(refusal, self._reader.peer), "close")
            self.transport.close()  # type: ignore[union-attr]

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called when the client has disconnected; cancels its request."""
        super().connection_lost(exc)
        self._queue.clear()
        self._closing = self._discarding = True
        if self._task is None:
            self._port.connections.discard(self)
        else:
            # Registered until its task is done, so that closing the listener can wait for it.
            self._task.add_done_callback(lambda _: self._port.connections.discard(self))
            self._task.cancel()

    def _read(self, data: bytes | memoryview) -> None:
        """Queues complete heads, and adds bytes to bodies."""
        try:
            received, upgraded, early = self._reader.read(data)
        except HttpProcessingError as error:
            self._stop_reading_after(malformed(error, self._responder.limits))
            return
        if upgraded:
            # The parser has stopped: the next bytes are not HTTP. If the upgrade is ignored (RFC
            # 9110 section 7.8), they are dropped, and the response is the connection's last.
            self._discarding, self._upgrade_data = True, bytes(early) + self._unread
            self.pause()
        if received:
            if self._rate is None:
                self._enqueue(received)
            else:
                self._enqueue_within_rate(received, self._rate)
        elif not self._head_since_s and self._reader.has_begun_head:
            self._head_since_s = self._received_s

    def sweep(self, now_s: float, limits: Limits) -> None:
        """Enforces the time limits; called regularly."""
        if self.transport is None:
            return
        if self.has_stalled(now_s, limits.body_timeout_s):
            self.transport.abort()
        elif self.is_lingering:
            pass  # received bytes are dropped until the lingering close ends
        elif self._is_serving:
            self._sweep_request(now_s, limits)
            if self._writer is not None:
                self._writer.send_heartbeat(now_s)
            elif self._upgrade is not None:
                self._upgrade.send_heartbeat(now_s)
        elif self._head_since_s:
            if now_s - self._head_since_s > limits.header_timeout_s:
                self._stop_reading_after(self._reader.overdue())
        elif now_s - max(self._idle_since_s, self._port.draining_since_s) > limits.keep_alive_s:
            self.transport.close()

    def _sweep_request(self, now_s: float, limits: Limits) -> None:
        request, task = self._request, self._task
        if request is None or task is None:
            return
        if now_s > request.deadline_s + _OVERDUE_AFTER_S and request.interruption is None:
            request.interruption = StatusError(Code.DEADLINE_EXCEEDED, _LATE)
            task.cancel()
        elif self._body is not None and self._body_timed_out(self._body, now_s, limits):
            self._body.set_exception(timed_out("body"))

    def _body_timed_out(self, body: BodySource, now_s: float, limits: Limits) -> bool:
        """True if the client has sent no bytes of a body for too long, although reading is on."""
        waited_s = now_s - self._received_s
        return waited_s > limits.body_timeout_s and not body.is_eof() and not self._reading_paused

    def _is_within_body(self, size: int) -> bool:
        return not self._reading_paused and self._reader.body_left() >= size

    def _has_room(self) -> bool:
        return len(self._queue) <= _MAX_PIPELINED

    def _enqueue(self, received: list[ReceivedRequest]) -> None:
        self._head_since_s = 0.0
        self._incoming = received[-1].body
        if self._closing:
            return
        first = received[0]
        if first.head is PLAIN_MESSAGE and not self._is_serving and self._answers_at_once(first):
            return
        self._queue += received
        if not self._is_serving:
            self._start_serving()
        elif len(self._queue) > _MAX_PIPELINED:
            self.pause()

    def _answers_at_once(self, received: ReceivedRequest) -> bool:
        """Answers a plain request of an idle connection without its task, if that need not wait."""
        request = received.request
        if self.writing_paused or not isinstance(request, Request):
            return False
        if self._port.is_draining or (response := self._responder.answer_at_once(request)) is None:
            return False
        self._idle_since_s = self._received_s
        return self._respond(received.head, response, received.body)

    def _enqueue_within_rate(self, received: list[ReceivedRequest], rate: RequestRate) -> None:
        """Queues requests up to the rate limit; others are not answered, and end the connection."""
        room = rate.room_for(len(received), self._received_s)
        if room:
            self._enqueue(received[:room])
        if room < len(received):
            self._over_rate = received[room]
            self._incoming = None
            self._stop_reading_after(rate.refusal)

    def _stop_reading_after(self, error: StatusError) -> None:
        """Parses nothing more: `error` is the last response, or ends an incomplete body."""
        self._closing = self._discarding = True
        if self._incoming is not None and not self._incoming.is_eof():
            self._incoming.set_exception(error)
            return
        self._queue.append(error)
        if not self._is_serving:
            self._start_serving()

    def _start_serving(self) -> None:
        """Starts the task that serves the queue, or wakes it."""
        if self._waiter is not None:
            self._waiter.set_result(None)
            self._waiter = None
        else:
            self._task = self._loop.create_task(self._serve())

    def _wait_for_work(self) -> asyncio.Future[None] | None:
        """Returns the future to await while the queue is empty; None if the connection closes."""
        self._idle_since_s = self._loop.time()
        self._incoming = None  # it is complete: otherwise the connection would close now
        if self._head_since_s:
            self._head_since_s = self._idle_since_s
        if self._closing or self._discarding:
            if self.transport is not None:
                self._port.write_batch.flush()
                self.transport.close()
            return None
        self._waiter = self._loop.create_future()
        return self._waiter

    async def _serve(self) -> None:
        """Serves the queue. One task for all requests of a connection avoids 3 µs for each."""
        keeps_open = True
        in_turn = 0
        waiting: ReceivedRequest | StatusError | None
        begun: Request | Response | None
        try:
            while keeps_open:
                if self._queue:
                    if in_turn == _MAX_REQUESTS_PER_TURN:
                        in_turn = 0
                        await asyncio.sleep(0)
                        continue
                    in_turn += 1
                    waiting = self._queue.pop(0)
                    begun = self._begin(waiting)
                    if isinstance(begun, Request):
                        # Not in a coroutine of its own: that would cost a microsecond more.
                        begun = await self._responder.answer(begun)
                    sent = self._finish(waiting, begun)
                    # While this task waits, no variable holds a request or the bytes of a response.
                    waiting = begun = None
                    keeps_open = sent if isinstance(sent, bool) else await sent
                    if self.writing_paused and self._upgrade is None:
                        await self.drained()
                elif (waiter := self._wait_for_work()) is None:
                    return
                else:
                    in_turn = 0
                    await waiter
        except StreamBrokenError:
            pass
        except ConnectionError:
            return  # the client left while it was being answered
        except Exception:
            logger.exception("a connection failed")
            if self.transport is not None:
                self.transport.abort()
            return
        self._task = None
        self._queue.clear()
        self.begin_lingering_close()

    def _begin(self, waiting: ReceivedRequest | StatusError) -> Request | Response:
        """Returns the request to answer, or the response to one that is refused."""
        if self._paused and not self._discarding and len(self._queue) < _MAX_PIPELINED // 2:
            self._continue_reading()
        # Classes of machine code are told apart in a tenth of the time of `StatusError`.
        if not isinstance(waiting, ReceivedRequest):
            return self._refuse(waiting, self._over_rate)
        request = waiting.request
        if not isinstance(request, Request):
            return self._refuse(request, waiting)
        self._request = request
        return request

    def _finish(
        self, waiting: ReceivedRequest | StatusError, response: Response
    ) -> bool | Awaitable[bool]:
        """Sends a response; returns True if the connection stays open for another request, or what
        must be awaited for that."""
        if not isinstance(waiting, ReceivedRequest):
            self._send(response, "close")
            return False
        request, head, body = waiting.request, waiting.head, waiting.body
        answered = request if isinstance(request, Request) else None
        if answered is not None and answered.interruption is not None and self._task is not None:
            self._task.uncancel()  # only the request was cancelled
        self._request = self._body = None
        if response.upgrade is not None:
            self._streamed = answered
            return self._hand_over(response, response.upgrade)
        if response.stream is None:
            return self._respond(head, response, body)
        self._streamed = answered
        return self._stream(head, response, response.stream, body)

    async def _stream(
        self, message: Head, response: Response, pieces: BodyStream, body: BodySource
    ) -> bool:
        """Streams a response; returns True if the connection stays open for another request."""
        keeps_open, connection = self._keep_alive(message, body)
        if message.version < (1, 1):
            keeps_open, connection = False, "close-delimited"
        head_only = message.method == "HEAD"
        self._writer = StreamWriter(self, pieces)
        try:
            await self._writer.write(response, self._port.date, connection, head_only=head_only)
        finally:
            self._writer = None
        self._streamed = None
        return keeps_open

    def _refuse(self, error: StatusError, received: ReceivedRequest | None) -> Response:
        """Returns the response for a request that is not served; None if its head is unknown."""
        refuse, peer = self._responder.refuse, self._reader.peer
        if received is None:
            return refuse(error, peer, fields=self._reader.fields_of_failed())
        request, head = received.request, received.head
        if isinstance(request, Request):
            return refuse(error, peer, request.method, request.path, request.fields)
        return refuse(error, peer, head.method, head.path, fields_of(head))

    def _keep_alive(self, message: Head, body: BodySource) -> tuple[bool, str]:
        """Returns True if the connection stays open, and the value of its Connection header."""
        # RFC 9112 section 9.6: what follows `Connection: close` is ignored; the queue is answered.
        is_ending = self._closing or self._discarding or self._port.is_draining
        is_last = is_ending and not self._queue
        if message is PLAIN_MESSAGE and not is_last:  # the usual case
            return True, ""
        # Requests without a body share EMPTY_PAYLOAD, so the first comparison is usually enough.
        has_unread_body = body is not EMPTY_PAYLOAD and not body.is_eof()
        if message.should_close or is_last or has_unread_body:
            return False, "close"
        major, minor = message.version  # as machine code, to compare whole tuples costs ten times
        return True, "keep-alive" if major < 1 or (major == 1 and minor < 1) else ""

    def _respond(self, message: Head, response: Response, body: BodySource) -> bool:
        """Sends a complete response; returns True if the connection stays open for another."""
        keeps_open, connection = self._keep_alive(message, body)
        head_only = message is not PLAIN_MESSAGE and message.method == "HEAD"
        if not (connection or head_only) and self.transport is not None:
            plain = plain_response(response, self._port.date)
            if plain is not None:
                self._write_batch.add(self.transport, plain)
                return keeps_open
        accepted = ",".join(message.headers.getall("TE", ())).lower() if response.trailers else ""
        with_trailers = "trailers" in accepted and message.version >= (1, 1)
        self._send(response, connection, head_only=head_only, trailer=with_trailers)
        return keeps_open

    def on_awaited_read(self, body: BodySource, *, whole: bool) -> None:
        """Sends 100 Continue: the reading of a body starts, and the client waits for it."""
        if self.transport is not None and not body.total_bytes:
            self._port.write_batch.add(self.transport, _CONTINUE)
        self.on_body_read(body, whole=whole)

    def on_body_read(self, body: BodySource, *, whole: bool) -> None:
        """Called when the reading of a body starts; one read whole is watched for time-outs."""
        if whole:
            self._body = body
            self._received_s = self._loop.time()

    def _send(
        self, response: Response, connection: str, *, head_only: bool = False, trailer: bool = False
    ) -> None:
        head, body = response_bytes(
            response, self._port.date, connection, head_only=head_only, with_trailers=trailer
        )
        self.send(head, body, is_last=connection == "close")

    async def _hand_over(self, response: Response, upgrade: Takeover) -> bool:
        """Passes the connection to another protocol, for example WebSocket; returns False."""
        head, _ = response_bytes(
            response, self._port.date, "Upgrade", head_only=False, with_trailers=False
        )
        self._upgrade = upgrade
        if self._closing or self._port.is_draining:
            upgrade.shut_down()
        self.resume()
        await upgrade.run(self, head, self._upgrade_data)
        return False

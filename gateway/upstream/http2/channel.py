"""The channel: connections to one back end, opened when needed, and calls on them."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from types import TracebackType

from gateway.call import Metadata, Reply
from gateway.config.model import Upstream
from gateway.schema.catalog import Method
from gateway.status import Code, StatusError
from gateway.upstream.http2.calls import RpcCall, StreamingCall, UnaryCall, Unprocessed
from gateway.upstream.http2.headers import HeaderError, RequestHeaders
from gateway.upstream.http2.socket import Http2Socket, parse_target
from gateway.upstream.status_details import deadline_exceeded, unavailable
from gateway.upstream.user_agent import USER_AGENT

logger = logging.getLogger("gateway.upstream.http2")

MAX_CONNECTIONS = 8
_CONNECT_TIMEOUT_S = 20.0
_MAX_ATTEMPTS = 3
_SWEEP_EVERY_S = 0.05
# gRPC's backoff (connection-backoff.md), with a cap that suits services that come back soon.
_BACKOFF_START_S, _BACKOFF_FACTOR, _BACKOFF_CAP_S, _BACKOFF_JITTER = 0.2, 1.6, 5.0, 0.2


class Http2Channel:
    """Calls one back end over HTTP/2."""

    def __init__(self, name: str, upstream: Upstream) -> None:
        self._name = name
        self._limit_bytes = upstream.max_message_bytes
        self._address = parse_target(upstream)
        self._headers = RequestHeaders(
            self._address.authority, USER_AGENT, tls=self._address.tls is not None
        )
        self._loop = asyncio.get_running_loop()
        self._sockets: list[Http2Socket] = []
        self._connecting: asyncio.Task[None] | None = None
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._calls: set[RpcCall] = set()
        self._sweeping = False
        self._closed = False
        self._all_over: asyncio.Future[None] | None = None
        self._failures = 0
        self._retry_at_s = 0.0

    def __repr__(self) -> str:
        return f"<Http2Channel {self._name}, {len(self._sockets)} connections>"

    async def call(
        self,
        method: Method,
        request: bytes | AsyncGenerator[bytes],
        metadata: Metadata,
        timeout_s: float | None,
    ) -> Reply:
        """Calls `method` once; see `Channel.call`."""
        try:
            block = self._headers.block(method.path, metadata, timeout_s)
        except HeaderError as error:
            raise StatusError(Code.INTERNAL, f"metadata cannot be sent: {error}") from None
        deadline_s = None if timeout_s is None else self._loop.time() + timeout_s
        for _ in range(_MAX_ATTEMPTS):
            socket = self._ready() or await self._wait_for_socket(deadline_s)
            try:
                if method.server_streaming:
                    return await self._stream(socket, block, request, deadline_s)
                return await self._unary(socket, block, request, deadline_s)
            except Unprocessed:
                # The back end has not even looked at it: sending it again is not a second try.
                if not isinstance(request, bytes):
                    break
        raise unavailable(self._name)

    async def close(self, grace_s: float = 0.0) -> None:
        """Takes no more calls, lets those under way finish for `grace_s`, then ends them."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        if self._calls and grace_s:
            self._all_over = self._loop.create_future()
            await asyncio.wait([self._all_over], timeout=grace_s)
        for call in list(self._calls):
            call.fail(unavailable(self._name))
        for socket in list(self._sockets):
            socket.connection.close()
            socket.flush()
            socket.close()
        self._wake_all()
        await asyncio.sleep(0)

    async def _unary(
        self,
        socket: Http2Socket,
        block: bytes,
        request: bytes | AsyncGenerator[bytes],
        deadline_s: float | None,
    ) -> Reply:
        done: asyncio.Future[None] = self._loop.create_future()
        call = UnaryCall(self._name, self._limit_bytes, done)
        sender = self._start(call, socket, block, request, deadline_s)
        try:
            await done
        except asyncio.CancelledError:
            call.give_up()
            socket.flush_soon()
            raise
        finally:
            self._over(call)
            if sender is not None:
                await _stop(sender)
        return call.reply()

    async def _stream(
        self,
        socket: Http2Socket,
        block: bytes,
        request: bytes | AsyncGenerator[bytes],
        deadline_s: float | None,
    ) -> Reply:
        call = StreamingCall(self._name, self._limit_bytes, self._loop)
        sender = self._start(call, socket, block, request, deadline_s)
        replies = _Replies(self, call, socket, sender)
        try:
            await replies.fetch_first()
        except BaseException:
            await replies.aclose()
            raise
        return Reply(messages=replies, metadata=call.metadata, trailers=call.trailers)

    def _start(
        self,
        call: RpcCall,
        socket: Http2Socket,
        block: bytes,
        request: bytes | AsyncGenerator[bytes],
        deadline_s: float | None,
    ) -> "asyncio.Task[None] | None":
        connection = socket.connection
        call.connection = connection
        call.stream = stream = connection.open(block, call)
        self._calls.add(call)
        if deadline_s is not None:
            call.deadline_s = deadline_s
            self._sweep_soon()
        if isinstance(request, bytes):
            connection.send(stream, _framed(request), end=True)
            socket.flush_soon()
            return None
        socket.flush_soon()
        return self._loop.create_task(_send_all(call, socket, request))

    def _over(self, call: RpcCall) -> None:
        self._calls.discard(call)
        if self._all_over is not None and not self._calls and not self._all_over.done():
            self._all_over.set_result(None)
        if self._waiters:
            self._wake_one()

    def _ready(self) -> Http2Socket | None:
        for socket in self._sockets:
            if socket.connection.can_open:
                return socket
        return None

    async def _wait_for_socket(self, deadline_s: float | None) -> Http2Socket:
        """A connection with room for a call, opened or waited for."""
        try:
            async with asyncio.timeout_at(deadline_s):
                while True:
                    if self._closed:
                        raise unavailable(self._name)
                    socket = self._ready()
                    if socket is not None:
                        return socket
                    await self._make_room()
        except TimeoutError:
            raise deadline_exceeded() from None

    async def _make_room(self) -> None:
        alive = [socket for socket in self._sockets if not socket.connection.draining]
        if self._connecting is None and len(alive) < MAX_CONNECTIONS:
            if self._loop.time() < self._retry_at_s:
                raise unavailable(self._name)
            self._connecting = self._loop.create_task(self._connect())
        if self._connecting is not None and not alive:
            # Shielded: others wait for the same connection.
            await asyncio.shield(self._connecting)
            return
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            with suppress(ValueError):
                self._waiters.remove(waiter)

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                socket = await self._address.connect(self._loop, self._lost)
        except (OSError, TimeoutError) as error:
            self._failures += 1
            delay_s = min(
                _BACKOFF_CAP_S, _BACKOFF_START_S * _BACKOFF_FACTOR ** (self._failures - 1)
            )
            jitter = random.uniform(1 - _BACKOFF_JITTER, 1 + _BACKOFF_JITTER)  # noqa: S311 - no secret
            self._retry_at_s = self._loop.time() + delay_s * jitter
            logger.warning("upstream %s is unavailable: %s", self._name, error)
            raise unavailable(self._name) from None
        else:
            self._failures = 0
            self._sockets.append(socket)
        finally:
            self._connecting = None
            self._wake_all()

    def _lost(self, socket: Http2Socket) -> None:
        with suppress(ValueError):
            self._sockets.remove(socket)
        self._wake_all()

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _wake_all(self) -> None:
        while self._waiters:
            self._wake_one()

    def _sweep_soon(self) -> None:
        # Saves a timer for each call: the back end keeps the exact deadline, we look now and then.
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_later(_SWEEP_EVERY_S, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = False
        now_s = self._loop.time()
        waiting = False
        for call in list(self._calls):
            if call.deadline_s is None or call.ended:
                continue
            if now_s >= call.deadline_s:
                call.fail(deadline_exceeded())
            else:
                waiting = True
        for socket in self._sockets:
            if socket.connection.has_output:
                socket.flush_soon()
        if waiting:
            self._sweep_soon()


class _Replies(AsyncGenerator[bytes]):
    """The messages of a reply. Closing it cancels the call, read or not, unlike a generator's."""

    def __init__(
        self,
        channel: Http2Channel,
        call: StreamingCall,
        socket: Http2Socket,
        sender: "asyncio.Task[None] | None",
    ) -> None:
        self._channel = channel
        self._call = call
        self._socket = socket
        self._sender = sender
        self._first: bytes | None = None
        self._closed = False

    async def fetch_first(self) -> None:
        """Waits for the first message, the end, or the failure."""
        self._first = await self._call.next()

    async def asend(self, value: None) -> bytes:  # noqa: ARG002 - a generator's signature
        """The next message."""
        if self._closed:
            raise StopAsyncIteration
        message, self._first = self._first, None
        try:
            if message is None:
                message = await self._call.next()
        except BaseException as error:
            await self.aclose()
            if isinstance(error, Unprocessed):
                raise unavailable(self._channel._name) from None  # noqa: SLF001 - its own channel
            raise
        self._socket.flush_soon()
        if message is None:
            await self.aclose()
            raise StopAsyncIteration
        return message

    async def athrow(
        self,
        typ: type[BaseException] | BaseException,
        val: BaseException | object = None,  # noqa: ARG002 - a generator's signature
        tb: TracebackType | None = None,  # noqa: ARG002
    ) -> bytes:
        """Ends the call and raises."""
        await self.aclose()
        raise typ

    async def aclose(self) -> None:
        """Ends the call, if it has not ended, and what still sends for it."""
        if self._closed:
            return
        self._closed = True
        if not self._call.ended:
            self._call.give_up()
            self._socket.flush_soon()
        self._channel._over(self._call)  # noqa: SLF001 - its own channel
        if self._sender is not None:
            await _stop(self._sender)


def _framed(message: bytes) -> bytes:
    """A message as gRPC puts it into a stream: uncompressed, behind its length."""
    return b"\x00" + len(message).to_bytes(4, "big") + message


async def _send_all(call: RpcCall, socket: Http2Socket, messages: AsyncGenerator[bytes]) -> None:
    """Sends each message as it comes, no faster than the back end takes them."""
    connection, stream = socket.connection, call.stream
    if stream is None:
        return
    try:
        async for message in messages:
            if call.ended:
                return
            if not connection.send(stream, _framed(message), end=False):
                socket.flush_soon()
                await call.writable()
            socket.flush_soon()
        if not call.ended:
            connection.end(stream)
            socket.flush_soon()
    except Exception as error:  # noqa: BLE001 - whatever made the request fail is the call's failure
        call.fail(error)
        socket.flush_soon()
    finally:
        await messages.aclose()


async def _stop(task: "asyncio.Task[None]") -> None:
    """Ends a task and waits until it has."""
    task.cancel()
    await asyncio.wait([task])

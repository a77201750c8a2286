"""The channel: calls to one back end, on whatever connection has room for them."""

import asyncio
from collections.abc import AsyncGenerator

from gateway.call import Metadata, Reply
from gateway.config.model import Upstream
from gateway.schema.catalog import Method
from gateway.status import Code, StatusError
from gateway.upstream.http2.address import parse_target
from gateway.upstream.http2.calls import RpcCall, StreamingCall, UnaryCall, Unprocessed
from gateway.upstream.http2.connections import Connections
from gateway.upstream.http2.headers import HeaderError, RequestHeaders
from gateway.upstream.http2.replies import Replies
from gateway.upstream.http2.socket import Http2Socket
from gateway.upstream.status_details import deadline_exceeded, unavailable
from gateway.upstream.user_agent import USER_AGENT

_MAX_ATTEMPTS = 3
_SWEEP_EVERY_S = 0.05


class Http2Channel:
    """Calls one back end over HTTP/2."""

    def __init__(self, name: str, upstream: Upstream) -> None:
        self._name = name
        self._limit_bytes = upstream.max_message_bytes
        self._loop = asyncio.get_running_loop()
        address = parse_target(upstream)
        tls = address.tls is not None
        self._headers = RequestHeaders(address.authority, USER_AGENT, tls=tls)
        self._connections = Connections(name, address, self._loop)
        self._calls: set[RpcCall] = set()
        self._sweeping = False
        self._all_over: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Http2Channel {self._name}, {len(self._connections)} connections>"

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
            socket = self._connections.ready() or await self._connections.room(deadline_s)
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
        await self._connections.close()
        if self._calls and grace_s:
            self._all_over = self._loop.create_future()
            await asyncio.wait([self._all_over], timeout=grace_s)
        for call in list(self._calls):
            call.fail(unavailable(self._name))
        self._connections.hang_up()
        await asyncio.sleep(0)

    async def _unary(
        self,
        socket: Http2Socket,
        block: bytes,
        request: bytes | AsyncGenerator[bytes],
        deadline_s: float | None,
    ) -> Reply:
        call = UnaryCall(self._name, self._limit_bytes, socket)
        sender = self._start(call, block, request, deadline_s)
        try:
            await call.done
        except asyncio.CancelledError:
            call.give_up()
            raise
        finally:
            self._over(call)
            if sender is not None:
                sender.cancel()
                await asyncio.wait([sender])
        return call.reply()

    async def _stream(
        self,
        socket: Http2Socket,
        block: bytes,
        request: bytes | AsyncGenerator[bytes],
        deadline_s: float | None,
    ) -> Reply:
        call = StreamingCall(self._name, self._limit_bytes, socket)
        sender = self._start(call, block, request, deadline_s)
        replies = Replies(call, sender, self._over)
        try:
            await replies.fetch_first()
        except BaseException:
            await replies.aclose()
            raise
        return Reply(messages=replies, metadata=call.metadata, trailers=call.trailers)

    def _start(
        self,
        call: RpcCall,
        block: bytes,
        request: bytes | AsyncGenerator[bytes],
        deadline_s: float | None,
    ) -> "asyncio.Task[None] | None":
        socket = call.socket
        call.stream = socket.connection.open(block, call)
        self._calls.add(call)
        if deadline_s is not None:
            call.deadline_s = deadline_s
            if not self._sweeping:
                self._sweep_soon()
        socket.flush_soon()
        if isinstance(request, bytes):
            socket.connection.send(call.stream, _framed(request), end=True)
            return None
        return self._loop.create_task(_send_all(call, request))

    def _over(self, call: RpcCall) -> None:
        self._calls.discard(call)
        if self._connections.waiting:
            self._connections.wake_one()
        if self._all_over is not None and not self._calls and not self._all_over.done():
            self._all_over.set_result(None)

    def _sweep_soon(self) -> None:
        # Saves a timer for each call: the back end keeps the exact deadline, we look now and then.
        self._sweeping = True
        self._loop.call_later(_SWEEP_EVERY_S, self._sweep)

    def _sweep(self) -> None:
        now_s = self._loop.time()
        for call in list(self._calls):
            if not call.ended and call.is_late(now_s):
                call.fail(deadline_exceeded())
        self._sweeping = False
        if any(call.deadline_s is not None and not call.ended for call in self._calls):
            self._sweep_soon()


def _framed(message: bytes) -> bytes:
    """A message as gRPC puts it into a stream: uncompressed, behind its length."""
    return len(message).to_bytes(5, "big") + message


async def _send_all(call: RpcCall, messages: AsyncGenerator[bytes]) -> None:
    """Sends each message as it comes, no faster than the back end takes them."""
    socket, stream = call.socket, call.stream
    try:
        async for message in messages:
            if call.ended:
                return
            sent = socket.connection.send(stream, _framed(message), end=False)
            socket.flush_soon()
            if not sent:
                await call.writable()
        if not call.ended:
            socket.connection.end(stream)
            socket.flush_soon()
    except Exception as error:  # noqa: BLE001 - whatever made the request fail is the call's failure
        call.fail(error)
    finally:
        await messages.aclose()

"""The channel: calls to one back end, each on a connection that has room for it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, cast

from gateway.call import CallMetadata, Method, Reply
from gateway.config.upstreams import RequestCompression, Upstream
from gateway.http2.headers import HeaderError, fits
from gateway.http2.stream import JOINED_BYTES
from gateway.message_stream import Parts
from gateway.upstream.channels.failures import (
    AnyRequest,
    WholeRequest,
    deadline_exceeded,
    metadata_too_large,
    unavailable,
    unsendable_metadata,
)
from gateway.upstream.channels.http2.address import Address, parse_target
from gateway.upstream.channels.http2.calls import CallOwner, RpcCall, UnaryCall, plain_prefix
from gateway.upstream.channels.http2.connections import Connections, Pending
from gateway.upstream.channels.http2.headers import RequestHeaders
from gateway.upstream.channels.http2.messages import gzipped
from gateway.upstream.channels.http2.sender import Sender
from gateway.upstream.channels.http2.socket import Http2Socket, with_room
from gateway.upstream.channels.http2.streaming_call import Replies, StreamingCall
from gateway.upstream.channels.http2.traffic import Traffic
from gateway.upstream.channels.large_replies import LargeReplies
from gateway.upstream.channels.user_agent import USER_AGENT
from gateway.upstream.endpoint import State
from gateway.upstream.watched_connections import UNWATCHED, WatchConnections

_SWEEP_EVERY_S: Final = 0.05
"""Seconds by which a deadline may be noticed late here; the back end has the exact one."""


class Http2Channel(CallOwner):
    """Calls one back end over HTTP/2, at `address` or else at the target of `upstream`.

    `large_replies` and `pending` are shared with the channels to other endpoints of the upstream:
    the budget for large replies, and the count of the calls that wait. `watch` observes
    the connections.
    """

    def __init__(
        self,
        name: str,
        upstream: Upstream,
        address: Address | None = None,
        large_replies: LargeReplies | None = None,
        pending: Pending | None = None,
        *,
        watch: WatchConnections = UNWATCHED,
    ) -> None:
        self._name = name
        self._limit_bytes = upstream.max_message_bytes
        self._large_replies = large_replies or LargeReplies(
            name, upstream.large_replies_bytes, upstream.large_replies_wait_s
        )
        self._loop = asyncio.get_running_loop()
        if address is None:
            address = parse_target(upstream)
        tls = address.tls is not None
        self._gzips = gzip = upstream.compression is RequestCompression.GZIP
        self._headers = RequestHeaders(
            address.authority, USER_AGENT, tls=tls, encoding="gzip" if gzip else "identity"
        )
        pending = Pending() if pending is None else pending
        self._connections = Connections(name, upstream, address, self._loop, pending, watch=watch)
        self._calls: set[RpcCall] = set()
        # Read directly, as each call needs both: the connections are never machine code.
        self._sockets, self._waiting = self._connections.sockets, self._connections.waiting
        self._sweeping = False
        self._all_over: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Http2Channel {self._name}, {len(self._connections)} connections>"

    @property
    def in_flight(self) -> int:
        """The number of calls that have started and not ended, streams among them."""
        return len(self._calls) + len(self._waiting)

    @property
    def is_full(self) -> bool:
        """True if a call would wait behind others."""
        return self._connections.is_full

    @property
    def state(self) -> State:
        """The state of the connections."""
        return self._connections.state

    @property
    def failure(self) -> str:
        """The reason why no connection is possible; empty if one is."""
        return self._connections.failure

    def keep_open(self) -> None:
        """Connects now, and again by itself whenever no connection is left, with back-off."""
        self._connections.keep_open()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Calls `listener` from now on when `state` has changed."""
        self._connections.on_change = listener

    def call(
        self,
        method: Method,
        request: AnyRequest,
        metadata: CallMetadata,
        timeout_s: float | None,
        traffic: Traffic | None = None,
    ) -> Awaitable[Reply]:
        """Calls `method` once; see `Channel.call`. `traffic` is filled meanwhile.

        A streaming request of a call that was not processed is held by the failure
        (`Unprocessed.request`), and may be passed to another call or has to be stopped.
        """
        try:
            block = self._headers.block(method.path, metadata, timeout_s)
        except HeaderError as error:
            raise unsendable_metadata(self._name, str(error)) from None
        now_s = self._loop.time()
        deadline_s = None if timeout_s is None else now_s + timeout_s
        if isinstance(request, list) and (self._gzips or not _has_large(request)):
            request = b"".join(request)
        if isinstance(request, (bytes, list)):
            socket = None if method.server_streaming else with_room(self._sockets, now_s)
            if socket is not None:
                return self._begin(socket, block, request, deadline_s, traffic)
            return self._call(method, metadata, block, request, deadline_s, traffic)
        if isinstance(request, Sender):  # a failure of another call held it
            sender = request
        else:
            sender = Sender(cast("AsyncGenerator[bytes]", request), gzips=self._gzips)
        answer = self._call(method, metadata, block, sender, deadline_s, traffic)
        return sender.until_answered(answer)

    async def _call(  # noqa: PLR0917 - a call and its parts
        self,
        method: Method,
        metadata: CallMetadata,
        block: bytes,
        request: WholeRequest | Sender,
        deadline_s: float | None,
        traffic: Traffic | None,
    ) -> Reply:
        socket = with_room(self._sockets, self._loop.time())
        if socket is None:
            socket = await self._connections.room(deadline_s)
            if deadline_s is not None:
                # The time spent waiting is gone: the back end must not work longer than we wait.
                left_s = deadline_s - self._loop.time()
                block = self._headers.block(method.path, metadata, left_s)
        if not method.server_streaming:
            return await self._begin(socket, block, request, deadline_s, traffic)
        call = StreamingCall(self._name, self._limit_bytes, socket, self._large_replies)
        if traffic is not None:
            traffic.call = call
        self._start(call, block, request, deadline_s)
        sender = request if isinstance(request, Sender) else None
        replies = Replies(call, sender, self.over)
        await replies.fetch_first()
        messages = cast("AsyncGenerator[bytes]", replies)
        return Reply(messages=messages, metadata=call.metadata, trailers=call.trailers)

    def _begin(
        self,
        socket: Http2Socket,
        block: bytes,
        request: WholeRequest | Sender,
        deadline_s: float | None,
        traffic: Traffic | None,
    ) -> UnaryCall:
        call = UnaryCall(self._name, self._limit_bytes, socket, self._large_replies)
        call.owner = self
        if traffic is not None:
            traffic.call = call
        self._start(call, block, request, deadline_s)
        return call

    async def close(self, grace_s: float = 0.0) -> None:
        """Refuses new calls, lets those in progress finish for `grace_s`, then ends them."""
        await self._connections.close()
        if self._calls and grace_s:
            self._all_over = self._loop.create_future()
            await asyncio.wait([self._all_over], timeout=grace_s)
        for call in list(self._calls):
            call.fail(unavailable(self._name))
        self._connections.close_all()
        await asyncio.sleep(0)

    def _start(
        self,
        call: RpcCall,
        block: bytes,
        request: WholeRequest | Sender,
        deadline_s: float | None,
    ) -> None:
        socket = call.socket
        connection = socket.connection
        limit_bytes = connection.max_header_bytes
        # Decodes hardly any block: a list is never three times as large as its block.
        if len(block) * 3 > limit_bytes and not fits(block, limit_bytes):
            raise metadata_too_large(limit_bytes)
        if deadline_s is not None:
            call.deadline_s = deadline_s
            if not self._sweeping:
                self._sweep_soon()
        if isinstance(request, Sender):
            connection.open(block, call)
        elif isinstance(request, list):
            size = call.sent_bytes = sum(map(len, request))
            connection.open(block, call)
            connection.send_parts(call, size.to_bytes(5, "big"), request)
        else:
            if self._gzips:
                prefix, message = gzipped(request)
            else:
                prefix, message = plain_prefix(len(request)), request
            call.sent_bytes = len(message)
            if len(message) <= JOINED_BYTES:
                connection.open_whole(block, prefix + message, call)
            else:
                connection.open(block, call)
                connection.send_message(call, prefix, message, end=True)
        self._calls.add(call)
        socket.flush_soon()
        if isinstance(request, Sender):
            request.send_on(call)

    def over(self, call: RpcCall) -> None:
        """Counts a call no more, and lets the next one begin."""
        self._calls.discard(call)
        if self._waiting:
            self._connections.wake_one()
        if self._all_over is not None and not self._calls and not self._all_over.done():
            self._all_over.set_result(None)

    def _sweep_soon(self) -> None:
        # One timer for all calls is cheaper than one each; the back end has the exact deadlines.
        self._sweeping = True
        self._loop.call_later(_SWEEP_EVERY_S, self._sweep)

    def _sweep(self) -> None:
        now_s = self._loop.time()
        self._sweeping = False
        for call in list(self._calls):
            if call.ended or call.deadline_s is None:
                continue
            if call.is_late(now_s):
                call.fail(deadline_exceeded())
            elif not self._sweeping:
                self._sweep_soon()


def _has_large(parts: Parts) -> bool:
    """True if the parts of a message are large on average: each begins a frame of its own."""
    return sum(map(len, parts)) > len(parts) * JOINED_BYTES

"""Counts each attempt at an endpoint, where the settings ask for it."""

import time
from collections.abc import AsyncGenerator, Awaitable
from typing import Protocol

from gateway.call import CallHead, Metadata, Reply
from gateway.schema.catalog import Method
from gateway.status import Code, StatusError
from gateway.upstream.around import Around
from gateway.upstream.channels.failures import HeldRequest
from gateway.upstream.channels.http2.calls import Traffic
from gateway.upstream.interfaces import EndpointChannel
from gateway.upstream.watch import WatchAttempts
from gateway.upstream.watched_messages import WatchedMessages


class TellsTraffic(EndpointChannel, Protocol):
    """A channel to an endpoint that tells of the bytes of its calls."""

    def call(
        self,
        method: Method,
        request: bytes | AsyncGenerator[bytes] | HeldRequest,
        metadata: Metadata | CallHead,
        timeout_s: float | None,
        traffic: Traffic | None = None,
    ) -> Awaitable[Reply]:
        """Calls `method` once, and fills `traffic` meanwhile; see `EndpointChannel.call`."""
        ...


class CountedChannel(Around):
    """The channel to an endpoint whose attempts are counted; an `EndpointChannel` itself."""

    def __init__(self, channel: TellsTraffic, watch: WatchAttempts) -> None:
        super().__init__(channel)
        self._own = channel
        self._watch = watch

    async def call(
        self,
        method: Method,
        request: bytes | AsyncGenerator[bytes] | HeldRequest,
        metadata: Metadata | CallHead,
        timeout_s: float | None,
    ) -> Reply:
        """Calls `method` once and counts it; see `EndpointChannel.call`."""
        rpc_method, traffic, started_s = method.path[1:], Traffic(), time.monotonic()
        self._watch.started(rpc_method)

        def ended(error: BaseException | None) -> None:
            code = Code.OK if error is None else Code.CANCELLED
            if isinstance(error, StatusError):
                code = error.code
            duration_s = time.monotonic() - started_s
            self._watch.ended(rpc_method, code, duration_s, traffic.sent, traffic.received)

        try:
            reply = await self._own.call(method, request, metadata, timeout_s, traffic)
        except BaseException as error:
            ended(error)
            raise
        if reply.messages is None:
            ended(None)
        else:
            reply.messages = WatchedMessages(reply.messages, ended)
        return reply

"""Channels to endpoints that measure each attempt, bound its time or count its end (gRFC A6).

Endpoints are wrapped only where a setting asks for it, so that others do not pay for it.
"""

import time
from collections.abc import Awaitable, Callable

from gateway.upstream.channels.http2.traffic import Traffic
from gateway.upstream.ejecting import Ejector, SendsCall
from gateway.upstream.interfaces import (
    AnyRequest,
    Around,
    CallMetadata,
    Code,
    Endpoint,
    EndpointChannel,
    LateAttempt,
    Method,
    Reply,
    State,
    StatusError,
    Unprocessed,
    WatchedMessages,
    unreachable,
)
from gateway.upstream.retrying import Retrying, Throttle
from gateway.upstream.watch import WatchAttempts

CallMeasured = Callable[[Method, AnyRequest, CallMetadata, float | None, Traffic], Awaitable[Reply]]
"""Calls a method once, and fills `Traffic` meanwhile; see `EndpointChannel.call`."""


class CountedChannel(Around):
    """The channel to an endpoint whose attempts are counted; an `EndpointChannel` itself."""

    def __init__(
        self, channel: EndpointChannel, call_measured: CallMeasured, watch: WatchAttempts
    ) -> None:
        """`call_measured` is the `call` of `channel`, which also tells of the bytes."""
        super().__init__(channel)
        self._call_measured = call_measured
        self._watch = watch

    async def call(
        self, method: Method, request: AnyRequest, metadata: CallMetadata, timeout_s: float | None
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
            reply = await self._call_measured(method, request, metadata, timeout_s, traffic)
        except BaseException as error:
            ended(error)
            raise
        if reply.messages is None:
            ended(None)
        else:
            reply.messages = WatchedMessages(reply.messages, ended).as_generator()
        return reply


class WatchedChannel(Around):
    """The channel to an endpoint that may be ejected."""

    call: SendsCall
    """Set by the ejector: it counts the calls, unless the endpoint is the only one."""

    def __init__(self, endpoint: Endpoint, channel: EndpointChannel, ejector: Ejector) -> None:
        super().__init__(channel)
        self.endpoint = endpoint
        self._ejector = ejector
        self._tally = ejector.watch(self)

    async def close(self, grace_s: float = 0.0) -> None:
        """Closes the channel; its calls count no more."""
        self._ejector.forget(self._tally)
        await super().close(grace_s)

    @property
    def state(self) -> State:
        """The state of its connections, or that it is ejected."""
        state = super().state
        is_ejected = state is State.READY and self._tally.ejected_at_s is not None
        return State.EJECTED if is_ejected else state

    @property
    def failure(self) -> str:
        """The reason why it takes no calls; empty if it does."""
        return super().failure or self._tally.reason


class TriedChannel(Around):
    """The channel to an endpoint at which an attempt may take `per_try_s`; None for no limit.

    The attempts count for `throttle`, by the policy of their method. A reply that streams has
    succeeded when it begins, because after that it is not repeated.
    """

    def __init__(
        self,
        name: str,
        channel: EndpointChannel,
        per_try_s: float | None,
        throttle: Throttle | None,
        retrying_of: Callable[[Method], Retrying | None],
    ) -> None:
        super().__init__(channel)
        self._name = name
        self._per_try_s = per_try_s
        self._throttle = throttle
        self._retrying_of = retrying_of

    async def call(
        self, method: Method, request: AnyRequest, metadata: CallMetadata, timeout_s: float | None
    ) -> Reply:
        """Calls `method` once; see `EndpointChannel.call`.

        Raises:
            LateAttempt: the attempt took too long, and the call has time left.
        """
        try:
            reply = await self._attempt(method, request, metadata, timeout_s)
        except StatusError as error:
            if not isinstance(error, Unprocessed):
                self._count(method, error)
            raise
        if self._throttle is not None:
            self._throttle.succeeded()
        return reply

    async def _attempt(
        self, method: Method, request: AnyRequest, metadata: CallMetadata, timeout_s: float | None
    ) -> Reply:
        per_try_s = self._per_try_s
        if per_try_s is None or method.server_streaming or not isinstance(request, (bytes, list)):
            return await super().call(method, request, metadata, timeout_s)
        if timeout_s is not None and timeout_s <= per_try_s:
            return await super().call(method, request, metadata, timeout_s)
        try:
            return await super().call(method, request, metadata, per_try_s)
        except StatusError as error:
            if error.code is not Code.DEADLINE_EXCEEDED:
                raise
            if isinstance(error, Unprocessed):  # it only waited: another endpoint may take it
                raise unreachable(self._name) from None
            raise LateAttempt from None

    def _count(self, method: Method, error: StatusError) -> None:
        retrying = self._retrying_of(method)
        if self._throttle is None or retrying is None:
            return
        if retrying.covers(error) or retrying.forbids(error):
            self._throttle.failed()

"""Ejects endpoints whose calls fail: counts the ends of calls, sweeps, and logs what changes."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Protocol

from google.rpc.error_details_pb2 import RetryInfo

from gateway.call import CallMetadata, Code, Method, Reply, StatusError
from gateway.config.outliers import FailureCode, OutlierOptions
from gateway.telemetry.event import about
from gateway.upstream.channels.failures import (
    AnyRequest,
    BackendError,
    ConnectionLost,
    Unprocessed,
    UnreadableReplyError,
)
from gateway.upstream.health import CheckedChannel
from gateway.upstream.interfaces import Endpoint, EndpointChannel
from gateway.upstream.outliers import Ejection, Outliers, Tally
from gateway.upstream.watch import UNWATCHED_ENDPOINTS, WatchEndpoints
from gateway.upstream.watched_messages import WatchedMessages

logger = logging.getLogger("gateway.upstream")

_FAULTS_OF_TRANSPORT = (Code.UNKNOWN, Code.INTERNAL, Code.UNAVAILABLE)
"""The statuses that the channel gives to lost connections, resets and replies that are not gRPC."""


class SendsCall(Protocol):
    """Calls a method once; see `EndpointChannel.call`."""

    def __call__(
        self, method: Method, request: AnyRequest, metadata: CallMetadata, timeout_s: float | None
    ) -> Awaitable[Reply]:
        """Calls `method` once."""
        ...


class Ejectable(Protocol):
    """An endpoint that may be ejected; the ejector sets how it is called."""

    call: SendsCall
    channel: EndpointChannel
    endpoint: Endpoint

    def tell(self) -> None:
        """Reports that it was ejected, or gets calls again."""
        ...


class Ejector:
    """The outlier detection of one upstream."""

    def __init__(
        self,
        name: str,
        options: OutlierOptions,
        random: Random,
        clock: Callable[[], float] = time.monotonic,
        *,
        watch: WatchEndpoints = UNWATCHED_ENDPOINTS,
    ) -> None:
        self._name = name
        self._watch = watch
        self._options = options
        self._clock = clock
        self._outliers = Outliers(options, random)
        self._outliers.spared = watch.spared
        self._watched: dict[Tally, Ejectable] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, one: Ejectable) -> Tally:
        """Counts the calls of an endpoint, until it is forgotten by the tally that is returned."""
        tally = self._outliers.add()
        self._watched[tally] = one
        if isinstance(one.channel, CheckedChannel):
            one.channel.on_pass = partial(self.passed, tally)
        # From the third on, the others count already.
        self._choose_calls([tally] if len(self._watched) > 2 else self._watched)
        if self._timer is None and len(self._watched) > 1:
            # A random first sweep: processes that start together must not all eject at once.
            self._sweep_in(self._outliers.first_sweep_s())
        return tally

    def forget(self, tally: Tally) -> None:
        """Counts the calls of an endpoint no more."""
        self._outliers.remove(tally)
        self._watched.pop(tally, None)
        if len(self._watched) == 1:
            self._choose_calls(self._watched)
        if not self._watched and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _choose_calls(self, tallies: Iterable[Tally]) -> None:
        """Lets endpoints count their calls if one can be left out, because there are others."""
        has_choice = len(self._watched) > 1
        for tally in tallies:
            one = self._watched[tally]
            one.call = one.channel.call
            if has_choice:
                one.call = _CountedCalls(one.channel, tally, self).call

    def succeeded(self, tally: Tally) -> None:
        """Counts a call that the endpoint answered, with any status that is not its fault."""
        self._outliers.succeeded(tally)

    def passed(self, tally: Tally) -> None:
        """Ends the ejection of an endpoint whose health check has passed, as Envoy does."""
        if tally.ejected_at_s is not None:
            self._outliers.restore(tally)
            self._say_restored(tally)
            self._watched[tally].tell()

    def failed(self, tally: Tally, error: StatusError, timeout_s: float | None) -> None:
        """Counts a call that ended with `error`: as a failure, as an answer, or not at all."""
        is_fault = self._is_fault(error, timeout_s)
        if is_fault:
            ejection = self._outliers.failed(tally, self._clock())
            if ejection is not None:
                self._say_ejected(ejection)
                self._watched[tally].tell()
        elif is_fault is False and isinstance(error, BackendError):
            self._outliers.succeeded(tally)

    def _is_fault(self, error: StatusError, timeout_s: float | None) -> bool | None:
        """True if the endpoint is to blame for `error`; None if nothing can be said."""
        if isinstance(error, Unprocessed):
            return None
        if error.code is Code.DEADLINE_EXCEEDED:
            if timeout_s is not None and timeout_s < self._options.min_deadline_s:
                return None
            return FailureCode.DEADLINE_EXCEEDED in self._options.codes
        if isinstance(error, ConnectionLost | UnreadableReplyError):
            return True
        if not isinstance(error, BackendError):
            return error.code in _FAULTS_OF_TRANSPORT
        # With RetryInfo it limits a caller, and is well itself.
        if any(detail.Is(RetryInfo.DESCRIPTOR) for detail in error.details):
            return error.code is not Code.RESOURCE_EXHAUSTED and self._counts(error.code)
        return self._counts(error.code)

    def _counts(self, code: Code) -> bool:
        return code.name in self._options.codes

    def _sweep_in(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._sweep)

    def _sweep(self) -> None:
        self._sweep_in(self._options.interval_s)
        ejected, restored = self._outliers.sweep(self._clock())
        for ejection in ejected:
            self._say_ejected(ejection)
        for tally in restored:
            self._say_restored(tally)
        for tally in [*(one.tally for one in ejected), *restored]:
            self._watched[tally].tell()

    def _say_ejected(self, ejection: Ejection) -> None:
        tally = ejection.tally
        self._watch.ejected(ejection.method)
        address = str(self._watched[tally].endpoint)
        for_s = self._outliers.ends_at_s(tally) - (tally.ejected_at_s or 0.0)
        logger.warning(
            "upstream %s: %s gets no calls for %g s: %s",
            self._name,
            address,
            for_s,
            tally.reason,
            extra=about(
                "gateway.upstream.endpoint_ejected",
                gateway__upstream=self._name,
                server__address=address,
                gateway__detection_method=ejection.method,
                gateway__ejected_for_s=for_s,
            ),
        )

    def _say_restored(self, tally: Tally) -> None:
        address = str(self._watched[tally].endpoint)
        logger.info(
            "upstream %s: %s gets calls again",
            self._name,
            address,
            extra=about(
                "gateway.upstream.endpoint_restored",
                gateway__upstream=self._name,
                server__address=address,
            ),
        )


@dataclass(frozen=True, slots=True)
class _CountedCalls:
    """Calls an endpoint that may be ejected, and counts how the calls end."""

    _channel: EndpointChannel
    _tally: Tally
    _ejector: Ejector

    async def call(
        self, method: Method, request: AnyRequest, metadata: CallMetadata, timeout_s: float | None
    ) -> Reply:
        """Calls `method` once and counts how that ends; see `EndpointChannel.call`."""
        try:
            reply = await self._channel.call(method, request, metadata, timeout_s)
        except StatusError as error:
            # The request of a client may have raised it: then it is nobody's fault here.
            if isinstance(request, (bytes, list)) or _is_of_the_reply(error):
                self._ejector.failed(self._tally, error, timeout_s)
            raise
        if reply.messages is None:
            # As `Outliers.succeeded`, without its cost: nearly every call ends here.
            tally = self._tally
            tally.successes += 1
            tally.in_a_row = 0
        else:
            stream_ended = partial(self._stream_ended, timeout_s)
            reply.messages = WatchedMessages(reply.messages, stream_ended).as_generator()
        return reply

    def _stream_ended(self, timeout_s: float | None, error: BaseException | None) -> None:
        """Counts the end of a stream; one that was closed before does not count."""
        if error is None:
            self._ejector.succeeded(self._tally)
        elif isinstance(error, StatusError) and _is_of_the_reply(error):
            self._ejector.failed(self._tally, error, timeout_s)


def _is_of_the_reply(error: StatusError) -> bool:
    """True if `error` cannot have come from a request that streams."""
    return isinstance(error, BackendError | ConnectionLost | UnreadableReplyError)

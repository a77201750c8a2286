"""Takes the load reports of back ends from the trailers of calls, for their weights."""

import asyncio
import logging
import time
from collections.abc import Callable
from random import Random

from gateway.config.load_reports import LoadReportOptions
from gateway.telemetry.event import about
from gateway.upstream.interfaces import AroundWithEnds, Endpoint, EndpointChannel, State, Trailers
from gateway.upstream.load_reports import Loads, parse_report, weight_of
from gateway.upstream.load_streams import LoadStream
from gateway.upstream.watch import UNWATCHED_ENDPOINTS, WatchEndpoints

logger = logging.getLogger("gateway.upstream")

TRAILER = "endpoint-load-metrics-bin"
"""The trailer with the report of a call (gRFC A51). It never becomes a header for clients."""
_CONNECTED = (State.READY, State.EJECTED, State.UNHEALTHY)


class Reports:
    """The load reports of one upstream, and the timer that makes weights of them."""

    def __init__(
        self,
        name: str,
        options: LoadReportOptions,
        random: Random,
        clock: Callable[[], float] = time.monotonic,
        watch: WatchEndpoints = UNWATCHED_ENDPOINTS,
    ) -> None:
        self.name = name
        self._watch = watch
        self.loads = Loads(options, random)
        self.clock = clock
        self._open = 0
        self._timer: asyncio.TimerHandle | None = None

    def reported(
        self, endpoint: Endpoint, channel: EndpointChannel, own: EndpointChannel
    ) -> "ReportedChannel":
        """`channel` with the reports of its calls taken, until it is closed.

        Reports apart from calls come over `own`, the same without what is counted around it.
        """
        self._open += 1
        if self._timer is None:
            self._update()
        return ReportedChannel(endpoint, channel, self, own)

    def closed(self) -> None:
        """One channel is closed."""
        self._open -= 1
        if not self._open and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _update(self) -> None:
        period_s = self.loads.options.weight_update_period_s
        self._timer = asyncio.get_running_loop().call_later(period_s, self._update)
        now_s = self.clock()
        self.loads.update(now_s)
        self._watch.weighed(*self.loads.census(now_s))


class ReportedChannel(AroundWithEnds):
    """The channel to an endpoint that reports its load; an `EndpointChannel` itself."""

    def __init__(
        self, endpoint: Endpoint, channel: EndpointChannel, reports: Reports, own: EndpointChannel
    ) -> None:
        super().__init__(channel)
        options = reports.loads.options
        self._stream: LoadStream | None = None
        if options.enable_oob_load_report:
            period_s = options.oob_reporting_period_s
            self._stream = LoadStream(reports.name, str(endpoint), own, period_s, self._take)
        self._endpoint = endpoint
        self._reports = reports
        self._load = reports.loads.add(endpoint.addresses)
        self._was_connected = False
        self._is_closed = False
        self._complained = False

    def ended(self, trailers: Trailers) -> None:
        """Takes the report in `trailers`, if there is one; logs the first of each row that is
        bad."""
        if self._stream is not None and not self._stream.is_unknown:
            return
        for name, value in trailers:
            if name == TRAILER and isinstance(value, bytes):
                self._take(value)
                return

    async def close(self, grace_s: float = 0.0) -> None:
        """Closes the channel; its reports count no more."""
        if not self._is_closed:
            self._is_closed = True
            self._reports.loads.remove(self._endpoint.addresses, self._load)
            self._reports.closed()
        if self._stream is not None:
            self._stream.stop()
        await super().close(grace_s)

    @property
    def in_flight(self) -> int:
        """The number of calls that have started and not ended, without that for reports."""
        is_open = self._stream is not None and self._stream.is_open
        return self.channel.in_flight - is_open

    def tell(self) -> None:
        """Reports that `state` may have changed."""
        is_connected = self.channel.state in _CONNECTED
        if is_connected and not self._was_connected:
            self._load.connected()
        self._was_connected = is_connected
        if self._stream is not None and not self._is_closed:
            if is_connected:
                self._stream.start()
            else:
                self._stream.stop()
        super().tell()

    def _take(self, wire: bytes) -> None:
        try:
            report = parse_report(wire)
        except ValueError as error:
            self._complain(str(error))
            return
        self._complained = False
        weight = weight_of(report, self._reports.loads.options)
        self._load.report(weight, self._reports.clock())

    def _complain(self, reason: str) -> None:
        if self._complained:
            return
        self._complained = True
        logger.warning(
            "upstream %s: a load report of %s is ignored: %s",
            self._reports.name,
            self._endpoint,
            reason,
            extra=about(
                "gateway.upstream.load_report_ignored",
                gateway__upstream=self._reports.name,
                server__address=str(self._endpoint),
            ),
        )

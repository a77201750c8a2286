"""Load reports that an endpoint sends apart from calls, on a stream of its own (gRFC A51)."""

import asyncio
import logging
from collections.abc import Callable
from random import Random
from typing import Final

from google.protobuf.duration_pb2 import Duration

from gateway.telemetry.event import about
from gateway.transcoding.wire import Code, StatusError, length_delimited
from gateway.upstream.interfaces import EndpointChannel
from gateway.upstream.own_calls import own_method, pause_s

logger = logging.getLogger("gateway.upstream")

_STREAM: Final = own_method(
    "xds.service.orca.v3.OpenRcaService",
    "StreamCoreMetrics",
    "xds/service/orca/v3/orca.proto",
    server_streaming=True,
)


class LoadStream:
    """Takes the reports of one endpoint while it is connected."""

    def __init__(
        self,
        name: str,
        address: str,
        channel: EndpointChannel,
        period_s: float,
        take: Callable[[bytes], None],
    ) -> None:
        """Asks over `channel` for a report each `period_s`, and hands each to `take`."""
        self._name = name
        self._address = address
        self._channel = channel
        interval = Duration()
        interval.FromMilliseconds(round(period_s * 1000))
        self._request = length_delimited(1, interval.SerializeToString())
        """An OrcaLoadReportRequest: its field 1 is the interval."""
        self._take = take
        self._random = Random()  # noqa: S311 - a pause is no secret
        self._task: asyncio.Task[None] | None = None
        self.is_open = False
        """True while a call is under way."""
        self.is_unknown = False
        """True if the endpoint does not know the service."""

    def start(self) -> None:
        """Asks from now on, unless that is known to be in vain."""
        if self._task is None and not self.is_unknown:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Asks no more; another process may be there next time, which may know the service."""
        self.is_unknown = False
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                had_report = await self._read()
            except StatusError as error:
                if error.code is Code.UNIMPLEMENTED:
                    self.is_unknown = True
                    self._say_unknown()
                    return
                had_report = False
            failures = 1 if had_report else failures + 1
            await asyncio.sleep(pause_s(failures, self._random))

    async def _read(self) -> bool:
        """Takes the reports of one stream; true if there was any."""
        had_report = False
        self.is_open = True
        try:
            reply = await self._channel.call(_STREAM, self._request, [], None)
            messages = reply.messages
            if messages is None:
                return False
            try:
                async for message in messages:
                    had_report = True
                    self._take(message)
            except StatusError as error:
                if error.code is Code.UNIMPLEMENTED or not had_report:
                    raise
            finally:
                await messages.aclose()
        finally:
            self.is_open = False
        return had_report

    def _say_unknown(self) -> None:
        logger.warning(
            "upstream %s: %s does not serve %s, so the load reports of its calls count",
            self._name,
            self._address,
            _STREAM.service,
            extra=about(
                "gateway.upstream.no_load_stream",
                gateway__upstream=self._name,
                server__address=self._address,
            ),
        )

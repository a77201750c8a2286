"""Sends the metrics to a collector regularly, in a thread: OTLP over HTTP (OTLP 1.5).

Each export has all values since the start, so one that is lost is made up for by the next.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Final

from gateway.config.model import Config
from gateway.telemetry.event import about
from gateway.telemetry.traces.collector import Collector

logger = logging.getLogger("gateway.telemetry.metrics")

_FIRST_PAUSE_S: Final = 1.0
_SAID_EVERY_S: Final = 60.0
_CLOSING_S: Final = 5.0

Export = Callable[[Mapping[str, str]], bytes]
"""Returns the request with all metrics; see `Exposition.export`."""


class MetricsPush:
    """Exports until `close`. A collector that is slow or down delays nothing but this thread."""

    def __init__(self, collector: Collector, export: Callable[[], bytes], every_s: float) -> None:
        """Starts the thread."""
        self._collector = collector
        self._export = export
        self._every_s = every_s
        self._closing = threading.Event()
        self._said_s = -_SAID_EVERY_S
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Exports a last time, and ends the thread; takes at most five seconds."""
        self._closing.set()
        self._thread.join(_CLOSING_S)

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._closing.wait(self._every_s)
            try:
                self._send()
            except Exception:  # the thread must go on
                logger.exception("the metrics cannot be exported")
        self._collector.close()

    def _send(self) -> None:
        """Sends the metrics, again after growing pauses, until the next export is due."""
        until_s, pause_s = time.monotonic() + self._every_s, _FIRST_PAUSE_S
        while True:
            outcome = self._collector.send(self._export())
            if not outcome.why_not:
                return
            pause_s = max(pause_s, outcome.pause_s)
            is_over = time.monotonic() + pause_s >= until_s or self._closing.is_set()
            if not outcome.may_repeat or is_over:
                self._say(outcome.why_not)
                return
            self._closing.wait(pause_s)
            pause_s *= 2

    def _say(self, why: str) -> None:
        """Logs that an export was lost, at most once a minute."""
        now_s = time.monotonic()
        if now_s - self._said_s >= _SAID_EVERY_S:
            self._said_s = now_s
            fields = about("gateway.metrics.lost")
            logger.warning("the metrics were not exported: %s", why, extra=fields)


def open_push(config: Config, export: Export) -> MetricsPush | None:
    """Starts to export to the collector of the settings; None without one."""
    options, service = config.metrics, config.tracing
    if options.otlp is None:
        return None
    collector = Collector(
        options.otlp,
        options.otlp_headers,
        timeout_s=options.otlp_timeout_s,
        compresses=options.otlp_compression == "gzip",
    )
    resource = {
        "service.name": service.service_name,
        "service.version": version("grpc-rest-gateway"),
        "service.instance.id": str(uuid.uuid4()),
        **service.resource,
    }
    return MetricsPush(collector, lambda: export(resource), options.otlp_every_s)

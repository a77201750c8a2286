"""Exports the spans of ended requests: an observer, a bounded queue and a thread.

A request adds its encoded spans to the queue: later, what they are made of is no longer in the
processor's cache, which takes several times as long. The thread sends them in batches, so that a
collector that is slow or down delays no request.
"""

import logging
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Final, Protocol

from gateway.config.tracing import Kept, TracingOptions
from gateway.telemetry.event import about
from gateway.telemetry.record import Code, CompiledObserver, Record, error_type
from gateway.telemetry.traces import otlp
from gateway.telemetry.traces.batches import Batch, Batches
from gateway.telemetry.traces.collector import Outcome
from gateway.telemetry.traces.spans import SCHEMA_URL, SpanBuilder

logger = logging.getLogger("gateway.telemetry.traces")

_SCOPE: Final = "gateway"
_EVERY_S: Final = 5.0
_MOST_ATTEMPTS: Final = 5
_FIRST_PAUSE_S: Final = 1.0
_SAID_EVERY_S: Final = 60.0
_CLOSING_S: Final = 5.0
_OK: Final = Code.OK
_TOO_SLOW: Final = "the collector takes them more slowly than they come"


class Sends(Protocol):
    """The part of a collector that the exporter needs."""

    def send(self, body: bytes) -> Outcome:
        """Sends one `ExportTraceServiceRequest`."""

    def close(self) -> None:
        """Closes the connection."""


class SpanExporter(CompiledObserver):
    """Sends the spans of requests that were sampled, or that are kept because of how they ended."""

    def __init__(
        self, options: TracingOptions, collector: Sends, *, scheme: str, version: str
    ) -> None:
        """Starts the thread. `version` is that of the gateway."""
        self._keeps_errors = Kept.ERROR in options.keep
        self._slow_s = options.slow_s if Kept.SLOW in options.keep else float("inf")
        # None of those is kept, and nearly every request is one.
        self.usual_s = self._slow_s
        self._collector = collector
        self._spans = SpanBuilder(scheme)
        resource: Mapping[str, otlp.Value] = {
            "service.name": options.service_name,
            "service.version": version,
            "service.instance.id": str(uuid.uuid4()),
            **options.resource,
        }
        self._requests = otlp.Requests(resource, _SCOPE, version, SCHEMA_URL)
        self._waiting = Batches()
        self._wake = threading.Event()
        self._closing = threading.Event()
        # Two counters, because each is written by one thread.
        self._dropped = 0
        self._unsent = 0
        self._said_s = -_SAID_EVERY_S
        self._said = 0
        self._why = _TOO_SLOW
        self._sender = threading.Thread(target=self._run, name="traces", daemon=True)
        self._sender.start()

    def lost(self) -> int:
        """Returns the number of requests whose spans were lost."""
        return self._dropped + self._unsent

    def ended(self, record: Record) -> None:
        """Encodes the spans of a request; they are sent within seconds, or counted as lost."""
        trace = record.trace
        if trace is None or not (trace.is_sampled or self._is_kept(record)):
            return
        if not self._waiting.has_room:
            self._dropped += 1
            return
        try:
            spans = self._spans.encode(record, trace)
        except Exception:  # the response has nothing to do with it
            logger.exception("the spans of request %s cannot be made", record.request_id)
            self._dropped += 1
            return
        if self._waiting.add(spans):
            self._wake.set()

    def close(self) -> None:
        """Sends the waiting spans, for at most five seconds."""
        self._closing.set()
        self._wake.set()
        self._sender.join(_CLOSING_S)
        left = len(self._waiting)
        if self._sender.is_alive() and left:
            self._dropped += left
            self._say("the collector did not take them before the end", is_last=True)

    def _is_kept(self, record: Record) -> bool:
        if self._keeps_errors and (record.code is not _OK or record.status >= 500):
            error = error_type(record.status, record.code)
            # A client that leaves is no error of the gateway or of the back end.
            if error and error != "cancelled":
                return True
        return record.duration_s > self._slow_s and _is_unary(record)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(_EVERY_S)
            self._wake.clear()
            self._send_waiting()
        self._send_waiting()
        self._collector.close()

    def _send_waiting(self) -> None:
        """Sends what waits now, and full batches that have come meanwhile.

        A few requests that have come meanwhile wait for more, because each batch has its own cost.
        """
        left = len(self._waiting)
        while batch := self._waiting.take(only_full=left <= 0):
            self._deliver(batch)
            left -= batch.requests
        if self.lost() > self._said:
            self._say(self._why)

    def _deliver(self, batch: Batch) -> None:
        """Sends a batch, again after growing pauses if the collector may take it later."""
        body = self._requests.encode(batch.spans)
        pause_s = _FIRST_PAUSE_S
        for attempt in range(1, _MOST_ATTEMPTS + 1):
            is_last = self._closing.is_set() or attempt == _MOST_ATTEMPTS
            outcome = self._collector.send(body)
            if not outcome.why_not:
                self._why = _TOO_SLOW
                return
            if is_last or not outcome.may_repeat:
                break
            self._closing.wait(max(pause_s, outcome.pause_s))
            pause_s *= 2
        self._unsent += batch.requests
        self._why = outcome.why_not
        self._say(self._why)

    def _say(self, why: str, *, is_last: bool = False) -> None:
        """Logs what was lost, at most once a minute."""
        now_s = time.monotonic()
        if now_s - self._said_s < _SAID_EVERY_S and not is_last:
            return
        self._said_s = now_s
        count, self._said = self.lost() - self._said, self.lost()
        logger.warning(
            "the spans of %d requests were lost: %s",
            count,
            why,
            extra=about("gateway.traces.lost", gateway__requests=count),
        )


def _is_unary(record: Record) -> bool:
    """Returns False for a stream, which has no expected duration."""
    return record.binding is not None and not record.binding.method.streams

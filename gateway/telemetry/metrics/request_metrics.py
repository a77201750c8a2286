"""Counts ended requests: the observer that every request passes."""

import re
from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

from gateway.status import Code
from gateway.telemetry.failures import error_type
from gateway.telemetry.metrics.definitions import (
    REQUEST_DURATION,
    REQUEST_SIZE,
    RESPONSE_SIZE,
    Metric,
    Slot,
)
from gateway.telemetry.metrics.writing import CellWriter
from gateway.telemetry.record import Record
from gateway.transcoding.binding import Binding

# The HTTP methods that OpenTelemetry lists. A client could create any number of others.
_METHODS: Final = frozenset(
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY"]
)
_OTHER: Final = "_OTHER"
_SUM: Final[int] = Slot.SUM
_BUCKETS: Final[int] = Slot.BUCKETS
# W3C Trace Context section 3.2; ids of zeros are invalid, and odd flags mean "sampled".
_SAMPLED: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})"
    r"-[0-9a-f][13579bdf](?:-.*)?"
)

_Key = tuple[Binding | None, str, int, Code]


class RequestMetrics:
    """Adds each ended request to three histograms: duration, size of the request, of the response.

    The cells of a combination of route, method, status and code are looked up once and kept, so
    that a request costs a look-up and a few additions. All calls come from one thread.
    """

    def __init__(self, writer: CellWriter, metrics: Mapping[str, Metric], scheme: str) -> None:
        self._writer = writer
        self._cells = writer.file.cells
        self._metrics = [
            metrics[one.name] for one in (REQUEST_DURATION, REQUEST_SIZE, RESPONSE_SIZE)
        ]
        durations, sizes, _ = self._metrics
        self._duration_edges = list(durations.edges)
        self._size_edges = list(sizes.edges)
        self._scheme = scheme
        self._kept: dict[_Key, tuple[int, int, int]] = {}

    def ended(self, record: Record) -> None:
        """Counts one request."""
        method = record.method
        if method not in _METHODS:
            method = _OTHER
        key = (record.binding, method, record.status, record.code)
        places = self._kept.get(key)
        if places is None:
            places = self._kept[key] = self._places(key)
        duration_at, request_at, response_at = places
        cells = self._cells
        duration_s = record.duration_s
        at = duration_at + _BUCKETS + bisect_left(self._duration_edges, duration_s)
        cells[at] += 1.0
        cells[duration_at + _SUM] += duration_s
        size = record.request_bytes
        if size:
            at = request_at + _BUCKETS + bisect_left(self._size_edges, size)
            cells[request_at + _SUM] += size
        else:
            at = request_at + _BUCKETS
        cells[at] += 1.0
        size = record.response_bytes
        cells[response_at + _BUCKETS + bisect_left(self._size_edges, size)] += 1.0
        cells[response_at + _SUM] += size
        if record.traceparent:
            self._note_exemplar(duration_at, record)

    def _places(self, key: _Key) -> tuple[int, int, int]:
        binding, method, status, code = key
        route = "" if binding is None else binding.rule.template
        of_all = (route, method, str(status), self._scheme, error_type(status, code))
        of_size = (route, method, self._scheme)
        duration, request_size, response_size = self._metrics
        child = self._writer.child
        return child(duration, of_all), child(request_size, of_size), child(response_size, of_size)

    def _note_exemplar(self, at: int, record: Record) -> None:
        """Keeps the trace of a sampled request as an example of its duration."""
        found = _SAMPLED.fullmatch(record.traceparent)
        if found is not None:
            ids = bytes.fromhex(found[1] + found[2])
            place = at + _BUCKETS + len(self._duration_edges) + 1
            self._writer.note_exemplar(place, record.duration_s, record.at_s, ids)

"""Writes metrics as messages of OTLP (opentelemetry-proto 1.5, metrics/v1); pure.

The names are those of OpenTelemetry's semantic conventions, from which the names in the text forms
are made; those of the gateway's own begin with `gateway.`. All sums are cumulative.
"""

import json
import struct
import time
from array import array
from bisect import bisect_left
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from math import inf
from typing import Final

from gateway.telemetry.metrics.metric import GRIDS, Kind, Merge, Metric, Slot, grid, used
from gateway.telemetry.traces.otlp import Attribute, Value, attributes
from gateway.transcoding.wire import length_delimited, length_prefix, tag, varint, zigzag

_NAMES: Final = {
    "http_server_request_duration_seconds": "http.server.request.duration",
    "http_server_request_body_size_bytes": "http.server.request.body.size",
    "http_server_response_body_size_bytes": "http.server.response.body.size",
    "http_server_active_requests": "http.server.active_requests",
    "rpc_client_call_duration_seconds": "rpc.client.call.duration",
    "process_cpu_seconds": "process.cpu.time",
    "process_resident_memory_bytes": "process.memory.usage",
}
_NAMESPACES: Final = (
    "gateway.",
    *("grpc.client.attempt.", "grpc.client.call."),  # gRFC A66 and A96
    *("grpc.lb.wrr.", "grpc.lb.outlier_detection.", "grpc.subchannel."),  # A78, A91 and A94
)
"""The beginnings of other names; what follows has no more dots."""
_ATTRIBUTES: Final = {
    "http_route": "http.route",
    "http_request_method": "http.request.method",
    "http_response_status_code": "http.response.status_code",
    "url_scheme": "url.scheme",
    "error_type": "error.type",
    "network_protocol_version": "network.protocol.version",
    "rpc_method": "rpc.method",
    "rpc_system_name": "rpc.system.name",
    "rpc_response_status_code": "rpc.response.status_code",
    "gateway_origin": "gateway.origin",
    "gateway_upstream": "gateway.upstream",
    "grpc_method": "grpc.method",
    "grpc_target": "grpc.target",
    "grpc_status": "grpc.status",
    "grpc_lb_outlier_detection_detection_method": "grpc.lb.outlier_detection.detection_method",
    "grpc_lb_outlier_detection_unenforced_reason": "grpc.lb.outlier_detection.unenforced_reason",
    "grpc_lb_locality": "grpc.lb.locality",
    "grpc_disconnect_error": "grpc.disconnect_error",
    "worker": "gateway.worker.number",
}
_UNITS: Final = {"seconds": "s", "bytes": "By"}
_COUNTED: Final = {
    "http.server.active_requests": "{request}",
    "grpc.client.attempt.started": "{attempt}",
    "grpc.client.call.retries": "{retry}",
    "grpc.client.call.transparent_retries": "{transparent_retry}",
    "grpc.client.call.hedges": "{hedge}",
    "grpc.lb.wrr.rr_fallback": "{update}",
    "grpc.lb.wrr.endpoint_weight_not_yet_usable": "{endpoint}",
    "grpc.lb.wrr.endpoint_weight_stale": "{endpoint}",
    "grpc.lb.wrr.endpoint_weights": "{weight}",
    "grpc.lb.outlier_detection.ejections_enforced": "{ejection}",
    "grpc.lb.outlier_detection.ejections_unenforced": "{ejection}",
    "grpc.subchannel.connection_attempts_succeeded": "{attempt}",
    "grpc.subchannel.connection_attempts_failed": "{attempt}",
    "grpc.subchannel.disconnections": "{disconnection}",
    "grpc.subchannel.open_connections": "{connection}",
}
"""The units of numbers of things, as far as conventions state them."""
_PAUSE_EVERY: Final = 32
_CUMULATIVE: Final = 2
_MONOTONIC: Final = tag(3, 0) + varint(1)
_TEMPORALITY: Final = tag(2, 0) + varint(_CUMULATIVE)
# The tags of fields that all points of a kind have.
_START: Final = tag(2, 1)
_VALUE: Final = tag(4, 1)
_COUNT: Final = tag(4, 1)
_SUM: Final = tag(5, 1)
_ZEROS: Final = tag(7, 1)
_OFFSET: Final = tag(1, 0)
_fixed64: Final = struct.Struct("<Q").pack
_double: Final = struct.Struct("<d").pack

Children = MutableMapping[str, "array[float]"]
"""The cells of the children of one metric, by the values of its labels as JSON."""


def export_request(
    resource: Mapping[str, Value],
    version: str,
    metrics: Mapping[Metric, Children],
    now_s: float,
) -> bytes:
    """Encodes an `ExportMetricsServiceRequest`; `version` is that of the gateway.

    The children are removed as they are encoded.
    """
    scope = length_delimited(1, b"gateway") + length_delimited(2, version.encode())
    of_scope = [length_delimited(1, scope)]
    for metric, points in metrics.items():
        of_scope += _message(2, _metric(metric, points, now_s))
    about = length_delimited(1, attributes(resource, number=1))
    # One copy at the end: CPython lets other threads run while it makes a large one.
    return b"".join(_message(1, [about, *_message(2, of_scope)]))


def _message(number: int, pieces: list[bytes]) -> list[bytes]:
    """Returns the pieces of a message as a field of another."""
    return [length_prefix(number, sum(map(len, pieces))), *pieces]


def otlp_name(metric: Metric) -> str:
    """Returns the name of a metric with dots and without its unit."""
    known = _NAMES.get(metric.name)
    if known is not None:
        return known
    plain = metric.name.removesuffix(f"_{metric.unit}") if metric.unit else metric.name
    for namespace in _NAMESPACES:
        begin = namespace.replace(".", "_")
        if plain.startswith(begin):
            return namespace + plain.removeprefix(begin)
    return plain


def _metric(metric: Metric, children: Children, now_s: float) -> list[bytes]:
    form = _Points(metric, now_s)
    end = _TEMPORALITY
    if metric.kind is Kind.HISTOGRAM:
        kind, point = (9, form.histogram) if metric.scale is None else (10, form.exponential)
    else:
        kind, point = 7, form.number  # as a sum that may fall: OpenTelemetry's UpDownCounter
        if metric.kind is Kind.COUNTER:
            end += _MONOTONIC
        elif metric.merge is not Merge.SUM:
            kind, end = 5, b""
    points = []
    for number, labels in enumerate(list(children)):
        cells = children.pop(labels)  # one at a time, because that takes its time
        if number % _PAUSE_EVERY == 0:
            time.sleep(0)  # other threads may run
        points.append(length_delimited(1, point(labels, cells)))
    name = otlp_name(metric)
    unit = _UNITS[metric.unit] if metric.unit else _COUNTED.get(name, "1")
    texts = enumerate([name, metric.help, unit], 1)
    head = [length_delimited(field, text.encode()) for field, text in texts]
    return [*head, *_message(kind, [*points, end])]


class _Points:
    """Encodes the points of one metric: what they have in common is made once."""

    def __init__(self, metric: Metric, now_s: float) -> None:
        self._labels = metric.labels
        self._now = tag(3, 1) + _fixed64(int(now_s * 1e9))
        edges = metric.edges
        self._end = Slot.BUCKETS + len(edges) + 1
        """The index after that of the last bucket."""
        self._edges = length_delimited(7, b"".join(map(_double, edges)))
        self._counts = struct.Struct(f"<{len(edges) + 1}Q").pack
        self._places: list[int] = []
        """The exponential bucket of each cell, -1 for that of zero."""
        if metric.scale is None:
            return
        bounds = grid(metric.unit)
        scale, exponent, _ = GRIDS[metric.unit]
        self._first = exponent << scale
        self._scale = tag(6, 0) + zigzag(scale)
        self._least = tag(14, 1) + _double(bounds[0])
        self._places = [-1] * Slot.BUCKETS
        self._places += [bisect_left(bounds, edge) - 1 for edge in (*edges, inf)]

    def number(self, labels: str, cells: "array[float]") -> bytes:
        """Encodes the value of a counter or gauge."""
        return self._times(cells) + _VALUE + _double(cells[Slot.VALUE]) + self._named(labels, 7)

    def histogram(self, labels: str, cells: "array[float]") -> bytes:
        """Encodes a histogram with the buckets of the cells."""
        counts = [int(one) for one in cells[Slot.BUCKETS : self._end]]
        return b"".join(
            [
                self._times(cells),
                _COUNT + _fixed64(sum(counts)),
                _SUM + _double(cells[Slot.SUM]),
                length_delimited(6, self._counts(*counts)),
                self._edges,
                self._exemplar(cells, 8),
                self._named(labels, 9),
            ]
        )

    def exponential(self, labels: str, cells: "array[float]") -> bytes:
        """Encodes a histogram whose buckets are powers of one base.

        Its bucket for zero has all values up to the least bound; the last bucket also has those
        beyond the greatest one.
        """
        places = self._places
        cells_used = used(cells, Slot.BUCKETS, self._end)
        begin, end = cells_used.start, cells_used.stop
        first = places[begin]
        buckets = [0.0] * (places[end - 1] + 1 - first if cells_used else 0)
        for place, counted in zip(places[begin:end], cells[begin:end], strict=True):
            buckets[place - first] += counted
        counts = list(map(int, buckets))
        count, zeros = sum(counts), 0
        if first < 0:
            zeros, first = sum(counts[:1]), 0
            counts = counts[1:]
            while counts and not counts[0]:
                first += 1
                del counts[0]
        written = bytes(counts) if max(counts, default=0) < 128 else b"".join(map(varint, counts))
        positive = _OFFSET + zigzag(self._first + first) + length_delimited(2, written)
        return b"".join(
            [
                self._named(labels, 1),
                self._times(cells),
                _COUNT + _fixed64(count),
                _SUM + _double(cells[Slot.SUM]),
                self._scale,
                _ZEROS + _fixed64(zeros),
                length_delimited(8, positive),
                self._exemplar(cells, 11),
                self._least,
            ]
        )

    def _times(self, cells: "array[float]") -> bytes:
        return _START + _fixed64(int(cells[Slot.CREATED] * 1e9)) + self._now

    def _exemplar(self, cells: "array[float]", number: int) -> bytes:
        """Returns the exemplar of a histogram; empty if it has none."""
        end = self._end
        time_s = cells[end + 1]
        if not time_s:
            return b""
        ids = cells[end + 2 :].tobytes()
        return length_delimited(
            number,
            tag(2, 1)
            + _fixed64(int(time_s * 1e9))
            + tag(3, 1)
            + _double(cells[end])
            + length_delimited(4, ids[16:])
            + length_delimited(5, ids[:16]),
        )

    def _named(self, labels: str, number: int) -> bytes:
        """Returns the labels; one without a value is left out, as in the text forms."""
        pairs = zip(self._labels, json.loads(labels), strict=False)
        return b"".join([_attribute(name, value, number) for name, value in pairs if value])


@lru_cache(maxsize=8192)
def _attribute(label: str, value: str, number: int) -> bytes:
    is_status = label == "http_response_status_code" and value.isdecimal()
    return Attribute(_ATTRIBUTES.get(label, label), number).of(int(value) if is_status else value)

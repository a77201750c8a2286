"""Writes metrics as messages of OTLP (opentelemetry-proto 1.5, metrics/v1); pure.

The names are those of OpenTelemetry's semantic conventions, from which the names in the text forms
are made; those of the gateway's own begin with `gateway.`. All sums are cumulative.
"""

import json
import struct
import time
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, MutableMapping
from functools import lru_cache
from math import inf
from typing import Final

from gateway.telemetry.metrics.metric import GRIDS, Kind, Merge, Metric, Slot, grid, used
from gateway.telemetry.traces.otlp import Value, attributes
from gateway.transcoding.wire import length_delimited, tag, varint

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
    written = [length_delimited(2, _metric(*one, now_s)) for one in metrics.items()]
    of_scope = length_delimited(1, scope) + b"".join(written)
    of_resource = length_delimited(1, attributes(resource, number=1)) + length_delimited(
        2, of_scope
    )
    return length_delimited(1, of_resource)


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


def _metric(metric: Metric, children: Children, now_s: float) -> bytes:
    is_histogram = metric.kind is Kind.HISTOGRAM
    point = _histogram_point if is_histogram else _number_point
    if metric.scale is not None:
        point = _exponential_point
    points = bytearray()
    for number, labels in enumerate(list(children)):
        cells = children.pop(labels)  # one at a time, because that takes its time
        if number % _PAUSE_EVERY == 0:
            time.sleep(0)  # other threads may run
        points += length_delimited(1, point(metric, labels, cells, now_s))
    data = bytes(points)
    if is_histogram:
        data = length_delimited(9 if metric.scale is None else 10, data + _TEMPORALITY)
    elif metric.kind is Kind.COUNTER:
        data = length_delimited(7, data + _TEMPORALITY + _MONOTONIC)
    elif metric.merge is Merge.SUM:
        data = length_delimited(7, data + _TEMPORALITY)  # OpenTelemetry's UpDownCounter
    else:
        data = length_delimited(5, data)
    name = otlp_name(metric)
    unit = _UNITS[metric.unit] if metric.unit else _COUNTED.get(name, "1")
    return (
        length_delimited(1, name.encode())
        + length_delimited(2, metric.help.encode())
        + length_delimited(3, unit.encode())
        + data
    )


def _number_point(metric: Metric, labels: str, cells: "array[float]", now_s: float) -> bytes:
    value = tag(4, 1) + _double(cells[Slot.VALUE])
    return _times(cells, now_s) + value + _labels(metric, labels, 7)


def _histogram_point(metric: Metric, labels: str, cells: "array[float]", now_s: float) -> bytes:
    counts = [int(one) for one in cells[Slot.BUCKETS : Slot.BUCKETS + len(metric.edges) + 1]]
    return b"".join(
        [
            _times(cells, now_s),
            tag(4, 1) + _fixed64(sum(counts)),
            tag(5, 1) + _double(cells[Slot.SUM]),
            length_delimited(6, b"".join(map(_fixed64, counts))),
            length_delimited(7, b"".join(map(_double, metric.edges))),
            *_exemplar(metric, cells, 8),
            _labels(metric, labels, 9),
        ]
    )


def _exponential_point(metric: Metric, labels: str, cells: "array[float]", now_s: float) -> bytes:
    """Encodes a histogram whose buckets are powers of one base.

    Its bucket for zero has all values up to the least bound; the last bucket also has those beyond
    the greatest one.
    """
    least, places = _places(metric)
    zeros, count, buckets = 0, 0, dict[int, int]()
    for at in used(cells, Slot.BUCKETS, Slot.BUCKETS + len(metric.edges) + 1):
        place, counted = places[at - Slot.BUCKETS], int(cells[at])
        count += counted
        if place < 0:
            zeros += counted
        elif counted:
            buckets[place] = buckets.get(place, 0) + counted
    first = min(buckets, default=0)
    end = max(buckets, default=-1) + 1
    written = [varint(buckets.get(place, 0)) for place in range(first, end)]
    scale, exponent, _ = GRIDS[metric.unit]
    positive = tag(1, 0) + _zigzag((exponent << scale) + first)
    positive += length_delimited(2, b"".join(written))
    return b"".join(
        [
            _labels(metric, labels, 1),
            _times(cells, now_s),
            tag(4, 1) + _fixed64(count),
            tag(5, 1) + _double(cells[Slot.SUM]),
            tag(6, 0) + _zigzag(scale),
            tag(7, 1) + _fixed64(zeros),
            length_delimited(8, positive),
            *_exemplar(metric, cells, 11),
            tag(14, 1) + _double(least),
        ]
    )


@lru_cache(maxsize=64)
def _places(metric: Metric) -> tuple[float, list[int]]:
    """Returns the least bound, and the exponential bucket of each cell; -1 for that of zero."""
    bounds = grid(metric.unit)
    return bounds[0], [bisect_left(bounds, edge) - 1 for edge in (*metric.edges, inf)]


def _zigzag(number: int) -> bytes:
    return varint(number << 1 if number >= 0 else (-number << 1) - 1)


def _exemplar(metric: Metric, cells: "array[float]", number: int) -> Iterator[bytes]:
    """Yields the exemplar of a histogram, if it has one."""
    value, time_s, *ids = cells[Slot.BUCKETS + len(metric.edges) + 1 :]
    if time_s:
        encoded = struct.pack("=3d", *ids)
        yield length_delimited(
            number,
            tag(2, 1)
            + _fixed64(int(time_s * 1e9))
            + tag(3, 1)
            + _double(value)
            + length_delimited(4, encoded[16:])
            + length_delimited(5, encoded[:16]),
        )


def _times(cells: "array[float]", now_s: float) -> bytes:
    begin, now = _fixed64(int(cells[Slot.CREATED] * 1e9)), _fixed64(int(now_s * 1e9))
    return tag(2, 1) + begin + tag(3, 1) + now


def _labels(metric: Metric, labels: str, number: int) -> bytes:
    found: dict[str, Value] = {}
    for name, value in zip(metric.labels, json.loads(labels), strict=False):
        if value:  # a label without a value is left out, as in the text forms
            is_status = name == "http_response_status_code" and value.isdecimal()
            found[_ATTRIBUTES.get(name, name)] = int(value) if is_status else value
    return attributes(found, number)

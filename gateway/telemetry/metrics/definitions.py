"""Every metric of the gateway: its name, kind, labels and meaning.

Names that begin with `http_` and `rpc_` are those of OpenTelemetry's semantic conventions 1.44
(http-metrics, rpc-metrics), as OpenTelemetry's "Prometheus and OpenMetrics compatibility" spells
them. Those that begin with `process_` are the names that Prometheus' clients share.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """The type of a metric, as the text forms of Prometheus name it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Merge(StrEnum):
    """The value of a gauge of several processes."""

    SUM = "sum"
    LEAST = "least"
    GREATEST = "greatest"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. A child is the metric with one value for each of its labels."""

    name: str
    """Without `_total`, which the samples of a counter have."""
    kind: Kind
    help: str
    """One sentence without a full stop."""
    labels: tuple[str, ...] = ()
    """The first one is the one that can take many values."""
    unit: str = ""
    """The unit that the name ends with; empty if it has none."""
    edges: tuple[float, ...] = ()
    """The upper bounds of the buckets of a histogram, without infinity."""
    merge: Merge = Merge.SUM
    """The value of a gauge that several processes set; those that have ended do not count."""

    @property
    def slots(self) -> int:
        """The number of cells of a child; see `Slot` for their order."""
        if self.kind is not Kind.HISTOGRAM:
            return Slot.VALUE + 1
        return Slot.BUCKETS + len(self.edges) + 1 + EXEMPLAR_SLOTS


class Slot:
    """The cells of a child: creation time, value or sum, and for histograms buckets and exemplar.

    A bucket counts the values of its own range, not those of the buckets below it. After the
    buckets come the value of the exemplar, its time, 16 bytes of trace id and 8 of span id.
    """

    CREATED: Final = 0
    VALUE: Final = 1
    SUM: Final = 1
    BUCKETS: Final = 2


EXEMPLAR_SLOTS: Final = 5

_SIZES: Final = (100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8)
_LAGS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_OF_A_REQUEST: Final = (
    *("http_route", "http_request_method", "http_response_status_code"),
    *("url_scheme", "error_type"),
)
# Without the status: three times as many cells and lines would tell little more.
_OF_A_SIZE: Final = ("http_route", "http_request_method", "url_scheme")

REQUEST_DURATION: Final = Metric(
    "http_server_request_duration_seconds",
    Kind.HISTOGRAM,
    "Time from the head of a request to the end of its response or stream",
    _OF_A_REQUEST,
    "seconds",
)
REQUEST_SIZE: Final = Metric(
    "http_server_request_body_size_bytes",
    Kind.HISTOGRAM,
    "Size of request bodies as received",
    _OF_A_SIZE,
    "bytes",
    _SIZES,
)
RESPONSE_SIZE: Final = Metric(
    "http_server_response_body_size_bytes",
    Kind.HISTOGRAM,
    "Size of response bodies as sent",
    _OF_A_SIZE,
    "bytes",
    _SIZES,
)
ACTIVE_REQUESTS: Final = Metric(
    "http_server_active_requests",
    Kind.GAUGE,
    "Connections with a request in progress, once a second",
    ("url_scheme",),
)
CALL_DURATION: Final = Metric(
    "rpc_client_call_duration_seconds",
    Kind.HISTOGRAM,
    "Time from the start of a call to a back end to its reply or the end of its stream",
    ("rpc_method", "gateway_upstream", "rpc_response_status_code", "rpc_system_name"),
    "seconds",
)
RATE_LIMITED: Final = Metric(
    "gateway_rate_limited",
    Kind.COUNTER,
    "Calls that a rate limit refused",
    ("rule",),
)
SPLIT_CALLS: Final = Metric(
    "gateway_split_calls",
    Kind.COUNTER,
    "Requests whose upstream a split chose, by the split and the upstream",
    ("split", "gateway_upstream"),
)
FILTERED: Final = Metric(
    "gateway_filter_refused",
    Kind.COUNTER,
    "Requests that a filter refused",
    ("rule",),
)
AUDIT_EVENTS: Final = Metric(
    "gateway_audit_events",
    Kind.COUNTER,
    "Records of the audit trail: tokens and keys issued and revoked, failed logins, refusals",
    ("event",),
)
CACHE_REQUESTS: Final = Metric(
    "gateway_cache_requests",
    Kind.COUNTER,
    "Calls of methods whose replies are stored: hit, stale, collapsed, revalidated, miss or bypass",
    ("rpc_method", "result"),
)
CACHE_CHANGES: Final = Metric(
    "gateway_cache_invalidations",
    Kind.COUNTER,
    "Orders to drop stored replies, by a call that changed something or a purge",
    ("by",),
)
CACHE_EVICTIONS: Final = Metric(
    "gateway_cache_evictions",
    Kind.COUNTER,
    "Stored replies removed from memory: bytes or share (to make room), invalidated or expired",
    ("why",),
)
CACHE_AGE: Final = Metric(
    "gateway_cache_age_seconds",
    Kind.HISTOGRAM,
    "Age of the stored replies that are sent",
    (),
    "seconds",
    (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0),
)
CACHE_FILLS: Final = Metric(
    "gateway_cache_fills_in_flight",
    Kind.GAUGE,
    "Calls under way whose replies are to be stored, once a second",
)
CACHE_STORE_ERRORS: Final = Metric(
    "gateway_cache_store_errors",
    Kind.COUNTER,
    "Operations of the store that workers and nodes share, which failed or were too slow",
)
CACHE_ENTRIES: Final = Metric(
    "gateway_cache_entries", Kind.GAUGE, "Stored replies in memory, once a second"
)
CACHE_BYTES: Final = Metric(
    "gateway_cache_bytes",
    Kind.GAUGE,
    "Memory of stored replies, once a second",
    (),
    "bytes",
)
CONNECTIONS: Final = Metric(
    "gateway_connections", Kind.GAUGE, "Open connections of clients, once a second"
)
ENDPOINTS: Final = Metric(
    "gateway_upstream_endpoints",
    Kind.GAUGE,
    "Endpoints of an upstream by their state, in all workers together, once a second",
    ("gateway_upstream", "state"),
)
LOOP_LAG: Final = Metric(
    "gateway_loop_lag_seconds",
    Kind.HISTOGRAM,
    "Delay of a timer that is due four times a second",
    (),
    "seconds",
    _LAGS,
)
WORKER_RESTARTS: Final = Metric(
    "gateway_worker_restarts", Kind.COUNTER, "Workers that replaced one that died or hung"
)
LOST_LINES: Final = Metric(
    "gateway_log_lost", Kind.COUNTER, "Lines of the access log and the events that were lost"
)
LOST_TRACES: Final = Metric(
    "gateway_traces_lost",
    Kind.COUNTER,
    "Requests whose spans were to be sent to the collector of traces, and were lost",
)
STORE_OPERATIONS: Final = Metric(
    "gateway_store_operations_seconds",
    Kind.HISTOGRAM,
    "Time of each operation of a store; the outcome is ok, unavailable or error",
    ("store", "operation", "outcome"),
    "seconds",
    _LAGS,
)
STORE_UP: Final = Metric(
    "gateway_store_up",
    Kind.GAUGE,
    "1 while a store is asked, 0 while the breaker of any worker is open, once a second",
    ("store",),
    merge=Merge.LEAST,
)
CERTIFICATE_EXPIRES: Final = Metric(
    "gateway_tls_certificate_expires_timestamp_seconds",
    Kind.GAUGE,
    "Time since 1970 at which the first certificate of a file ends",
    ("file",),
    "seconds",
    merge=Merge.LEAST,
)
CERTIFICATE_RELOADS: Final = Metric(
    "gateway_tls_certificate_reloads",
    Kind.COUNTER,
    "Changes of the TLS files that a worker has put into use, or refused",
    ("outcome",),
)
RELOADS: Final = Metric(
    "gateway_reloads",
    Kind.COUNTER,
    "Reloads of the settings: applied or refused",
    ("outcome",),
)
GENERATION: Final = Metric(
    "gateway_config_generation",
    Kind.GAUGE,
    "Number of the settings in force since the start, from 1",
    merge=Merge.GREATEST,
)
_OF_A_CALL: Final = ("grpc_method", "grpc_target")
CALL_RETRIES: Final = Metric(
    "grpc_client_call_retries",
    Kind.HISTOGRAM,
    "Repeats of a call that a back end has failed, of calls with any (gRFC A96)",
    _OF_A_CALL,
    edges=(1.0, 2.0, 3.0, 4.0, 5.0),
)
CALL_TRANSPARENT_RETRIES: Final = Metric(
    "grpc_client_call_transparent_retries",
    Kind.HISTOGRAM,
    "Repeats of a call that no back end had processed, of calls with any (gRFC A96)",
    _OF_A_CALL,
    edges=(1.0, 2.0, 3.0, 4.0, 5.0, 10.0),
)
CALL_RETRY_DELAY: Final = Metric(
    "grpc_client_call_retry_delay_seconds",
    Kind.HISTOGRAM,
    "Time that a call waited between its attempts, of calls that waited (gRFC A96)",
    _OF_A_CALL,
    "seconds",
    _LAGS,
)
RETRIES: Final = Metric(
    "gateway_retries",
    Kind.COUNTER,
    "Repeated attempts of calls by the failure before: a code, or unprocessed",
    ("gateway_upstream", "reason"),
)
RETRIES_REFUSED: Final = Metric(
    "gateway_upstream_retries_refused",
    Kind.COUNTER,
    "Failed calls that were not repeated, though their policy covers the failure",
    ("gateway_upstream", "why"),
)
IN_FLIGHT: Final = Metric(
    "gateway_upstream_requests_in_flight",
    Kind.GAUGE,
    "Calls in progress at the endpoints of an upstream, once a second",
    ("gateway_upstream",),
)
STREAMS: Final = Metric(
    "gateway_streams_open", Kind.GAUGE, "Streaming calls in progress at back ends"
)
MESSAGES: Final = Metric(
    "gateway_messages",
    Kind.COUNTER,
    "Messages of streaming calls: sent to back ends, received from them",
    ("direction",),
)
IDEMPOTENT: Final = Metric(
    "gateway_idempotency_requests",
    Kind.COUNTER,
    "Requests with an idempotency key by the state of their key",
    ("result",),
)
CPU: Final = Metric(
    "process_cpu_seconds",
    Kind.COUNTER,
    "User and system time of all serving processes",
    (),
    "seconds",
)
MEMORY: Final = Metric(
    "process_resident_memory_bytes",
    Kind.GAUGE,
    "Resident memory of all serving processes, once a second",
    (),
    "bytes",
)

_DURATIONS: Final = (REQUEST_DURATION, CALL_DURATION)
METRICS: Final = (
    *(REQUEST_DURATION, REQUEST_SIZE, RESPONSE_SIZE, ACTIVE_REQUESTS, CALL_DURATION),
    *(
        RATE_LIMITED,
        SPLIT_CALLS,
        FILTERED,
        AUDIT_EVENTS,
        CACHE_REQUESTS,
        CACHE_CHANGES,
        CACHE_EVICTIONS,
        CACHE_AGE,
        CACHE_FILLS,
        CACHE_STORE_ERRORS,
        CACHE_ENTRIES,
        CACHE_BYTES,
        CONNECTIONS,
        ENDPOINTS,
        LOOP_LAG,
        LOST_LINES,
        LOST_TRACES,
        WORKER_RESTARTS,
        STORE_OPERATIONS,
        STORE_UP,
        CERTIFICATE_EXPIRES,
        CERTIFICATE_RELOADS,
        RELOADS,
        GENERATION,
        CALL_RETRIES,
        CALL_TRANSPARENT_RETRIES,
        CALL_RETRY_DELAY,
        RETRIES,
        RETRIES_REFUSED,
        IN_FLIGHT,
        STREAMS,
        MESSAGES,
        IDEMPOTENT,
        CPU,
        MEMORY,
    ),
)
"""All metrics; durations have no buckets yet."""

GAUGES: Final = tuple(metric.name for metric in METRICS if metric.kind is Kind.GAUGE)
"""The names of the metrics that tell of running processes alone."""


def with_buckets(buckets: Sequence[float]) -> dict[str, Metric]:
    """Returns all metrics by name; those of durations have these upper bounds, in seconds."""
    return {
        metric.name: replace(metric, edges=tuple(buckets)) if metric in _DURATIONS else metric
        for metric in METRICS
    }

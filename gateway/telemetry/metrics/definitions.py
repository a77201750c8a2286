"""Every metric of the gateway: its name, kind, labels and meaning.

Names that begin with `http_` and `rpc_` are those of OpenTelemetry's semantic conventions 1.44
(http-metrics, rpc-metrics), as OpenTelemetry's "Prometheus and OpenMetrics compatibility" spells
them. Those that begin with `process_` are the names that Prometheus' clients share.
"""

from dataclasses import replace
from typing import Final

from gateway.config.metrics import Histograms, MetricsOptions
from gateway.telemetry.metrics.endpoint_definitions import (
    ATTEMPT_DURATION,
    OF_ENDPOINTS,
    WHOLE_CALL_DURATION,
)
from gateway.telemetry.metrics.metric import GRIDS, Kind, Merge, Metric, grid

_SIZES: Final = (100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8)
_LAGS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_OF_A_REQUEST: Final = (
    *("http_route", "http_request_method", "http_response_status_code"),
    *("url_scheme", "error_type", "gateway_origin", "network_protocol_version"),
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
AUTH_FAILURES: Final = Metric(
    "gateway_auth_failures",
    Kind.COUNTER,
    "Credentials and logins that were refused; other is a credential of a kind that is not taken",
    ("reason", "kind"),
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
WEBSOCKETS: Final = Metric(
    "gateway_websockets_open", Kind.GAUGE, "Connections that are WebSockets, once a second"
)
UPSTREAM_UP: Final = Metric(
    "gateway_upstream_up",
    Kind.GAUGE,
    "1 while any endpoint of an upstream takes calls, 0 if none does for any worker, once a second",
    ("gateway_upstream",),
    merge=Merge.LEAST,
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
SCHEMA: Final = Metric(
    "gateway_schema_info",
    Kind.GAUGE,
    "1, with a hash of the descriptors in force, which is the same on nodes with the same schema",
    ("hash",),
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
CALL_HEDGES: Final = Metric(
    "grpc_client_call_hedges",
    Kind.HISTOGRAM,
    "Attempts of a call at other endpoints beside those under way, of calls with any (gRFC A96)",
    _OF_A_CALL,
    edges=(1.0, 2.0, 3.0, 4.0, 5.0),
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
    "Further attempts of calls by the failure before: a code, unprocessed, or no_answer (hedged)",
    ("gateway_upstream", "reason"),
)
RETRIES_REFUSED: Final = Metric(
    "gateway_upstream_retries_refused",
    Kind.COUNTER,
    "Further attempts of calls that were not made, though their policy asks for them",
    ("gateway_upstream", "why"),
)
_OF_CONNECTIONS: Final = ("grpc_target", "grpc_lb_locality")
ATTEMPTS_SUCCEEDED: Final = Metric(
    "grpc_subchannel_connection_attempts_succeeded",
    Kind.COUNTER,
    "Connections to endpoints that were opened (gRFC A94)",
    _OF_CONNECTIONS,
)
ATTEMPTS_FAILED: Final = Metric(
    "grpc_subchannel_connection_attempts_failed",
    Kind.COUNTER,
    "Connections to endpoints that could not be opened (gRFC A94)",
    _OF_CONNECTIONS,
)
DISCONNECTIONS: Final = Metric(
    "grpc_subchannel_disconnections",
    Kind.COUNTER,
    "Connections to endpoints that have ended, by the reason (gRFC A94)",
    (*_OF_CONNECTIONS, "grpc_disconnect_error"),
)
OPEN_CONNECTIONS: Final = Metric(
    "grpc_subchannel_open_connections",
    Kind.GAUGE,
    "Open connections to endpoints (gRFC A94)",
    _OF_CONNECTIONS,
)
IN_FLIGHT: Final = Metric(
    "gateway_upstream_requests_in_flight",
    Kind.GAUGE,
    "Calls in progress at the endpoints of an upstream, once a second",
    ("gateway_upstream",),
)
UPSTREAM_OPEN: Final = Metric(
    "gateway_upstream_open",
    Kind.GAUGE,
    "1 while a limit of an upstream refuses calls in any worker, and for 10 s after, else 0",
    ("gateway_upstream", "which"),
    merge=Merge.GREATEST,
)
UPSTREAM_PANIC: Final = Metric(
    "gateway_upstream_panic",
    Kind.GAUGE,
    "1 while endpoints that are left out get calls in any worker, as too few others are there",
    ("gateway_upstream",),
    merge=Merge.GREATEST,
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
    "User and system time of each serving process",
    ("worker",),
    "seconds",
)
MEMORY: Final = Metric(
    "process_resident_memory_bytes",
    Kind.GAUGE,
    "Resident memory of each serving process, once a second",
    ("worker",),
    "bytes",
)

_DURATIONS: Final = (REQUEST_DURATION, CALL_DURATION, ATTEMPT_DURATION, WHOLE_CALL_DURATION)
_OWN: Final = [each for each in tuple(globals().values()) if isinstance(each, Metric)]
METRICS: Final = tuple(dict.fromkeys([*_OWN, *OF_ENDPOINTS]))
"""All metrics; durations have no buckets yet."""

GAUGES: Final = tuple(metric.name for metric in METRICS if metric.kind is Kind.GAUGE)
"""The names of the metrics that tell of running processes alone."""


def metrics_of(options: MetricsOptions) -> dict[str, Metric]:
    """Returns all metrics by name; those of durations have the buckets of the settings.

    If exponential histograms are sent, the cells have the bounds of both forms.
    """
    found = [
        replace(metric, edges=tuple(options.buckets)) if metric in _DURATIONS else metric
        for metric in METRICS
    ]
    if options.otlp_histograms is Histograms.EXPONENTIAL:
        found = [_exponential(metric) for metric in found]
    return {metric.name: metric for metric in found}


def _exponential(metric: Metric) -> Metric:
    more = grid(metric.unit) if metric.kind is Kind.HISTOGRAM else ()
    if not more:
        return metric
    edges = tuple(sorted({*metric.edges, *more}))
    return replace(metric, edges=edges, bounds=metric.edges, scale=GRIDS[metric.unit][0])

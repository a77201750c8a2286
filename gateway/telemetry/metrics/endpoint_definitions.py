"""The metrics of endpoints and of attempts, with the names of gRFC A66, A78 and A91."""

from typing import Final

from gateway.telemetry.metrics.metric import Kind, Metric

_OF_A_CALL: Final = ("grpc_method", "grpc_target")
_WITH_STATUS: Final = (*_OF_A_CALL, "grpc_status")
_SIZES: Final = (
    *(1024.0, 2048.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0),
    *(16777216.0, 67108864.0, 268435456.0, 1073741824.0, 4294967296.0),
)
"""The bounds of A66, without 0."""
ATTEMPTS_STARTED: Final = Metric(
    "grpc_client_attempt_started",
    Kind.COUNTER,
    "Attempts of calls that have begun, with `metrics.attempts` (gRFC A66)",
    _OF_A_CALL,
)
ATTEMPT_DURATION: Final = Metric(
    "grpc_client_attempt_duration_seconds",
    Kind.HISTOGRAM,
    "Time of an attempt, with `metrics.attempts` (gRFC A66)",
    _WITH_STATUS,
    "seconds",
)
ATTEMPT_SENT: Final = Metric(
    "grpc_client_attempt_sent_total_compressed_message_size_bytes",
    Kind.HISTOGRAM,
    "Size of all messages that an attempt sent, as sent, with `metrics.attempts` (gRFC A66)",
    _WITH_STATUS,
    "bytes",
    _SIZES,
)
ATTEMPT_RECEIVED: Final = Metric(
    "grpc_client_attempt_rcvd_total_compressed_message_size_bytes",
    Kind.HISTOGRAM,
    "Size of all messages that an attempt received, as sent, with `metrics.attempts` (gRFC A66)",
    _WITH_STATUS,
    "bytes",
    _SIZES,
)
WHOLE_CALL_DURATION: Final = Metric(
    "grpc_client_call_duration_seconds",
    Kind.HISTOGRAM,
    "Time of a call with all its attempts, with `metrics.attempts` (gRFC A66)",
    _WITH_STATUS,
    "seconds",
)
_METHOD: Final = "grpc_lb_outlier_detection_detection_method"
EJECTIONS_ENFORCED: Final = Metric(
    "grpc_lb_outlier_detection_ejections_enforced",
    Kind.COUNTER,
    "Endpoints left out for a time because their calls failed, by the detection method (gRFC A91)",
    ("grpc_target", _METHOD),
)
EJECTIONS_UNENFORCED: Final = Metric(
    "grpc_lb_outlier_detection_ejections_unenforced",
    Kind.COUNTER,
    "Endpoints that were found to fail, but not left out, by the reason for that (gRFC A91)",
    ("grpc_target", _METHOD, "grpc_lb_outlier_detection_unenforced_reason"),
)
FALLBACKS_TO_TURNS: Final = Metric(
    "grpc_lb_wrr_rr_fallback",
    Kind.COUNTER,
    "Calculations of weights with fewer than two known: endpoints take turns (gRFC A78)",
    ("grpc_target",),
)
WEIGHTS_NOT_YET_USABLE: Final = Metric(
    "grpc_lb_wrr_endpoint_weight_not_yet_usable",
    Kind.COUNTER,
    "Endpoints without a usable weight yet, summed over all calculations of weights (gRFC A78)",
    ("grpc_target",),
)
WEIGHTS_STALE: Final = Metric(
    "grpc_lb_wrr_endpoint_weight_stale",
    Kind.COUNTER,
    "Endpoints whose weight has expired, summed over all calculations of weights (gRFC A78)",
    ("grpc_target",),
)
WEIGHTS: Final = Metric(
    "grpc_lb_wrr_endpoint_weights",
    Kind.HISTOGRAM,
    "Weights of endpoints at each calculation of them; 0 for none (gRFC A78)",
    ("grpc_target",),
    edges=(0.0, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5),
)
HEALTH_CHECKS: Final = Metric(
    "gateway_upstream_health_checks",
    Kind.COUNTER,
    "Results of health checks of endpoints: passed or failed",
    ("gateway_upstream", "result"),
)

OF_ENDPOINTS: Final = tuple(one for one in tuple(globals().values()) if isinstance(one, Metric))
"""All of these."""

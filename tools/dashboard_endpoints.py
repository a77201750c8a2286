"""The panels of the Grafana dashboard about endpoints of upstreams, and attempts there."""

from collections.abc import Sequence
from typing import Final

from tools.dashboard_queries import OF_TARGET, OF_UPSTREAM, TARGET, Panel, mean, of_target, rate

_EJECTIONS: Final = "grpc_lb_outlier_detection_ejections"
_METHOD: Final = "grpc_lb_outlier_detection_detection_method"
_REASON: Final = "grpc_lb_outlier_detection_unenforced_reason"
_SIZE: Final = "total_compressed_message_size_bytes_sum"
_WEIGHT: Final = "grpc_lb_wrr_endpoint_weight"

ENDPOINT_PANELS: Final[Sequence[Panel]] = (
    (
        "Endpoints left out, and health checks",
        "ops",
        [
            of_target(
                f"{_EJECTIONS}_enforced_total", f" {{{{{_METHOD}}}}}", f"{TARGET}, {_METHOD}"
            ),
            of_target(
                f"{_EJECTIONS}_unenforced_total",
                f" not left out: {{{{{_REASON}}}}}",
                f"{TARGET}, {_REASON}",
            ),
            (
                rate(
                    "gateway_upstream_health_checks_total", OF_UPSTREAM, "gateway_upstream, result"
                ),
                "{{gateway_upstream}} health checks {{result}}",
            ),
        ],
    ),
    (
        "Attempts, with metrics.attempts",
        "reqps",
        [
            of_target("grpc_client_attempt_started_total", " begun"),
            of_target(
                "grpc_client_attempt_duration_seconds_count",
                " {{grpc_status}}",
                f"{TARGET}, grpc_status",
            ),
            of_target("grpc_client_call_duration_seconds_count", " calls"),
        ],
    ),
    (
        "Bytes of messages by attempts, with metrics.attempts",
        "Bps",
        [
            of_target(f"grpc_client_attempt_sent_{_SIZE}", " sent"),
            of_target(f"grpc_client_attempt_rcvd_{_SIZE}", " received"),
        ],
    ),
    (
        "Weights by load reports",
        "short",
        [
            (mean("grpc_lb_wrr_endpoint_weights", OF_TARGET, TARGET), "{{grpc_target}}, mean"),
            of_target("grpc_lb_wrr_rr_fallback_total", " takes turns"),
            of_target(f"{_WEIGHT}_not_yet_usable_total", " not usable yet"),
            of_target(f"{_WEIGHT}_stale_total", " expired"),
        ],
    ),
)
"""The row "Endpoints"."""

"""Parts of the queries of the Grafana dashboard: names of samples, labels, rates, quantiles."""

from collections.abc import Sequence

OF_JOB = 'job=~"$job"'
OF_ROUTE = f'{OF_JOB},http_route=~"$route"'
OF_UPSTREAM = f'{OF_JOB},gateway_upstream=~"$upstream"'
RATE = "[$__rate_interval]"
REQUESTS = "http_server_request_duration_seconds"
STORE = "gateway_store_operations_seconds"
IN_FLIGHT = f"sum by (gateway_upstream) (gateway_upstream_requests_in_flight{{{OF_UPSTREAM}}})"
TLS_RELOADS = "gateway_tls_certificate_reloads_total"
EXPIRES = "gateway_tls_certificate_expires_timestamp_seconds"
CALLS = "rpc_client_call_duration_seconds"
FAILED = 'error_type!="",error_type!="cancelled"'
OF_TARGET = f'{OF_JOB},grpc_target=~"$upstream"'
TARGET, REASON, WHY = "grpc_target", "gateway_upstream, reason", "gateway_upstream, why"
DELAY = "grpc_client_call_retry_delay_seconds"
WHICH, STATE = "gateway_upstream, which", "gateway_upstream, state"
SUBCHANNEL, ENDS = "grpc_subchannel", "grpc_target, grpc_disconnect_error"
OPEN = f"sum by ({TARGET}) ({SUBCHANNEL}_open_connections{{{OF_TARGET}}})"
FAILED_CALLS = (
    "rpc_response_status_code=~"
    '"UNKNOWN|DEADLINE_EXCEEDED|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS"'
)

Query = tuple[str, str]
"""A query, and the legend of its series."""
Panel = tuple[str, str, Sequence[Query]]
"""A title, a unit of Grafana, and queries."""


def rate(sample: str, labels: str, by: str = "") -> str:
    """Returns the rate of a sample a second, summed `by` labels."""
    summed = f"sum by ({by}) " if by else "sum"
    return f"{summed}(rate({sample}{{{labels}}}{RATE}))"


def quantiles(histogram: str, labels: str) -> list[Query]:
    """Returns queries for the median, p95 and p99 of a histogram."""
    return [
        (f"histogram_quantile({share}, {rate(f'{histogram}_bucket', labels, 'le')})", name)
        for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    ]


def share(sample: str, labels: str, of_them: str, by: str) -> str:
    """Returns the share of `of_them` in the rate of a sample."""
    return f"{rate(sample, f'{labels},{of_them}', by)} / {rate(sample, labels, by)}"


def mean(histogram: str, labels: str, by: str) -> str:
    """Returns the mean of the values of a histogram."""
    return f"{rate(f'{histogram}_sum', labels, by)} / {rate(f'{histogram}_count', labels, by)}"


def of_target(sample: str, legend: str, by: str = TARGET) -> Query:
    """Returns the rate of a sample of upstreams, with its legend."""
    return rate(sample, OF_TARGET, by), "{{grpc_target}}" + legend

"""The rows of the Grafana dashboard: what each panel shows, as queries of Prometheus."""

from collections.abc import Sequence

OF_JOB = 'job=~"$job"'
_OF_ROUTE = f'{OF_JOB},http_route=~"$route"'
_OF_UPSTREAM = f'{OF_JOB},gateway_upstream=~"$upstream"'
_RATE = "[$__rate_interval]"
REQUESTS = "http_server_request_duration_seconds"
_STORE = "gateway_store_operations_seconds"
_IN_FLIGHT = f"sum by (gateway_upstream) (gateway_upstream_requests_in_flight{{{_OF_UPSTREAM}}})"
_TLS_RELOADS = "gateway_tls_certificate_reloads_total"
_EXPIRES = "gateway_tls_certificate_expires_timestamp_seconds"
_CALLS = "rpc_client_call_duration_seconds"
_FAILED = 'error_type!="",error_type!="cancelled"'
_OF_TARGET = f'{OF_JOB},grpc_target=~"$upstream"'
_TARGET, _REASON, _WHY = "grpc_target", "gateway_upstream, reason", "gateway_upstream, why"
_DELAY = "grpc_client_call_retry_delay_seconds"
_WHICH, _STATE = "gateway_upstream, which", "gateway_upstream, state"
_SUBCHANNEL, _ENDS = "grpc_subchannel", "grpc_target, grpc_disconnect_error"
_OPEN = f"sum by ({_TARGET}) ({_SUBCHANNEL}_open_connections{{{_OF_TARGET}}})"
_FAILED_CALLS = (
    "rpc_response_status_code=~"
    '"UNKNOWN|DEADLINE_EXCEEDED|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS"'
)

Query = tuple[str, str]
"""A query, and the legend of its series."""
Panel = tuple[str, str, Sequence[Query]]
"""A title, a unit of Grafana, and queries."""


def _rate(sample: str, labels: str, by: str = "") -> str:
    summed = f"sum by ({by}) " if by else "sum"
    return f"{summed}(rate({sample}{{{labels}}}{_RATE}))"


def _quantiles(histogram: str, labels: str) -> list[Query]:
    return [
        (f"histogram_quantile({share}, {_rate(f'{histogram}_bucket', labels, 'le')})", name)
        for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    ]


def _share(sample: str, labels: str, of_them: str, by: str) -> str:
    return f"{_rate(sample, f'{labels},{of_them}', by)} / {_rate(sample, labels, by)}"


def _mean(histogram: str, labels: str, by: str) -> str:
    return f"{_rate(f'{histogram}_sum', labels, by)} / {_rate(f'{histogram}_count', labels, by)}"


def _of_target(sample: str, legend: str, by: str = _TARGET) -> Query:
    return _rate(sample, _OF_TARGET, by), "{{grpc_target}}" + legend


ROWS: Sequence[tuple[str, Sequence[Panel]]] = (
    (
        "Requests",
        (
            (
                "Requests by route",
                "reqps",
                [(_rate(f"{REQUESTS}_count", _OF_ROUTE, "http_route"), "{{http_route}}")],
            ),
            (
                "Failed, by route",
                "percentunit",
                [
                    (
                        _share(f"{REQUESTS}_count", _OF_ROUTE, _FAILED, "http_route"),
                        "{{http_route}}",
                    )
                ],
            ),
            ("Duration", "s", _quantiles(REQUESTS, _OF_ROUTE)),
            (
                "Requests by status",
                "reqps",
                [
                    (
                        _rate(f"{REQUESTS}_count", _OF_ROUTE, "http_response_status_code"),
                        "{{http_response_status_code}}",
                    )
                ],
            ),
            (
                "Bytes received and sent",
                "Bps",
                [
                    (_rate("http_server_request_body_size_bytes_sum", _OF_ROUTE), "received"),
                    (_rate("http_server_response_body_size_bytes_sum", _OF_ROUTE), "sent"),
                ],
            ),
            (
                "Connections",
                "short",
                [
                    (f"sum(gateway_connections{{{OF_JOB}}})", "open"),
                    (
                        f"sum(http_server_active_requests{{{OF_JOB}}})",
                        "with a request in progress",
                    ),
                    (f"sum(gateway_websockets_open{{{OF_JOB}}})", "WebSockets"),
                ],
            ),
        ),
    ),
    (
        "Upstreams",
        (
            (
                "Calls by upstream",
                "reqps",
                [
                    (
                        _rate(f"{_CALLS}_count", _OF_UPSTREAM, "gateway_upstream"),
                        "{{gateway_upstream}}",
                    )
                ],
            ),
            (
                "Failed, by upstream",
                "percentunit",
                [
                    (
                        _share(f"{_CALLS}_count", _OF_UPSTREAM, _FAILED_CALLS, "gateway_upstream"),
                        "{{gateway_upstream}}",
                    )
                ],
            ),
            ("Duration of calls", "s", _quantiles(_CALLS, _OF_UPSTREAM)),
            (
                "Calls in progress",
                "short",
                [(_IN_FLIGHT, "{{gateway_upstream}}")],
            ),
            (
                "Repeated attempts, by the failure before",
                "reqps",
                [
                    (
                        _rate("gateway_retries_total", _OF_UPSTREAM, _REASON),
                        "{{gateway_upstream}} after {{reason}}",
                    ),
                    (
                        _rate("gateway_upstream_retries_refused_total", _OF_UPSTREAM, _WHY),
                        "{{gateway_upstream}} not repeated: {{why}}",
                    ),
                ],
            ),
            (
                "Calls with repeats",
                "reqps",
                [
                    _of_target("grpc_client_call_retries_count", ""),
                    _of_target(
                        "grpc_client_call_transparent_retries_count", ", not processed before"
                    ),
                    _of_target("grpc_client_call_hedges_count", ", hedged"),
                ],
            ),
            ("Open connections to endpoints", "short", [(_OPEN, "{{grpc_target}}")]),
            (
                "Connections to endpoints",
                "reqps",
                [
                    _of_target(f"{_SUBCHANNEL}_connection_attempts_succeeded_total", " opened"),
                    _of_target(f"{_SUBCHANNEL}_connection_attempts_failed_total", " failed"),
                    _of_target(
                        f"{_SUBCHANNEL}_disconnections_total", ": {{grpc_disconnect_error}}", _ENDS
                    ),
                ],
            ),
            (
                "Wait between attempts, mean",
                "s",
                [(_mean(_DELAY, _OF_TARGET, _TARGET), "{{grpc_target}}")],
            ),
            (
                "Limits that refuse calls, and panics",
                "short",
                [
                    (
                        f"max by ({_WHICH}) (gateway_upstream_open{{{_OF_UPSTREAM}}})",
                        "{{gateway_upstream}} {{which}}",
                    ),
                    (
                        f"max by (gateway_upstream) (gateway_upstream_panic{{{_OF_UPSTREAM}}})",
                        "{{gateway_upstream}} panics",
                    ),
                ],
            ),
            (
                "Streams and their messages",
                "short",
                [
                    (f"sum(gateway_streams_open{{{OF_JOB}}})", "open"),
                    (
                        _rate("gateway_messages_total", OF_JOB, "direction"),
                        "{{direction}} a second",
                    ),
                ],
            ),
            (
                "Upstreams that take calls",
                "short",
                [
                    (
                        f"min by (gateway_upstream) (gateway_upstream_up{{{_OF_UPSTREAM}}})",
                        "{{gateway_upstream}}",
                    )
                ],
            ),
            (
                "Endpoints by state, in all workers together",
                "short",
                [
                    (
                        f"sum by ({_STATE}) (gateway_upstream_endpoints{{{_OF_UPSTREAM}}})",
                        "{{gateway_upstream}} {{state}}",
                    )
                ],
            ),
        ),
    ),
    (
        "Cache",
        (
            (
                "Calls of stored methods by result",
                "reqps",
                [(_rate("gateway_cache_requests_total", OF_JOB, "result"), "{{result}}")],
            ),
            (
                "Memory of stored replies",
                "bytes",
                [(f"sum(gateway_cache_bytes{{{OF_JOB}}})", "stored replies")],
            ),
            (
                "Stored replies",
                "short",
                [(f"sum(gateway_cache_entries{{{OF_JOB}}})", "in memory")],
            ),
            (
                "Changes, evictions, failures of the store",
                "ops",
                [
                    (_rate("gateway_cache_invalidations_total", OF_JOB, "by"), "by {{by}}"),
                    (_rate("gateway_cache_evictions_total", OF_JOB), "evicted"),
                    (_rate("gateway_cache_store_errors_total", OF_JOB), "store failed"),
                ],
            ),
        ),
    ),
    (
        "Refusals",
        (
            (
                "Refused by rate limits",
                "reqps",
                [(_rate("gateway_rate_limited_total", OF_JOB, "rule"), "{{rule}}")],
            ),
            (
                "Calls by split and upstream",
                "reqps",
                [
                    (
                        _rate("gateway_split_calls_total", OF_JOB, "split, gateway_upstream"),
                        "{{split}} {{gateway_upstream}}",
                    )
                ],
            ),
            (
                "Refused by filters",
                "reqps",
                [(_rate("gateway_filter_refused_total", OF_JOB, "rule"), "{{rule}}")],
            ),
            (
                "Credentials and logins refused",
                "ops",
                [
                    (
                        _rate("gateway_auth_failures_total", OF_JOB, "kind, reason"),
                        "{{kind}}: {{reason}}",
                    )
                ],
            ),
            (
                "Audit trail",
                "ops",
                [(_rate("gateway_audit_events_total", OF_JOB, "event"), "{{event}}")],
            ),
        ),
    ),
    (
        "Stores and stored replies",
        (
            (
                "Operations of stores",
                "ops",
                [
                    (
                        _rate(f"{_STORE}_count", OF_JOB, "store, outcome"),
                        "{{store}} {{outcome}}",
                    )
                ],
            ),
            ("Duration of operations", "s", _quantiles(_STORE, OF_JOB)),
            (
                "Stores that are asked",
                "short",
                [(f"min by (store) (gateway_store_up{{{OF_JOB}}})", "{{store}}")],
            ),
            (
                "Requests with an idempotency key",
                "reqps",
                [(_rate("gateway_idempotency_requests_total", OF_JOB, "result"), "{{result}}")],
            ),
        ),
    ),
    (
        "Settings and certificates",
        (
            (
                "Reloads, in an hour",
                "short",
                [
                    (
                        f"sum by (outcome) (increase(gateway_reloads_total{{{OF_JOB}}}[1h]))",
                        "settings {{outcome}}",
                    ),
                    (
                        f"sum by (outcome) (increase({_TLS_RELOADS}{{{OF_JOB}}}[1h]))",
                        "TLS files {{outcome}}",
                    ),
                ],
            ),
            (
                "Generation of the settings",
                "short",
                [(f"max by (instance) (gateway_config_generation{{{OF_JOB}}})", "{{instance}}")],
            ),
            (
                "Time until certificates end",
                "s",
                [(f"min by (file) ({_EXPIRES}{{{OF_JOB}}}) - time()", "{{file}}")],
            ),
        ),
    ),
    (
        "Processes",
        (
            (
                "CPU of workers",
                "short",
                [
                    (
                        _rate("process_cpu_seconds_total", OF_JOB, "instance, worker"),
                        "{{instance}} {{worker}}",
                    )
                ],
            ),
            (
                "Memory of workers",
                "bytes",
                [
                    (
                        f"sum by (instance, worker) (process_resident_memory_bytes{{{OF_JOB}}})",
                        "{{instance}} {{worker}}",
                    )
                ],
            ),
            ("Delay of event loops", "s", _quantiles("gateway_loop_lag_seconds", OF_JOB)),
            (
                "Restarts and losses, in an hour",
                "short",
                [
                    (f"sum(increase(gateway_worker_restarts_total{{{OF_JOB}}}[1h]))", "workers"),
                    (f"sum(increase(gateway_log_lost_total{{{OF_JOB}}}[1h]))", "lines of the log"),
                    (f"sum(increase(gateway_traces_lost_total{{{OF_JOB}}}[1h]))", "traces"),
                ],
            ),
            (
                "Versions",
                "short",
                [(f"sum by (version) (gateway_build_info{{{OF_JOB}}})", "{{version}}")],
            ),
            (
                "Nodes by schema",
                "short",
                [(f"sum by (hash) (gateway_schema_info{{{OF_JOB}}})", "{{hash}}")],
            ),
        ),
    ),
)

"""The rows of the Grafana dashboard: what each panel shows, as queries of Prometheus."""

from collections.abc import Sequence

from tools.dashboard_endpoints import ENDPOINT_PANELS
from tools.dashboard_queries import (
    CALLS,
    DELAY,
    ENDS,
    EXPIRES,
    FAILED,
    FAILED_CALLS,
    IN_FLIGHT,
    OF_JOB,
    OF_ROUTE,
    OF_TARGET,
    OF_UPSTREAM,
    OPEN,
    REASON,
    REQUESTS,
    STATE,
    STORE,
    SUBCHANNEL,
    TARGET,
    TLS_RELOADS,
    WHICH,
    WHY,
    Panel,
    mean,
    of_target,
    quantiles,
    rate,
    share,
)

ROWS: Sequence[tuple[str, Sequence[Panel]]] = (
    (
        "Requests",
        (
            (
                "Requests by route",
                "reqps",
                [(rate(f"{REQUESTS}_count", OF_ROUTE, "http_route"), "{{http_route}}")],
            ),
            (
                "Failed, by route",
                "percentunit",
                [
                    (
                        share(f"{REQUESTS}_count", OF_ROUTE, FAILED, "http_route"),
                        "{{http_route}}",
                    )
                ],
            ),
            (
                "Statuses from 500 on, by who failed",
                "reqps",
                [
                    (
                        rate(
                            f"{REQUESTS}_count",
                            f'{OF_ROUTE},gateway_origin!=""',
                            "gateway_origin",
                        ),
                        "{{gateway_origin}}",
                    )
                ],
            ),
            ("Duration", "s", quantiles(REQUESTS, OF_ROUTE)),
            (
                "Requests by status",
                "reqps",
                [
                    (
                        rate(f"{REQUESTS}_count", OF_ROUTE, "http_response_status_code"),
                        "{{http_response_status_code}}",
                    )
                ],
            ),
            (
                "Bytes received and sent",
                "Bps",
                [
                    (rate("http_server_request_body_size_bytes_sum", OF_ROUTE), "received"),
                    (rate("http_server_response_body_size_bytes_sum", OF_ROUTE), "sent"),
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
                        rate(f"{CALLS}_count", OF_UPSTREAM, "gateway_upstream"),
                        "{{gateway_upstream}}",
                    )
                ],
            ),
            (
                "Failed, by upstream",
                "percentunit",
                [
                    (
                        share(f"{CALLS}_count", OF_UPSTREAM, FAILED_CALLS, "gateway_upstream"),
                        "{{gateway_upstream}}",
                    )
                ],
            ),
            ("Duration of calls", "s", quantiles(CALLS, OF_UPSTREAM)),
            (
                "Calls in progress",
                "short",
                [(IN_FLIGHT, "{{gateway_upstream}}")],
            ),
            (
                "Repeated attempts, by the failure before",
                "reqps",
                [
                    (
                        rate("gateway_retries_total", OF_UPSTREAM, REASON),
                        "{{gateway_upstream}} after {{reason}}",
                    ),
                    (
                        rate("gateway_upstream_retries_refused_total", OF_UPSTREAM, WHY),
                        "{{gateway_upstream}} not repeated: {{why}}",
                    ),
                ],
            ),
            (
                "Calls with repeats",
                "reqps",
                [
                    of_target("grpc_client_call_retries_count", ""),
                    of_target(
                        "grpc_client_call_transparent_retries_count", ", not processed before"
                    ),
                    of_target("grpc_client_call_hedges_count", ", hedged"),
                ],
            ),
            ("Open connections to endpoints", "short", [(OPEN, "{{grpc_target}}")]),
            (
                "Connections to endpoints",
                "reqps",
                [
                    of_target(f"{SUBCHANNEL}_connection_attempts_succeeded_total", " opened"),
                    of_target(f"{SUBCHANNEL}_connection_attempts_failed_total", " failed"),
                    of_target(
                        f"{SUBCHANNEL}_disconnections_total", ": {{grpc_disconnect_error}}", ENDS
                    ),
                ],
            ),
            (
                "Wait between attempts, mean",
                "s",
                [(mean(DELAY, OF_TARGET, TARGET), "{{grpc_target}}")],
            ),
            (
                "Limits that refuse calls, and panics",
                "short",
                [
                    (
                        f"max by ({WHICH}) (gateway_upstream_open{{{OF_UPSTREAM}}})",
                        "{{gateway_upstream}} {{which}}",
                    ),
                    (
                        f"max by (gateway_upstream) (gateway_upstream_panic{{{OF_UPSTREAM}}})",
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
                        rate("gateway_messages_total", OF_JOB, "direction"),
                        "{{direction}} a second",
                    ),
                ],
            ),
            (
                "Upstreams that take calls",
                "short",
                [
                    (
                        f"min by (gateway_upstream) (gateway_upstream_up{{{OF_UPSTREAM}}})",
                        "{{gateway_upstream}}",
                    )
                ],
            ),
            (
                "Endpoints by state, in all workers together",
                "short",
                [
                    (
                        f"sum by ({STATE}) (gateway_upstream_endpoints{{{OF_UPSTREAM}}})",
                        "{{gateway_upstream}} {{state}}",
                    )
                ],
            ),
        ),
    ),
    ("Endpoints", ENDPOINT_PANELS),
    (
        "Cache",
        (
            (
                "Calls of stored methods by result",
                "reqps",
                [(rate("gateway_cache_requests_total", OF_JOB, "result"), "{{result}}")],
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
            ("Age of stored replies sent", "s", quantiles("gateway_cache_age_seconds", OF_JOB)),
            (
                "Calls that fetch replies",
                "short",
                [(f"sum(gateway_cache_fills_in_flight{{{OF_JOB}}})", "in flight")],
            ),
            (
                "Changes, evictions, failures of the store",
                "ops",
                [
                    (rate("gateway_cache_invalidations_total", OF_JOB, "by"), "by {{by}}"),
                    (rate("gateway_cache_evictions_total", OF_JOB, "why"), "evicted: {{why}}"),
                    (rate("gateway_cache_store_errors_total", OF_JOB), "store failed"),
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
                [(rate("gateway_rate_limited_total", OF_JOB, "rule"), "{{rule}}")],
            ),
            (
                "Calls by split and upstream",
                "reqps",
                [
                    (
                        rate("gateway_split_calls_total", OF_JOB, "split, gateway_upstream"),
                        "{{split}} {{gateway_upstream}}",
                    )
                ],
            ),
            (
                "Refused by filters",
                "reqps",
                [(rate("gateway_filter_refused_total", OF_JOB, "rule"), "{{rule}}")],
            ),
            (
                "Credentials and logins refused",
                "ops",
                [
                    (
                        rate("gateway_auth_failures_total", OF_JOB, "kind, reason"),
                        "{{kind}}: {{reason}}",
                    )
                ],
            ),
            (
                "Audit trail",
                "ops",
                [(rate("gateway_audit_events_total", OF_JOB, "event"), "{{event}}")],
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
                        rate(f"{STORE}_count", OF_JOB, "store, outcome"),
                        "{{store}} {{outcome}}",
                    )
                ],
            ),
            ("Duration of operations", "s", quantiles(STORE, OF_JOB)),
            (
                "Stores that are asked",
                "short",
                [(f"min by (store) (gateway_store_up{{{OF_JOB}}})", "{{store}}")],
            ),
            (
                "Requests with an idempotency key",
                "reqps",
                [(rate("gateway_idempotency_requests_total", OF_JOB, "result"), "{{result}}")],
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
                        f"sum by (outcome) (increase({TLS_RELOADS}{{{OF_JOB}}}[1h]))",
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
                [(f"min by (file) ({EXPIRES}{{{OF_JOB}}}) - time()", "{{file}}")],
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
                        rate("process_cpu_seconds_total", OF_JOB, "instance, worker"),
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
            ("Delay of event loops", "s", quantiles("gateway_loop_lag_seconds", OF_JOB)),
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

"""Writes the Grafana dashboard: `python -m tools.dashboard`."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

FILE = Path("deploy/grafana/dashboard.json")
_SCHEMA = 39
"""The version of the dashboard's JSON model; Grafana 10.4 and later read it."""
_SOURCE = {"type": "prometheus", "uid": "$datasource"}
_COLUMNS, _HEIGHT = 24, 8

_OF_JOB = 'job=~"$job"'
_OF_ROUTE = f'{_OF_JOB},http_route=~"$route"'
_OF_UPSTREAM = f'{_OF_JOB},gateway_upstream=~"$upstream"'
_RATE = "[$__rate_interval]"
_REQUESTS = "http_server_request_duration_seconds"
_STORE = "gateway_store_operations_seconds"
_IN_FLIGHT = "gateway_upstream_requests_in_flight"
_TLS_RELOADS = "gateway_tls_certificate_reloads_total"
_EXPIRES = "gateway_tls_certificate_expires_timestamp_seconds"
_CALLS = "rpc_client_call_duration_seconds"
_FAILED = 'error_type!="",error_type!="cancelled"'
_OF_TARGET = f'{_OF_JOB},grpc_target=~"$upstream"'
_TARGET, _REASON, _WHY = "grpc_target", "gateway_upstream, reason", "gateway_upstream, why"
_STATE = "gateway_upstream, state"
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


ROWS: Sequence[tuple[str, Sequence[Panel]]] = (
    (
        "Requests",
        (
            (
                "Requests by route",
                "reqps",
                [(_rate(f"{_REQUESTS}_count", _OF_ROUTE, "http_route"), "{{http_route}}")],
            ),
            (
                "Failed, by route",
                "percentunit",
                [
                    (
                        _share(f"{_REQUESTS}_count", _OF_ROUTE, _FAILED, "http_route"),
                        "{{http_route}}",
                    )
                ],
            ),
            ("Duration", "s", _quantiles(_REQUESTS, _OF_ROUTE)),
            (
                "Requests by status",
                "reqps",
                [
                    (
                        _rate(f"{_REQUESTS}_count", _OF_ROUTE, "http_response_status_code"),
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
                    (f"sum(gateway_connections{{{_OF_JOB}}})", "open"),
                    (
                        f"sum(http_server_active_requests{{{_OF_JOB}}})",
                        "with a request in progress",
                    ),
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
                [
                    (
                        f"sum by (gateway_upstream) ({_IN_FLIGHT}{{{_OF_UPSTREAM}}})",
                        "{{gateway_upstream}}",
                    )
                ],
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
                    (
                        _rate("grpc_client_call_retries_count", _OF_TARGET, _TARGET),
                        "{{grpc_target}}",
                    ),
                    (
                        _rate("grpc_client_call_transparent_retries_count", _OF_TARGET, _TARGET),
                        "{{grpc_target}}, not processed before",
                    ),
                ],
            ),
            (
                "Wait between attempts, mean",
                "s",
                [
                    (
                        _mean("grpc_client_call_retry_delay_seconds", _OF_TARGET, _TARGET),
                        "{{grpc_target}}",
                    )
                ],
            ),
            (
                "Streams and their messages",
                "short",
                [
                    (f"sum(gateway_streams_open{{{_OF_JOB}}})", "open"),
                    (
                        _rate("gateway_messages_total", _OF_JOB, "direction"),
                        "{{direction}} a second",
                    ),
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
                [(_rate("gateway_cache_requests_total", _OF_JOB, "result"), "{{result}}")],
            ),
            (
                "Memory of stored replies",
                "bytes",
                [(f"sum(gateway_cache_bytes{{{_OF_JOB}}})", "stored replies")],
            ),
            (
                "Stored replies",
                "short",
                [(f"sum(gateway_cache_entries{{{_OF_JOB}}})", "in memory")],
            ),
            (
                "Changes, evictions, failures of the store",
                "ops",
                [
                    (_rate("gateway_cache_invalidations_total", _OF_JOB, "by"), "by {{by}}"),
                    (_rate("gateway_cache_evictions_total", _OF_JOB), "evicted"),
                    (_rate("gateway_cache_store_errors_total", _OF_JOB), "store failed"),
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
                [(_rate("gateway_rate_limited_total", _OF_JOB, "rule"), "{{rule}}")],
            ),
            (
                "Calls by split and upstream",
                "reqps",
                [
                    (
                        _rate("gateway_split_calls_total", _OF_JOB, "split, gateway_upstream"),
                        "{{split}} {{gateway_upstream}}",
                    )
                ],
            ),
            (
                "Refused by filters",
                "reqps",
                [(_rate("gateway_filter_refused_total", _OF_JOB, "rule"), "{{rule}}")],
            ),
            (
                "Audit trail",
                "ops",
                [(_rate("gateway_audit_events_total", _OF_JOB, "event"), "{{event}}")],
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
                        _rate(f"{_STORE}_count", _OF_JOB, "store, outcome"),
                        "{{store}} {{outcome}}",
                    )
                ],
            ),
            ("Duration of operations", "s", _quantiles(_STORE, _OF_JOB)),
            (
                "Stores that are asked",
                "short",
                [(f"min by (store) (gateway_store_up{{{_OF_JOB}}})", "{{store}}")],
            ),
            (
                "Requests with an idempotency key",
                "reqps",
                [(_rate("gateway_idempotency_requests_total", _OF_JOB, "result"), "{{result}}")],
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
                        f"sum by (outcome) (increase(gateway_reloads_total{{{_OF_JOB}}}[1h]))",
                        "settings {{outcome}}",
                    ),
                    (
                        f"sum by (outcome) (increase({_TLS_RELOADS}{{{_OF_JOB}}}[1h]))",
                        "TLS files {{outcome}}",
                    ),
                ],
            ),
            (
                "Generation of the settings",
                "short",
                [(f"max by (instance) (gateway_config_generation{{{_OF_JOB}}})", "{{instance}}")],
            ),
            (
                "Time until certificates end",
                "s",
                [(f"min by (file) ({_EXPIRES}{{{_OF_JOB}}}) - time()", "{{file}}")],
            ),
        ),
    ),
    (
        "Processes",
        (
            (
                "CPU",
                "short",
                [(_rate("process_cpu_seconds_total", _OF_JOB, "instance"), "{{instance}}")],
            ),
            (
                "Memory",
                "bytes",
                [
                    (
                        f"sum by (instance) (process_resident_memory_bytes{{{_OF_JOB}}})",
                        "{{instance}}",
                    )
                ],
            ),
            ("Delay of event loops", "s", _quantiles("gateway_loop_lag_seconds", _OF_JOB)),
            (
                "Restarts and losses, in an hour",
                "short",
                [
                    (f"sum(increase(gateway_worker_restarts_total{{{_OF_JOB}}}[1h]))", "workers"),
                    (f"sum(increase(gateway_log_lost_total{{{_OF_JOB}}}[1h]))", "lines of the log"),
                    (f"sum(increase(gateway_traces_lost_total{{{_OF_JOB}}}[1h]))", "traces"),
                ],
            ),
            (
                "Versions",
                "short",
                [(f"sum by (version) (gateway_build_info{{{_OF_JOB}}})", "{{version}}")],
            ),
        ),
    ),
)


def queries() -> Iterator[str]:
    """Every query of the panels."""
    for _, panels in ROWS:
        for _, _, asked in panels:
            yield from (query for query, _ in asked)


def dashboard() -> dict[str, Any]:
    """The dashboard, as Grafana imports it."""
    return {
        "uid": "grpc-rest-gateway",
        "title": "gRPC-REST gateway",
        "tags": ["gateway"],
        "schemaVersion": _SCHEMA,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": _variables()},
        "panels": list(_panels()),
    }


def _variables() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "data source"}
    ]
    for name, metric, label in (
        ("job", "gateway_build_info", "job"),
        ("route", f"{_REQUESTS}_count{{{_OF_JOB}}}", "http_route"),
        ("upstream", f"gateway_upstream_endpoints{{{_OF_JOB}}}", "gateway_upstream"),
    ):
        query = f"label_values({metric}, {label})"
        found.append(
            {
                "name": name,
                "type": "query",
                "datasource": _SOURCE,
                "query": {"query": query, "refId": name},
                "definition": query,
                "refresh": 2,
                "sort": 1,
                "multi": True,
                "includeAll": True,
                # Also requests without a route, which have no such label.
                "allValue": ".*",
                "current": {"text": ["All"], "value": ["$__all"]},
            }
        )
    return found


def _panels() -> Iterator[dict[str, Any]]:
    y = number = 0
    for row, panels in ROWS:
        number += 1
        place = {"x": 0, "y": y, "w": _COLUMNS, "h": 1}
        yield {"id": number, "type": "row", "title": row, "gridPos": place, "panels": []}
        y += 1
        in_a_line = 2 if len(panels) in (2, 4) else 3
        width = _COLUMNS // in_a_line
        for index, (title, unit, asked) in enumerate(panels):
            number += 1
            line, column = divmod(index, in_a_line)
            place = {"x": column * width, "y": y + line * _HEIGHT, "w": width, "h": _HEIGHT}
            yield _panel(number, title, unit, asked) | {"gridPos": place}
        y += -(-len(panels) // in_a_line) * _HEIGHT


def _panel(number: int, title: str, unit: str, asked: Sequence[Query]) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}},
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": _SOURCE, "expr": expr, "legendFormat": name}
            for at, (expr, name) in enumerate(asked)
        ],
    }


def text() -> str:
    """The text of the file."""
    return json.dumps(dashboard(), indent=2) + "\n"


def main() -> int:
    """Writes the dashboard, or checks it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only check that it is up to date")
    if parser.parse_args().check:
        if FILE.read_text() != text():
            print(f"{FILE} is not up to date: run python -m tools.dashboard", file=sys.stderr)
            return 1
        return 0
    FILE.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())

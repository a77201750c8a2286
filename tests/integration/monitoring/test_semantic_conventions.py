"""Names of metrics, spans and log lines, compared with OpenTelemetry's own registry.

Names that begin with `gateway.` are the gateway's own, and those with `grpc.` are gRPC's.
"""

import json
from array import array
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.semconv.schemas import Schemas

from gateway.config.metrics import Histograms, MetricsOptions
from gateway.telemetry.metrics.definitions import METRICS, metrics_of
from gateway.telemetry.metrics.metric import Metric
from gateway.telemetry.metrics.otlp import export_request
from gateway.telemetry.traces.spans import SCHEMA_URL
from tests.support.collector import attributes, collector
from tests.support.http import connected, echo_gateway
from tests.support.semantic_conventions import registry

NUMBERS = {
    "http.response.status_code",
    "http.request.body.size",
    "http.response.body.size",
    "process.pid",
    "server.port",
}
"""The attributes whose type is int in the registry, whose package states no types."""
INSTRUMENTS = {
    ("sum", True): "counter",
    ("sum", False): "updowncounter",
    ("gauge", False): "gauge",
    ("histogram", False): "histogram",
    ("exponential_histogram", False): "histogram",
}
OWN = ("gateway.", "grpc.")
OF_GRPC = {"previous-rpc-attempts", "transparent-retry"}
"""The attributes of gRFC A45."""
OF_METRICS = {
    *("by", "direction", "event", "file", "hash", "kind", "operation", "outcome", "reason"),
    *("result", "rule", "split", "state", "store", "which", "why"),
}
"""The labels of the gateway's own metrics: they stand for nothing outside of these."""
OF_THE_LOG = {
    *("timestamp", "severity_text", "scope.name", "event.name", "body"),
    *("trace_id", "span_id", "trace_flags"),
    "http.server.request.duration",
}
"""The fields of a log record in OpenTelemetry's data model, and a metric as a field."""


def faults(found: dict[str, Any], *known: str) -> list[str]:
    """The names that the registry does not have, or no longer, and values of another type."""
    wrong = []
    for name, value in found.items():
        if name.startswith(OWN) or name in known:
            continue
        one = registry().get(name)
        if one is None or one.is_deprecated:
            wrong.append(f"{name} is {'deprecated' if one else 'unknown'}")
        elif type(value) is not (int if name in NUMBERS else str):
            wrong.append(f"{name} is a {type(value).__name__}")
    return wrong


def exported(options: MetricsOptions) -> list[Any]:
    """A metric of each definition, as a collector decodes it."""

    def child(metric: Metric) -> dict[str, "array[float]"]:
        values = ["200" if "status_code" in label else "a" for label in metric.labels]
        cells = array("d", [1.0, 2.0, *[0.0] * (metric.slots - 2)])
        return {json.dumps(values): cells}

    found = {metric: child(metric) for metric in metrics_of(options).values()}
    request = ExportMetricsServiceRequest.FromString(export_request({}, "1", found, 2.0))
    return list(request.resource_metrics[0].scope_metrics[0].metrics)


def points(metric: Any) -> Any:
    """The points of a decoded metric of any kind."""
    return getattr(metric, metric.WhichOneof("data")).data_points


def test_the_registry_knows_what_is_old() -> None:
    assert registry()["rpc.system"].is_deprecated
    assert not registry()["rpc.system.name"].is_deprecated
    duration = registry()["http.server.request.duration"]
    assert (duration.instrument, duration.unit) == ("histogram", "s")
    assert faults({"rpc.service": "a", "nonsense": 1, "server.port": "1"}) == [
        "rpc.service is deprecated",
        "nonsense is unknown",
        "server.port is a str",
    ]


def test_the_version_of_the_conventions_is_one_that_exists() -> None:
    assert SCHEMA_URL in {one.value for one in Schemas}


@pytest.mark.parametrize("form", Histograms)
def test_metrics_have_the_names_units_and_kinds_of_the_registry(form: Histograms) -> None:
    wrong = []
    for one in exported(MetricsOptions(otlp_histograms=form)):
        data = one.WhichOneof("data")
        kind = INSTRUMENTS[data, data == "sum" and one.sum.is_monotonic]
        if not one.name.startswith(OWN):
            known = registry()[one.name]
            assert not known.is_deprecated
            assert (kind, one.unit) == (known.instrument, known.unit), one.name
        (point,) = points(one)
        wrong += faults(attributes(point), *OF_METRICS)
    assert wrong == []


def test_names_of_grpc_have_their_dots() -> None:
    names = {one.name: one.unit for one in exported(MetricsOptions())}
    assert len(names) == len(METRICS)
    assert [name for name in names if "." not in name] == []
    assert [name for name in names if name.startswith(("grpc_", "grpc.client_"))] == []
    assert names["grpc.client.attempt.sent_total_compressed_message_size"] == "By"
    assert names["grpc.client.attempt.started"] == "{attempt}"
    assert names["grpc.lb.outlier_detection.ejections_enforced"] == "{ejection}"
    assert names["grpc.subchannel.open_connections"] == "{connection}"


async def test_spans_and_log_lines_have_the_names_of_the_registry(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    settings: dict[str, Any] = {
        "log": {"access": str(log), "events": str(log), "headers": ["accept"]},
    }
    with collector() as received:
        tracing = {"otlp": received.url, "ratio": 1}
        async with (
            echo_gateway(tracing=tracing, **settings) as gateway,
            connected(gateway) as client,
        ):
            await client.get("/v1/echo/a?x=1", "User-Agent: me", "Accept: */*")
            await client.get("/v1/echo:fail?code=13")
            await client.get("/v1/echo/a:repeat?count=2")
            await client.send("PROPFIND /v1/echo/a HTTP/1.1\r\nHost: a.example:8080\r\n\r\n")
            assert (await client.answer()).status in (404, 405, 501)
    wrong = []
    for span in received.spans:
        wrong += faults(attributes(span), *OF_GRPC)
    (resource, *_) = received.requests[0].resource_spans
    wrong += faults(attributes(resource.resource))
    assert resource.scope_spans[0].schema_url == SCHEMA_URL
    assert len(received.spans) >= 6
    assert "http.request.method_original" in str(received.spans)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) >= 4
    for line in lines:
        wrong += faults(line, "http.request.header.accept", *OF_THE_LOG)
    assert wrong == []

"""Metrics that are sent to a real HTTP server, which decodes them with OpenTelemetry's classes."""

import asyncio
import logging
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric

from tests.integration.process.test_drain import answered, served
from tests.support.collector import Collector, attributes, collector
from tests.support.http import connected, echo_gateway
from tests.support.polling import first, until
from tests.support.redis_server import free_port

SOON = {"otlp_every_s": 0.1}
DURATION = "http.server.request.duration"


def exported(of: Collector) -> dict[str, Metric]:
    """The metrics of the last export, by name."""
    if not of.exports:
        return {}
    (resource,) = of.exports[-1].resource_metrics
    (scope,) = resource.scope_metrics
    assert scope.scope.name == "gateway"
    return {one.name: one for one in scope.metrics}


def requests_of(of: Collector) -> int:
    """The number of requests in the last export."""
    metric = exported(of).get(DURATION)
    return 0 if metric is None else sum(one.count for one in metric.histogram.data_points)


async def test_counters_gauges_and_histograms_arrive_with_opentelemetrys_names() -> None:
    trace = f"traceparent: 00-{'a1' * 16}-{'b2' * 8}-01"
    with collector() as receiver:
        settings = {**SOON, "otlp": receiver.url, "otlp_headers": {"api-key": "k"}}
        tracing = {"service_name": "edge", "resource": {"deployment.environment.name": "test"}}
        async with (
            echo_gateway(metrics=settings, tracing=tracing) as gateway,
            connected(gateway) as client,
        ):
            before_s = time.time()
            assert (await client.get("/v1/echo/a", trace)).status == 200
            assert (await client.get("/v1/echo/a?nonsense=1")).status == 400
            await until(lambda: requests_of(receiver) == 2)
        found = exported(receiver)
    assert set(receiver.paths) == {"/v1/metrics"}
    sent = receiver.headers[0]
    assert (sent["content-type"], sent["api-key"]) == ("application/x-protobuf", "k")
    about = attributes(receiver.exports[-1].resource_metrics[0].resource)
    assert about["service.name"] == "edge"
    assert about["deployment.environment.name"] == "test"

    metric = found[DURATION]
    assert (metric.unit, metric.description[:9]) == ("s", "Time from")
    assert metric.histogram.aggregation_temporality == (
        AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    )
    points: dict[Any, Any] = {
        attributes(one)["http.response.status_code"]: one for one in metric.histogram.data_points
    }
    assert attributes(points[200]) == {
        "http.route": "/v1/echo/{text}",
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "network.protocol.version": "1.1",
    }
    point = points[200]
    assert sum(point.bucket_counts) == point.count == 1
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1 == 17
    assert 0 < point.sum < 10
    assert before_s - 60 < point.start_time_unix_nano / 1e9 <= point.time_unix_nano / 1e9
    ((exemplar),) = point.exemplars
    assert (exemplar.trace_id.hex(), exemplar.span_id.hex()) == ("a1" * 16, "b2" * 8)

    cpu = found["process.cpu.time"]
    assert cpu.sum.is_monotonic
    assert cpu.sum.data_points[0].as_double > 0
    assert not found["gateway.connections"].sum.is_monotonic
    assert found["gateway.connections"].WhichOneof("data") == "sum"
    assert found["gateway.config_generation"].gauge.data_points[0].as_double == 1
    call = found["rpc.client.call.duration"].histogram.data_points[0]
    assert attributes(call)["gateway.upstream"] == "echo"


async def test_histograms_can_be_exponential() -> None:
    with collector() as receiver:
        settings = {"otlp": receiver.url, "otlp_histograms": "exponential"}
        async with echo_gateway(metrics=settings) as gateway, connected(gateway) as client:
            for _ in range(3):
                assert (await client.get("/v1/echo/a")).status == 200
        found = exported(receiver)  # the last export, at the end
    cumulative = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    for name in (DURATION, "rpc.client.call.duration", "http.server.response.body.size"):
        histogram = found[name].exponential_histogram
        assert histogram.aggregation_temporality == cumulative
        (point,) = histogram.data_points
        assert point.count == point.zero_count + sum(point.positive.bucket_counts) == 3
        assert point.sum > 0
    assert attributes(point)["http.route"] == "/v1/echo/{text}"


async def test_what_is_sent_can_be_plain_and_is_sent_again_and_a_last_time() -> None:
    with collector() as receiver:
        receiver.answers += [(503, {}), (429, {"retry-after": "1"})]
        settings = {"otlp": receiver.url, "otlp_every_s": 6, "otlp_compression": "none"}
        async with echo_gateway(metrics=settings) as gateway, connected(gateway) as client:
            await client.get("/v1/echo/a")
            await until(lambda: requests_of(receiver) == 1, within_s=20)
            assert "content-encoding" not in receiver.headers[-1]
            assert len(receiver.paths) == 3
            await client.get("/v1/echo/a")
        assert requests_of(receiver) == 2


async def test_a_collector_that_is_down_or_silent_costs_requests_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "gateway"), collector(held=True) as silent:
        for url in (f"http://127.0.0.1:{free_port()}", silent.url):
            settings = {**SOON, "otlp": url, "otlp_timeout_s": 0.3}
            caplog.clear()
            async with echo_gateway(metrics=settings) as gateway, connected(gateway) as client:
                ended_s = time.monotonic() + 1
                while time.monotonic() < ended_s:
                    asked_s = time.monotonic()
                    assert (await client.get("/v1/echo/a")).status == 200
                    assert time.monotonic() - asked_s < 0.25
                    await asyncio.sleep(0.01)
                await until(lambda: "the metrics were not exported" in caplog.text)
            assert caplog.text.count("the metrics were not exported") == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
async def test_the_supervisor_sends_the_sum_of_all_workers(tmp_path: Path) -> None:
    with collector() as receiver:
        settings = {"METRICS__OTLP": receiver.url, "METRICS__OTLP_EVERY_S": 0.2}
        async with (
            served(tmp_path, 2, settings=settings) as gateway,
            AsyncExitStack() as stack,
        ):
            for _ in range(12):
                await answered(await gateway.connect(stack), "/v1/echo/a")
            await first(
                lambda: asyncio.to_thread(requests_of, receiver),
                lambda count: count == 12,
                within_s=20,
            )
    instances = {
        attributes(one.resource_metrics[0].resource)["service.instance.id"]
        for one in receiver.exports
    }
    assert len(instances) == 1

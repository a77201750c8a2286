"""`GET /metrics` of a running gateway, as Prometheus reads it."""

import asyncio
import gzip
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from gateway.exchange.endpoints import EndpointRegistry
from services import echo
from services.serving import serve
from tests.integration.monitoring.test_alerts_and_dashboard import samples as samples_of_all_metrics
from tests.support.http import RawClient, connected, echo_gateway
from tests.support.polling import first

Values = dict[str, list[tuple[dict[str, str], float]]]
PUBLIC = {"public": True}


async def scraped(client: RawClient, *headers: str) -> Values:
    """The samples by name: their labels and values."""
    answer = await client.get("/metrics", *headers)
    assert answer.status == 200
    found: Values = {}
    for family in text_families(answer.body.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


async def scraped_until(client: RawClient, is_there: Callable[[Values], bool]) -> Values:
    """The samples of the first scrape of which this is true: a text may be sent twice."""
    return await first(lambda: scraped(client), is_there, within_s=20)


async def test_a_request_and_its_call_are_counted() -> None:
    async with echo_gateway(metrics=PUBLIC) as gateway, connected(gateway) as client:
        assert (await client.get("/v1/echo/hello")).status == 200
        assert (await client.get("/v1/echo/hello?nonsense=1")).status == 400
        assert (await client.get("/nowhere/secret")).status == 404
        found = await scraped(client)
    counts = {
        (labels.get("http_route", ""), labels["http_response_status_code"]): value
        for labels, value in found["http_server_request_duration_seconds_count"]
    }
    assert counts == {("/v1/echo/{text}", "200"): 1, ("/v1/echo/{text}", "400"): 1, ("", "404"): 1}
    ((labels, calls),) = found["rpc_client_call_duration_seconds_count"]
    assert calls == 1
    assert labels == {
        "rpc_system_name": "grpc",
        "rpc_method": "echo.v1.EchoService/Echo",
        "gateway_upstream": "echo",
        "rpc_response_status_code": "OK",
    }
    assert "secret" not in str(found)
    ((_, connections),) = found["gateway_connections"]
    assert connections >= 0
    assert found["process_resident_memory_bytes"][0][1] > 1e6


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
async def test_prometheus_finds_nothing_to_complain_of(accept: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool: apt-get install prometheus")
    named = {"service_name": "edge", "resource": {"deployment.environment": 'a"b', "1": "c"}}
    async with (
        echo_gateway(metrics=PUBLIC, tracing=named) as gateway,
        connected(gateway) as client,
    ):
        assert (await client.get("/v1/echo/hello")).status == 200
        text = (await client.get("/metrics", f"Accept: {accept}")).body
    families = open_families if accept.startswith("application") else text_families
    assert [one.name for one in families(text.decode()) if not one.documentation] == []
    known = samples_of_all_metrics()
    seen = [one for family in families(text.decode()) for one in family.samples]
    plain = [one for one in seen if not one.name.endswith(("_created", "target_info"))]
    assert [one for one in plain if set(one.labels) - known[one.name]] == []
    (target,) = [one for one in families(text.decode()) if one.name.startswith("target")]
    labels = target.samples[0].labels
    assert labels.pop("service_version")
    assert labels == {"service_name": "edge", "deployment_environment": 'a"b', "key_1": "c"}
    if families is text_families:
        done = await asyncio.to_thread(
            subprocess.run, [promtool, "check", "metrics"], input=text, capture_output=True
        )
        assert (done.returncode, done.stderr) == (0, b"")


async def test_requests_are_counted_by_the_version_of_http() -> None:
    async with echo_gateway(metrics=PUBLIC) as gateway, connected(gateway) as client:
        for version in ("1.0", "1.1"):
            await client.send(
                f"GET /v1/echo/a HTTP/{version}\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
            )
            assert (await client.answer()).status == 200
        async with connected(gateway) as other:
            await other.send("GET /v1/echo/a HTTP/3.0\r\nHost: a\r\n\r\n")
            assert (await other.answer()).status == 505
        found = await scraped(client)
    counts = {
        (labels["http_response_status_code"], labels.get("network_protocol_version")): value
        for labels, value in found["http_server_request_duration_seconds_count"]
    }
    assert counts == {("200", "1.0"): 1, ("200", "1.1"): 1, ("505", None): 1}


async def test_a_stream_is_counted_when_it_ends() -> None:
    async with echo_gateway(metrics=PUBLIC) as gateway, connected(gateway) as client:
        assert (await client.get("/v1/echo/hello:repeat?count=2")).status == 200
        found = await scraped(client)
    ((labels, calls),) = found["rpc_client_call_duration_seconds_count"]
    assert (labels["rpc_response_status_code"], calls) == ("OK", 1)
    ((_, requests),) = found["http_server_request_duration_seconds_count"]
    assert requests == 1


async def test_a_refusal_is_counted_with_its_rule_and_no_call() -> None:
    filters = [{"name": "wanted", "require_headers": {"X-Wanted": "*"}, "paths": ["/v1/**"]}]
    policies = [{"selector": "echo.v1.*", "rate_limits": [{"limit": 1, "window_s": 60}]}]
    async with (
        echo_gateway(metrics=PUBLIC, filters=filters, policies=policies) as gateway,
        connected(gateway) as client,
    ):
        await client.get("/v1/echo/hello")
        for _ in range(4):
            await client.get("/v1/echo/hello", "X-Wanted: yes")
        found = await scraped(client)
    assert found["gateway_filter_refused_total"] == [({"rule": "wanted"}, 1)]
    ((_, limited),) = found["gateway_rate_limited_total"]
    assert limited == 3
    # The audit trail has the first refusal of each kind, and not one line for each.
    assert found["gateway_audit_events_total"] == [({"event": "policy.refused"}, 2)]
    ((_, calls),) = found["rpc_client_call_duration_seconds_count"]
    assert calls == 1


async def test_a_scrape_is_neither_counted_nor_logged(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    async with (
        echo_gateway(metrics=PUBLIC, log={"access": str(log)}) as gateway,
        connected(gateway) as client,
    ):
        await scraped(client)
        await client.get("/v1/echo/hello")
        name = "http_server_request_duration_seconds_count"
        found = await scraped_until(client, lambda found: name in found)
    assert len(found[name]) == 1
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [one["url.path"] for one in lines if "url.path" in one] == ["/v1/echo/hello"]


async def test_openmetrics_is_sent_to_those_who_prefer_it() -> None:
    async with echo_gateway(metrics=PUBLIC) as gateway, connected(gateway) as client:
        trace = f"traceparent: 00-{'a1' * 16}-{'b2' * 8}-01"
        await client.get("/v1/echo/hello", trace)
        answer = await client.get(
            "/metrics", "Accept: application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1"
        )
    assert str(answer.header("Content-Type")).startswith("application/openmetrics-text")
    exemplars = [
        sample.exemplar
        for family in open_families(answer.body.decode())
        for sample in family.samples
        if sample.exemplar is not None
    ]
    assert [one.labels["trace_id"] for one in exemplars] == ["a1" * 16]


async def test_nothing_is_served_unless_it_is_public() -> None:
    async with echo_gateway() as gateway, connected(gateway) as client:
        assert (await client.get("/metrics")).status == 404
        assert gateway.exposition is not None
        assert b"gateway_build_info{" in gateway.exposition.text()[1]


async def test_lines_that_the_log_lost_are_counted(tmp_path: Path) -> None:
    log = {"access": "/dev/full", "events": "off"}
    async with echo_gateway(metrics=PUBLIC, log=log) as gateway, connected(gateway) as client:
        await client.get("/v1/echo/hello")
        await scraped_until(client, lambda found: found["gateway_log_lost_total"] != [({}, 0)])


async def test_endpoints_are_counted_by_state() -> None:
    async with serve(echo.register) as address:
        targets = [{"address": one} for one in (address, "127.0.0.1:1", "127.0.0.1:2")]
        upstreams = {"echo": {"targets": targets}}
        async with (
            echo_gateway(metrics=PUBLIC, upstreams=upstreams) as gateway,
            connected(gateway) as client,
        ):
            assert (await client.get("/v1/echo/hello")).status == 200
            expected = {"ready": 1.0, "failing": 2.0, "idle": 0.0}

            def is_there(found: Values) -> bool:
                counted = found["gateway_upstream_endpoints"]
                assert {labels["gateway_upstream"] for labels, _ in counted} == {"echo"}
                states = {labels["state"]: count for labels, count in counted}
                return {state: states.get(state) for state in expected} == expected

            await scraped_until(client, is_there)


async def test_metrics_can_be_off() -> None:
    off = {"enabled": False, "public": True}
    async with echo_gateway(metrics=off) as gateway, connected(gateway) as client:
        assert (await client.get("/v1/echo/hello")).status == 200
        assert (await client.get("/metrics")).status == 404
        assert gateway.exposition is None


async def test_an_endpoint_of_another_listener_can_show_them() -> None:
    from gateway.endpoints.metrics import PATH, metrics_endpoint
    from tests.support.site import make_request

    async with echo_gateway() as gateway, connected(gateway) as client:
        await client.get("/v1/echo/hello")
        assert gateway.exposition is not None
        registry = EndpointRegistry({PATH: {"GET": metrics_endpoint(lambda: gateway.exposition)}})
        response = await registry.answer(make_request(PATH))
        compressed = [
            await registry.answer(make_request(PATH, Accept_Encoding=accepted, Accept=accept))
            for accepted in ("gzip", "gzip;q=0, br")
            for accept in ("text/plain", "application/openmetrics-text")
        ]
    assert b"http_server_request_duration_seconds_count{" in response.body
    assert ("Content-Encoding", "gzip") not in response.headers
    for one, is_gzipped in zip(compressed, [True, True, False, False], strict=True):
        assert (("Content-Encoding", "gzip") in one.headers) is is_gzipped
        assert ("Vary", "Accept, Accept-Encoding") in one.headers
        text = gzip.decompress(one.body) if is_gzipped else one.body
        assert b"http_server_request_duration_seconds_count{" in text
    assert len(compressed[0].body) < len(compressed[2].body) / 4

"""Traces of a running gateway: what back ends receive, and what a collector decodes."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import SpanContext, get_current_span
from websockets.asyncio.client import connect

from gateway.call import Call, Handler, Reply
from gateway.config.log import LogOptions
from gateway.telemetry.logs.opening import open_logs
from tests.support.collector import attributes, collector
from tests.support.http import RawClient, connected, echo_gateway
from tests.support.polling import first

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = f"traceparent: 00-{TRACE}-{SPAN}-01"
UNSAMPLED = f"traceparent: 00-{TRACE}-{SPAN}-00"


async def sent(client: RawClient, *headers: str) -> dict[str, Any]:
    """The metadata that the back end received."""
    found: dict[str, list[str]] = {}
    for entry in (await client.get("/v1/echo/a", *headers)).json()["metadata"]:
        found.setdefault(entry["name"], []).append(entry.get("value", ""))
    return found


async def test_without_a_collector_nothing_is_added_or_changed() -> None:
    async with echo_gateway() as gateway, connected(gateway) as client:
        assert "traceparent" not in await sent(client)
        metadata = await sent(client, SAMPLED, "tracestate: a=1", "tracestate: b=2")
    assert metadata["traceparent"] == [f"00-{TRACE}-{SPAN}-01"]
    assert metadata["tracestate"] == ["a=1", "b=2"]


BAGGAGE = "Baggage: user=mallory,tenant = a%20b ;p=1, plan=gold"


@pytest.mark.parametrize(
    ("keys", "proxies", "expected"),
    [
        ([], [], None),
        (["tenant", "none"], [], ["tenant = a%20b ;p=1"]),
        (["tenant", "plan"], [], ["tenant = a%20b ;p=1,plan=gold"]),
        (["none"], [], None),
        ([], ["127.0.0.0/8"], ["user=mallory,tenant = a%20b ;p=1, plan=gold"]),
    ],
)
async def test_only_wanted_members_of_baggage_reach_back_ends(
    keys: list[str], proxies: list[str], expected: list[str] | None
) -> None:
    settings: dict[str, Any] = {
        "tracing": {"baggage": keys},
        "forwarded": {"trusted_proxies": proxies},
    }
    async with echo_gateway(**settings) as gateway, connected(gateway) as client:
        for more in ((), ('If-None-Match: "a"',), ()):  # encoded at once, and decoded before
            assert (await sent(client, BAGGAGE, *more)).get("baggage") == expected


@pytest.mark.parametrize("proxies", [[], ["127.0.0.0/8"]], ids=["client", "trusted proxy"])
@pytest.mark.parametrize(
    ("states", "expected"),
    [
        pytest.param(["a=1,b=2"], "a=1,b=2", id="one line"),
        pytest.param(["a=1", "b=2"], "a=1,b=2", id="two lines"),
        pytest.param(["a=1\t,\t b=2"], "a=1 ,  b=2", id="tabs, which metadata cannot have"),
    ],
)
async def test_a_valid_trace_is_continued_with_the_span_of_the_call_as_parent(
    proxies: list[str], states: list[str], expected: str
) -> None:
    with collector() as received:
        settings = {"otlp": received.url, "ratio": 1}
        forwarded = {"trusted_proxies": proxies}
        async with (
            echo_gateway(tracing=settings, forwarded=forwarded) as gateway,
            connected(gateway) as client,
        ):
            metadata = await sent(client, SAMPLED, *[f"tracestate: {one}" for one in states])
    call = received.named("echo.v1.EchoService/Echo")
    assert metadata["traceparent"] == [f"00-{TRACE}-{call.span_id.hex()}-01"]
    assert metadata["tracestate"] == [expected]
    server = received.named("GET /v1/echo/{text}")
    assert (server.trace_id.hex(), server.parent_span_id.hex()) == (TRACE, SPAN)
    assert (call.trace_id, call.parent_span_id) == (server.trace_id, server.span_id)
    assert server.trace_state == expected
    assert server.start_time_unix_nano <= call.start_time_unix_nano
    assert call.end_time_unix_nano <= server.end_time_unix_nano + 1_000_000


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="none"),
        pytest.param(["traceparent: 00-1-2-01"], id="malformed"),
        pytest.param([f"traceparent: ff-{TRACE}-{SPAN}-01"], id="version ff"),
        pytest.param([SAMPLED, SAMPLED], id="two lines"),
        pytest.param([f"traceparent: 00-{TRACE}-{'0' * 16}-01"], id="zeros"),
    ],
)
async def test_otherwise_a_new_trace_begins_without_the_state(headers: list[str]) -> None:
    with collector() as received:
        settings = {"otlp": received.url, "ratio": 0, "keep": []}
        async with echo_gateway(tracing=settings) as gateway, connected(gateway) as client:
            one = await sent(client, *headers, "tracestate: a=1")
            other = await sent(client, *headers, "tracestate: a=1")
    assert received.spans == []
    (first,), (second,) = one["traceparent"], other["traceparent"]
    version, trace_id, span_id, flags = first.split("-")
    assert (version, flags) == ("00", "02")  # not sampled; the id is random
    assert len(trace_id) == 32
    assert trace_id != TRACE
    assert len(span_id) == 16
    assert first[:35] != second[:35]
    assert "tracestate" not in one


async def test_a_failed_request_is_kept_though_not_sampled() -> None:
    with collector() as received:
        settings = {"otlp": received.url, "ratio": 0, "keep": ["error"]}
        async with echo_gateway(tracing=settings) as gateway, connected(gateway) as client:
            assert (await client.get("/v1/echo:fail?code=13")).status == 500
            assert (await client.get("/v1/echo:fail?code=5")).status == 404
            assert (await client.get("/nowhere")).status == 404
    server, call = received.spans
    assert (server.name, call.name) == ("GET /v1/echo:fail", "echo.v1.EchoService/Fail")
    assert (server.status.code, call.status.code) == (2, 2)
    assert attributes(server)["error.type"] == "500"
    assert attributes(call)["error.type"] == "INTERNAL"


async def test_a_slow_call_is_kept_and_a_stream_is_never_slow() -> None:
    with collector() as received:
        settings = {"otlp": received.url, "ratio": 0, "slow_s": 1e-9}
        async with echo_gateway(tracing=settings) as gateway, connected(gateway) as client:
            await client.get("/v1/echo/a")
            await client.get("/v1/echo/a:repeat?count=2")
    names = [one.name for one in received.spans]
    assert names == ["GET /v1/echo/{text}", "echo.v1.EchoService/Echo"]


async def test_the_attributes_have_the_names_of_the_semantic_conventions() -> None:
    with collector() as received:
        settings = {
            "otlp": received.url,
            "ratio": 1,
            "headers": {"X-Api-Key": "its-secret"},
            "service_name": "edge",
            "resource": {"deployment.environment.name": "test"},
        }
        async with echo_gateway(tracing=settings) as gateway, connected(gateway) as client:
            key = f"gwk_{'a' * 49}"
            await client.get(f"/v1/echo/{key}?count=1", "User-Agent: me", "X-Request-Id: r1")
            await client.get("/nowhere")
    assert received.paths[0] == "/v1/traces"
    assert received.headers[0]["x-api-key"] == "its-secret"
    assert received.headers[0]["content-type"] == "application/x-protobuf"
    (resource, *_) = received.requests[0].resource_spans
    about = attributes(resource.resource)
    assert about["service.name"] == "edge"
    assert about["deployment.environment.name"] == "test"
    assert about["service.instance.id"]
    server = received.named("GET /v1/echo/{text}")
    found = attributes(server)
    assert found.pop("http.response.body.size")
    assert found == {
        "http.request.method": "GET",
        "http.route": "/v1/echo/{text}",
        "url.path": "/v1/echo/***",
        "url.query": "***=***",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "http.response.status_code": 400,
        "rpc.response.status_code": "INVALID_ARGUMENT",
        "http.request.body.size": 0,
        "server.address": "test",
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "user_agent.original": "me",
        "gateway.request.id": "r1",
    }
    assert (server.kind, server.status.code) == (2, 0), "4xx is no error of a server"
    assert received.named("GET").kind == 2
    assert "gwk_" not in str(received.requests)
    assert "its-secret" not in str(received.requests)


async def test_a_stream_has_the_span_of_its_whole_call() -> None:
    with collector() as received:
        settings = {"otlp": received.url, "ratio": 1}
        async with echo_gateway(tracing=settings) as gateway, connected(gateway) as client:
            assert (await client.get("/v1/echo/a:repeat?count=2")).status == 200
            assert (await client.get("/v1/echo/a")).status == 200
    server = received.named("GET /v1/echo/{text}:repeat")
    (event,) = server.events
    assert event.name == "first_byte"
    assert server.start_time_unix_nano < event.time_unix_nano <= server.end_time_unix_nano
    assert not received.named("GET /v1/echo/{text}").events, "its last byte comes with its first"
    call = [one for one in received.spans if one.kind == 3 and one.name.endswith("Repeat")]
    assert [attributes(one)["rpc.response.status_code"] for one in call] == ["OK"]
    assert attributes(call[0])["gateway.upstream"] == "echo"


async def test_a_websocket_has_the_span_of_its_whole_call() -> None:
    with collector() as received:
        async with echo_gateway(tracing={"otlp": received.url, "ratio": 1}) as gateway:
            url = f"ws://{gateway.address}/v1/echo/a:repeat?count=2"
            async with asyncio.timeout(20), connect(url, proxy=None) as client:
                assert len([one async for one in client]) >= 2
    (call,) = [one for one in received.spans if one.kind == 3]
    assert call.name.endswith("Repeat")
    assert attributes(call)["rpc.response.status_code"] == "OK"
    server = received.named("GET /v1/echo/{text}:repeat")
    assert call.parent_span_id == server.span_id
    assert server.start_time_unix_nano <= call.end_time_unix_nano <= server.end_time_unix_nano


async def test_the_log_names_the_span_of_the_request(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with collector() as received:
        settings: dict[str, Any] = {
            "tracing": {"otlp": received.url, "ratio": 1},
            "log": {"access": str(log)},
        }
        async with echo_gateway(**settings) as gateway, connected(gateway) as client:
            await client.get("/v1/echo/a", UNSAMPLED)
    server = received.named("GET /v1/echo/{text}")
    (line,) = [one for one in map(json.loads, log.read_text().splitlines()) if "url.path" in one]
    assert (line["trace_id"], line["span_id"]) == (TRACE, server.span_id.hex())
    assert line["trace_flags"] == "01", "the ratio decides for a client that is not trusted"


@pytest.mark.parametrize(
    ("trust", "proxies", "flag", "ratio", "is_recorded"),
    [
        ("trusted", [], "01", 0, False),
        ("trusted", [], "00", 1, True),
        ("trusted", ["127.0.0.0/8"], "01", 0, True),
        ("trusted", ["127.0.0.0/8"], "00", 1, False),
        ("all", [], "01", 0, True),
        ("all", [], "00", 1, False),
        ("none", ["127.0.0.0/8"], "01", 0, False),
        ("none", ["127.0.0.0/8"], "00", 1, True),
    ],
)
async def test_the_flag_counts_from_those_who_are_trusted(
    trust: str, proxies: list[str], flag: str, ratio: int, *, is_recorded: bool
) -> None:
    with collector() as received:
        settings: dict[str, Any] = {
            "tracing": {"otlp": received.url, "ratio": ratio, "trust": trust, "keep": []},
            "forwarded": {"trusted_proxies": proxies},
        }
        async with echo_gateway(**settings) as gateway, connected(gateway) as client:
            metadata = await sent(client, f"traceparent: 00-{TRACE}-{SPAN}-{flag}")
    assert (received.spans != []) is is_recorded
    assert metadata["traceparent"][0][3:35] == TRACE
    assert metadata["traceparent"][0].endswith("-01" if is_recorded else "-00")


async def test_without_a_running_collector_the_loss_is_counted_and_said_once(
    tmp_path: Path,
) -> None:
    log = tmp_path / "events.log"
    settings: dict[str, Any] = {
        "tracing": {"otlp": "http://127.0.0.1:9", "ratio": 1},
        "log": {"access": "off", "events": str(log)},
    }
    async with open_logs(LogOptions.model_validate(settings["log"])) as logs:
        with logs.speaking_for_program():
            async with echo_gateway(**settings) as gateway, connected(gateway) as client:
                for _ in range(20):
                    assert (await client.get("/v1/echo/a")).status == 200
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    (line,) = [one for one in lines if one["event.name"] == "gateway.traces.lost"]
    assert line["gateway.requests"] == 20
    assert "the collector cannot be reached" in line["body"]


@pytest.mark.parametrize("compression", ["gzip", "none"])
async def test_spans_are_compressed_unless_the_settings_say_otherwise(compression: str) -> None:
    with collector() as received:
        settings = {"otlp": received.url, "ratio": 1, "compression": compression}
        async with echo_gateway(tracing=settings) as gateway, connected(gateway) as client:
            await sent(client)
        assert len(received.spans) == 2
        assert received.headers[0].get("content-encoding", "none") == compression


async def test_a_collector_that_is_silent_is_left_after_the_time_of_the_settings(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "gateway"), collector(held=True) as silent:
        settings = {"otlp": silent.url, "ratio": 1, "timeout_s": 0.2}
        async with echo_gateway(tracing=settings) as gateway, connected(gateway) as client:
            await sent(client)
        silent.held.set()
    assert "the collector did not respond within 0.2 s" in caplog.text


async def test_what_a_collector_refuses_is_counted_in_the_metrics() -> None:
    with collector() as received:
        received.answers += [(400, {})]
        settings = {"otlp": received.url, "ratio": 1}
        async with echo_gateway(tracing=settings) as gateway, connected(gateway) as client:
            for _ in range(256):  # a full batch, which is sent at once
                await client.get("/nowhere")
            exposition = gateway.exposition
            assert exposition is not None

            async def text() -> bytes:
                return exposition.text()[1]

            await first(text, lambda found: b"gateway_traces_lost_total 256" in found, within_s=20)
    assert received.spans == []


@pytest.mark.parametrize("flag", ["01", "00"], ids=["sampled", "not sampled"])
async def test_custom_interceptors_see_the_span_of_the_request(flag: str) -> None:
    seen: list[SpanContext] = []

    async def observe(call: Call, proceed: Handler) -> Reply:
        seen.append(get_current_span().get_span_context())
        return await proceed(call)

    with collector() as received:
        settings = {"otlp": received.url, "ratio": 1, "trust": "all"}
        async with (
            echo_gateway(observe, tracing=settings) as gateway,
            connected(gateway) as client,
        ):
            traceparent = f"traceparent: 00-{TRACE}-{SPAN}-{flag}"
            await sent(client, traceparent, "tracestate: a=1")
            await sent(client, traceparent)
    first_one, second = seen
    assert format(first_one.trace_id, "032x") == TRACE
    assert first_one.span_id not in {0, int(SPAN, 16), second.span_id}
    assert first_one.trace_flags.sampled is (flag == "01")
    assert first_one.trace_state.to_header() == "a=1"
    assert not first_one.is_remote
    if flag == "01":
        spans = {one.span_id.hex() for one in received.spans if one.name.startswith("GET ")}
        assert spans == {format(one.span_id, "016x") for one in seen}


async def test_without_traces_interceptors_see_no_span() -> None:
    seen: list[SpanContext] = []

    async def observe(call: Call, proceed: Handler) -> Reply:
        seen.append(get_current_span().get_span_context())
        return await proceed(call)

    async with echo_gateway(observe) as gateway, connected(gateway) as client:
        await sent(client, SAMPLED)
    assert [one.is_valid for one in seen] == [False]

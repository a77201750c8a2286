"""Metrics of refused credentials, WebSockets, upstreams, the schema and the process."""

import threading
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as text_families

from gateway import Call, Code, Config, Handler, Reply, StatusError, open_gateway
from gateway.app.gateway import Gateway
from gateway.schema.catalog import Schema
from gateway.schema.used_files import schema_hash
from services import echo
from services.serving import serve
from tests.integration.http.test_metrics_of_parts import of, shown
from tests.support.counting_backend import caching_gateway
from tests.support.http import connected, echo_gateway
from tests.support.redis_server import free_port
from tests.support.streaming import open_stage
from tests.support.websocket import opened


async def test_refused_credentials_are_counted_by_kind_and_reason(tmp_path: Path) -> None:
    auth = {"store": f"sqlite:///{tmp_path}/keys.db", "anonymous": True}
    async with caching_gateway(tmp_path, auth=auth) as shop, connected(shop.gateway) as client:
        key = await shop.key_of("ada")
        assert (await shop.get("/v1/items/a", key)).status == 200
        assert of(shop.gateway, "gateway_auth_failures_total") == {}
        for header in ("X-API-Key: guessed", "X-API-Key: again", "Authorization: Basic YTpi"):
            assert (await client.get("/v1/items/a", header)).status == 401
        found = of(shop.gateway, "gateway_auth_failures_total")
        assert {kind: count for (_, kind), count in found.items()} == {"api_key": 2, "other": 1}
        assert all("guessed" not in reason and "YTpi" not in reason for reason, _ in found)


async def test_open_websockets_are_counted() -> None:
    async with open_stage() as stage:
        gateway = stage.gateway
        await shown(gateway, "gateway_websockets_open", {(): 0})
        async with opened(stage, "/v1/t/both"), opened(stage, "/v1/t/both"):
            await shown(gateway, "gateway_websockets_open", {(): 2})
        await shown(gateway, "gateway_websockets_open", {(): 0})


async def test_an_upstream_is_up_until_none_of_its_endpoints_takes_calls(tmp_path: Path) -> None:
    async with caching_gateway(tmp_path) as shop:
        assert (await shop.get("/v1/items/a")).status == 200
        await shown(shop.gateway, "gateway_upstream_up", {("shop",): 1})
    nobody: dict[str, Any] = {"target": f"127.0.0.1:{free_port()}"}
    async with caching_gateway(tmp_path, upstream=nobody) as shop:
        assert (await shop.get("/v1/items/a")).status == 503
        await shown(shop.gateway, "gateway_upstream_up", {("shop",): 0})


async def test_the_hash_of_the_schema_is_that_of_every_node_with_it(tmp_path: Path) -> None:
    async with echo_gateway() as one, echo_gateway() as other, caching_gateway(tmp_path) as shop:
        (found,), (same,), (another,) = (
            of(gateway, "gateway_schema_info") for gateway in (one, other, shop.gateway)
        )
        assert found == same != another


async def test_the_hash_of_a_schema_is_made_outside_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[int] = []

    def noted(schema: Schema) -> str:
        threads.append(threading.get_ident())
        return schema_hash(schema)

    monkeypatch.setattr("gateway.app.gateway.schema_hash", noted)
    async with echo_gateway() as gateway:
        await gateway.reload(gateway.config)
        await shown(gateway, "gateway_config_generation", {(): 2})
        assert len(of(gateway, "gateway_schema_info")) == 1
    assert len(threads) == 2
    assert threading.get_ident() not in threads


class Broken:
    """Fails, for callers that ask for it, before a back end is asked."""

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        asked = call.headers.get("X-Break")
        if asked is not None:
            raise StatusError(Code[asked], "broken")
        return await proceed(call)


async def test_failures_say_whether_the_gateway_or_a_back_end_is_to_blame() -> None:
    async with (
        serve(echo.register) as address,
        open_gateway(
            Config.model_validate(
                {
                    "listen": "127.0.0.1:0",
                    "modules": ["gen.echo.v1"],
                    "upstreams": {"echo": {"target": address}},
                    "log": {"access": "off"},
                }
            ),
            interceptors=[Broken()],
        ) as gateway,
        connected(gateway) as client,
    ):
        for target, header, status in (
            ("/v1/echo/a", "X-Break: INTERNAL", 500),
            ("/v1/echo/a:repeat?count=1", "X-Break: UNAVAILABLE", 503),
            ("/v1/echo/a", "X-Break: NOT_FOUND", 404),
            ("/v1/echo/a", "X-Fine: yes", 200),
            ("/v1/echo:fail?code=14", "X-Fine: yes", 503),
            ("/v1/echo:fail?code=5", "X-Fine: yes", 404),
            ("/v1/echo/a:repeat?code=13", "X-Fine: yes", 500),
            ("/v1/echo:sleep?duration=20s", "Grpc-Timeout: 100m", 504),
        ):
            assert (await client.get(target, header)).status == status, target
        counted: dict[tuple[str, str], float] = {}
        for family in text_families(_text(gateway)):
            for one in family.samples:
                if one.name == "http_server_request_duration_seconds_count":
                    labels = one.labels
                    key = labels["http_response_status_code"], labels.get("gateway_origin", "")
                    counted[key] = counted.get(key, 0) + one.value
    assert counted == {
        ("500", "gateway"): 1,
        ("503", "gateway"): 1,
        ("404", ""): 2,
        ("200", ""): 1,
        ("503", "upstream"): 1,
        ("500", "upstream"): 1,
        ("504", "upstream"): 1,
    }


async def test_a_back_end_that_is_not_there_is_to_blame() -> None:
    upstreams = {"echo": {"target": f"127.0.0.1:{free_port()}"}}
    async with echo_gateway(upstreams=upstreams) as gateway, connected(gateway) as client:
        for target in ("/v1/echo/a", "/v1/echo/a:repeat?count=1"):
            assert (await client.get(target)).status == 503
        assert 'gateway_origin="gateway"' not in _text(gateway)
        blamed = [
            line
            for line in _text(gateway).split("\n")
            if "request_duration_seconds_count" in line and 'gateway_origin="upstream"' in line
        ]
        assert len(blamed) == 2


def _text(gateway: Gateway) -> str:
    assert gateway.exposition is not None
    return gateway.exposition.text()[1].decode()


async def test_the_process_is_the_worker_that_it_is() -> None:
    async with echo_gateway() as gateway:
        assert of(gateway, "process_cpu_seconds_total").keys() == {("1",)}
        assert of(gateway, "process_resident_memory_bytes").keys() == {("1",)}

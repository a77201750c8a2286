"""A reload in the program that embeds the gateway, while clients hold real connections."""

import asyncio
import socket
from typing import Any

import pytest

from gateway import Config, open_gateway
from gateway.status import StartUpError
from services import echo
from services.serving import serve
from tests.support.http import connected
from tests.support.polling import until
from tests.support.redis_server import free_port


def settings(backend: str, **more: Any) -> Config:
    return Config.model_validate(
        {
            "listen": "127.0.0.1:0",
            "descriptors": ["gen/descriptors.binpb"],
            "services": ["echo.v1.*"],
            "upstreams": {"echo": {"target": backend}},
            "log": {"access": "off", "events": "off", "audit": "off"},
        }
        | more
    )


LIMITED = [{"selector": "echo.v1.EchoService.Echo", "rate_limits": [{"limit": 2, "window_s": 600}]}]


async def test_a_kept_connection_sees_the_new_settings() -> None:
    async with (
        serve(echo.register) as backend,
        open_gateway(settings(backend)) as gateway,
        connected(gateway) as client,
    ):
        assert (await client.get("/v1/echo/a")).status == 200
        report = await gateway.reload(settings(backend, cors={"origins": ["https://a.example"]}))
        assert (report.generation, report.changes, report.warnings) == (2, (), gateway.warnings)
        answer = await client.get("/v1/echo/a", "Origin: https://a.example")
        assert answer.header("Access-Control-Allow-Origin") == "https://a.example"
        await until(lambda: gateway.generations.count == 1)


async def test_counters_in_memory_go_on() -> None:
    async with (
        serve(echo.register) as backend,
        open_gateway(settings(backend, policies=LIMITED)) as gateway,
        connected(gateway) as client,
    ):
        assert (await client.get("/v1/echo/a")).status == 200
        await gateway.reload(settings(backend, policies=LIMITED, errors="status"))
        await until(lambda: gateway.generations.count == 1)
        await gateway.reload(settings(backend, policies=LIMITED))
        assert (await client.get("/v1/echo/a")).status == 200
        assert (await client.get("/v1/echo/a")).status == 429


async def test_what_cannot_be_used_changes_nothing() -> None:
    async with (
        serve(echo.register) as backend,
        open_gateway(settings(backend)) as gateway,
        connected(gateway) as client,
    ):
        for _ in range(20):
            with pytest.raises(StartUpError, match=r"/none\.binpb"):
                await gateway.reload(settings(backend, descriptors=["/none.binpb"]))
            assert (await client.get("/v1/echo/a")).status == 200
        assert (gateway.generations.current.number, gateway.generations.count) == (1, 1)


async def test_what_needs_a_restart_is_named() -> None:
    async with serve(echo.register) as backend, open_gateway(settings(backend)) as gateway:
        wanted = settings(backend, listen="127.0.0.1:1", metrics={"buckets": [1.0]})
        with pytest.raises(StartUpError, match=r"^metrics\.buckets: one process cannot"):
            await gateway.reload(wanted)
        assert gateway.config.listen == "127.0.0.1:0"


async def test_routes_that_differ_are_named() -> None:
    async with serve(echo.register) as backend, open_gateway(settings(backend)) as gateway:
        changed = await gateway.reload(settings(backend, policies=LIMITED))
        name = "echo.v1.EchoService.Echo"
        assert f"~ GET /v1/echo/{{text}}: {name} -> {name} (2/600s by principal)" in changed.changes
        assert str(changed).startswith("8 routes: 0 added, 0 removed, ")


async def test_the_address_moves_and_what_is_under_way_there_ends_well() -> None:
    port = free_port()
    async with (
        serve(echo.register) as backend,
        open_gateway(settings(backend)) as gateway,
        connected(gateway) as client,
    ):
        before = gateway.address
        assert (await client.get("/v1/echo/a")).status == 200
        asking = asyncio.ensure_future(client.get("/v1/echo:sleep?duration=1s"))
        await until(lambda: any(one.is_busy for one in gateway.listener.connections))
        wanted = settings(backend, listen=f"127.0.0.1:{port}")
        with socket.create_server(("127.0.0.1", port)):
            with pytest.raises(StartUpError, match="the port is taken"):
                await gateway.reload(wanted)
            assert gateway.address == before
        report = await gateway.reload(wanted)
        assert report.settings == (f"~ listen 127.0.0.1:0 -> 127.0.0.1:{port}",)
        assert gateway.address == f"127.0.0.1:{port}"
        async with connected(gateway) as moved:
            assert (await moved.get("/v1/echo/a")).status == 200
            assert gateway.listener.load()[0] >= 2
        slept = await asking
        assert (slept.status, dict(slept.headers)["Connection"]) == (200, "close")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*before.split(":"))
        await until(lambda: len(gateway.listener.listeners) == 1)
        await gateway.reload(settings(backend))
        assert (gateway.address != before, gateway.generations.current.number) == (True, 3)

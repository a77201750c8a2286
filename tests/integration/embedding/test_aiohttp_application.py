"""The gateway as a handler of routes in an aiohttp application, beside the application's own."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

import pytest
from aiohttp import ClientPayloadError, ClientSession, web

from gateway import Call, Config, GatewayHandler, Handler, Reply
from services import echo
from services.serving import serve
from tests.support.embedded import WAYS, embedded, need


async def own(request: web.Request) -> web.Response:
    return web.Response(text=f"own {request.path}")


@asynccontextmanager
async def own_application(**settings: object) -> AsyncIterator[web.Application]:
    async with serve(echo.register) as target:
        gateway = GatewayHandler(
            Config.model_validate(
                {
                    "modules": ["gen.echo.v1"],
                    "upstreams": {"echo": {"target": target}},
                    "log": {"access": "off"},
                    **settings,
                }
            )
        )
        app = web.Application()
        app.cleanup_ctx.append(gateway.run)
        app.router.add_get("/own", own)
        app.router.add_route("*", "/v1/{tail:.*}", gateway.handle)
        yield app


@asynccontextmanager
async def application(**settings: object) -> AsyncIterator[ClientSession]:
    async with own_application(**settings) as app:
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            async with ClientSession(f"http://127.0.0.1:{port}") as session:
                yield session
        finally:
            await runner.cleanup()


async def test_calls_are_answered_beside_other_routes() -> None:
    async with application() as session:
        async with session.get("/own") as response:
            assert await response.text() == "own /own"
        async with session.get("/v1/echo/a%2Fb?count=1") as response:
            assert response.status == 400
        async with session.get("/v1/echo/a%20b") as response:
            assert (response.status, (await response.json())["text"]) == (200, "a b")
            assert response.headers["X-Request-Id"]
            assert response.headers["Vary"]
        async with session.post("/v1/echo", json={"text": "x" * 100_000}) as response:
            assert (await response.json())["text"] == "x" * 100_000
        async with session.get("/v1/nothing") as response:
            assert response.status == 404
            assert (await response.json())["error"]["status"] == "NOT_FOUND"
        async with session.delete("/v1/echo/a") as response:
            assert response.status == 405
            assert "GET" in response.headers["Allow"]
        async with session.head("/v1/echo/a") as response:
            assert response.status == 405 or not await response.read()


async def test_bodies_are_limited_and_decompressed_once() -> None:
    async with application(limits={"body_bytes": 1000}) as session:
        packed = gzip.compress(json.dumps({"text": "a"}).encode())
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        async with session.post("/v1/echo", data=packed, headers=headers) as response:
            assert (response.status, (await response.json())["text"]) == (200, "a")
        packed = gzip.compress(b" " * 5000)
        async with session.post("/v1/echo", data=packed, headers=headers) as response:
            assert response.status == 413


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("*/*", "application/x-ndjson"), ("text/event-stream", "text/event-stream")],
)
async def test_a_stream_comes_message_by_message(accept: str, kind: str) -> None:
    async with (
        application() as session,
        session.get(
            "/v1/echo/a:repeat?count=3&interval=0.2s", headers={"Accept": accept}
        ) as response,
    ):
        assert response.headers["Content-Type"] == kind
        loop, times = asyncio.get_running_loop(), []
        async for line in response.content:
            times += [loop.time()] if b'"number"' in line else []
        assert len(times) == 3
        assert times[2] - times[0] > 0.2


async def test_a_silent_stream_has_heartbeats_and_a_broken_one_is_cut() -> None:
    async with application(streams={"heartbeat_s": 0.1}) as session:
        path = "/v1/echo/a:repeat?count=2&interval=0.5s"
        async with session.get(path, headers={"Accept": "text/event-stream"}) as response:
            assert b":\n\n" in await response.read()
        headers = {"Accept": "application/x-protobuf"}
        async with session.get("/v1/echo/a:repeat?count=1&code=15", headers=headers) as response:
            with pytest.raises((ClientPayloadError, ConnectionError)):
                await response.read()


async def test_a_handler_that_was_not_opened_says_what_to_do() -> None:
    gateway = GatewayHandler(Config())
    with pytest.raises(RuntimeError, match=r"app\.cleanup_ctx\.append\(gateway\.run\)"):
        await gateway.handle(None)  # type: ignore[arg-type]


if find_spec("pytest_aiohttp") is None:

    @pytest.fixture
    def aiohttp_client() -> None:
        need("pytest_aiohttp")


async def test_pytest_aiohttp_works_with_it(aiohttp_client: Any) -> None:
    async with own_application() as app:
        client = await aiohttp_client(app)
        async with client.get("/v1/echo/a") as response:
            assert (await response.json())["text"] == "a"
        async with client.ws_connect("/v1/echo/a:repeat?count=1") as socket:
            assert (await socket.receive_json())["text"] == "a"
            assert (await socket.receive_json())["@status"]["code"] == 0
        await client.close()


class Marking:
    """States in a header that a call has passed it."""

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        call.response_headers.append(("X-Marked", call.method.name))
        return await proceed(call)


@pytest.mark.parametrize("way", WAYS)
async def test_interceptors_are_used_by_name(way: str) -> None:
    named = [{"use": f"{__name__}:Marking", "selector": "echo.v1.EchoService.Echo"}]
    async with serve(echo.register) as target:
        config = Config.model_validate(
            {
                "modules": ["gen.echo.v1"],
                "upstreams": {"echo": {"target": target}},
                "log": {"access": "off"},
                "interceptors": named,
            }
        )
        async with (
            embedded(way, config) as address,
            ClientSession(f"http://{address}") as session,
            session.get("/v1/echo/a") as response,
        ):
            assert response.headers["X-Marked"] == "Echo"


async def test_heads_have_the_limits_of_the_settings() -> None:
    async with application(limits={"url_bytes": 100}) as session:
        async with session.get("/v1/echo/" + "a" * 200) as response:
            assert response.status == 414
        async with session.get("/v1/echo/a", headers={"Host": "a b"}) as response:
            assert response.status == 400

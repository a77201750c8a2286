"""The gateway as an ASGI application, under real servers and inside Starlette."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientPayloadError, ClientSession
from websockets.asyncio.client import connect

from gateway import Config, GatewayASGI
from services import echo
from services.serving import serve
from tests.support.embedded import (
    ASGI_SERVERS,
    asgi_server,
    embedded_stage,
    need,
    raw_connection,
    stage_config,
)
from tests.support.polling import still, until
from tests.support.stream_backend import stream_backend

each_server = pytest.mark.parametrize("server", ASGI_SERVERS)


@asynccontextmanager
async def echo_application(**settings: Any) -> AsyncIterator[GatewayASGI]:
    async with serve(echo.register) as target:
        defaults = {
            "modules": ["gen.echo.v1"],
            "upstreams": {"echo": {"target": target}},
            "log": {"access": "off"},
        }
        yield GatewayASGI(Config.model_validate(defaults | settings))


@asynccontextmanager
async def echo_session(server: str, **settings: Any) -> AsyncIterator[ClientSession]:
    async with (
        echo_application(**settings) as app,
        asgi_server(app, server) as address,
        ClientSession(f"http://{address}") as session,
    ):
        yield session


@each_server
async def test_calls_are_answered(server: str) -> None:
    async with echo_session(server) as session:
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
            assert response.status == 200
            assert not await response.read()


@each_server
async def test_bodies_are_limited_and_decompressed(server: str) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    async with echo_session(server, limits={"body_bytes": 1000}) as session:
        packed = gzip.compress(json.dumps({"text": "a"}).encode())
        async with session.post("/v1/echo", data=packed, headers=headers) as response:
            assert (response.status, (await response.json())["text"]) == (200, "a")
        for data, sent in [(gzip.compress(b" " * 5000), headers), (b" " * 2000, {})]:
            async with session.post("/v1/echo", data=data, headers=sent) as response:
                assert response.status == 413


@each_server
async def test_a_body_that_stops_is_not_waited_for(server: str) -> None:
    limits = {"body_timeout_s": 0.3}
    async with (
        echo_application(limits=limits) as app,
        asgi_server(app, server) as address,
        raw_connection(address) as client,
    ):
        await client.send("POST /v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{")
        assert (await client.answer()).status == 408


@each_server
async def test_a_stream_comes_message_by_message(server: str) -> None:
    async with (
        echo_session(server) as session,
        session.get("/v1/echo/a:repeat?count=3&interval=0.2s") as response,
    ):
        assert response.headers["Content-Type"] == "application/x-ndjson"
        loop, times = asyncio.get_running_loop(), []
        async for line in response.content:
            times += [loop.time()] if b'"number"' in line else []
        assert len(times) == 3
        assert times[2] - times[0] > 0.2


@each_server
async def test_messages_are_answered_while_the_body_goes_on(server: str) -> None:
    async with embedded_stage(server) as stage, stage.connected() as client:
        await client.send(
            "POST /v1/talk/both HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\n"
            'Transfer-Encoding: chunked\r\n\r\nd\r\n{"text":"a"}\n\r\n'
        )
        async with asyncio.timeout(10):
            assert b" 200 " in await client.reader.readuntil(b"\r\n\r\n")
            assert b'"a"' in await client.reader.readuntil(b'"a"')
            await client.send('d\r\n{"text":"b"}\n\r\n0\r\n\r\n')
            assert b'"b"' in await client.reader.readuntil(b"\r\n0\r\n\r\n")


@each_server
async def test_a_silent_stream_has_heartbeats_and_a_broken_one_is_cut(server: str) -> None:
    async with echo_session(server, streams={"heartbeat_s": 0.1}) as session:
        path = "/v1/echo/a:repeat?count=2&interval=0.5s"
        async with session.get(path, headers={"Accept": "text/event-stream"}) as response:
            assert b":\n\n" in await response.read()
        headers = {"Accept": "application/x-protobuf"}
        async with session.get("/v1/echo/a:repeat?count=1&code=15", headers=headers) as response:
            with pytest.raises((ClientPayloadError, ConnectionError)):
                await response.read()


@each_server
@pytest.mark.parametrize("target", ["/v1/hang/down", "/v1/quiet/down", "/v1/flood/down"])
async def test_a_client_that_leaves_ends_its_call(server: str, target: str) -> None:
    async with embedded_stage(server) as stage:
        async with stage.connected() as client:
            await client.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: stage.backend.running)
        await until(lambda: not stage.backend.running)
        await until(lambda: [code.name for code in stage.endings.codes] == ["CANCELLED"])


async def test_a_server_that_waits_holds_the_back_end(tmp_path: Path) -> None:
    """What a server does that waits until the client has read; uvicorn's does not."""
    async with stream_backend() as backend:
        app = GatewayASGI(stage_config(backend, tmp_path, tmp_path / "log", {}))
        never = asyncio.Event()
        received = iter([{"type": "websocket.connect"}])
        sent: list[Any] = []

        async def receive() -> Any:
            message = next(received, None)
            if message is None:
                await never.wait()
            return message

        async def send(message: Any) -> None:
            sent.append(message)
            if len(sent) == 3:
                await never.wait()

        scope = {"type": "websocket", "path": "/v1/flood/down", "headers": []}
        async with app.open():
            serving = asyncio.create_task(app(scope, receive, send))
            assert 0 < await still(lambda: backend.produced) < 1000
            assert [one["type"] for one in sent] == ["websocket.accept", *["websocket.send"] * 2]
            serving.cancel()
            await asyncio.wait([serving])
            await until(lambda: not backend.running)


@each_server
async def test_a_deadline_holds(server: str) -> None:
    async with embedded_stage(server) as stage, stage.connected() as client:
        answer = await client.get("/v1/quiet/down", "Grpc-Timeout: 200m")
        assert answer.status == 504


@each_server
async def test_it_is_mounted_in_starlette(server: str) -> None:
    need("starlette")
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    async with echo_application() as gateway:

        @asynccontextmanager
        async def lifespan(_: Any) -> AsyncIterator[None]:
            async with gateway.open():
                yield

        routes = [
            Route("/own", lambda _: PlainTextResponse("own")),
            Mount("/api é", app=gateway),
        ]
        app = Starlette(routes=routes, lifespan=lifespan)
        async with (
            asgi_server(app, server) as address,
            ClientSession(f"http://{address}") as session,
        ):
            async with session.get("/own") as response:
                assert await response.text() == "own"
            async with session.get("/api%20%c3%a9/v1/echo/x%20y") as response:
                assert (response.status, (await response.json())["text"]) == (200, "x y")
            async with session.get("/api%20%c3%a9/v1/nothing") as response:
                assert response.status == 404
            socket = f"ws://{address}/api%20%c3%a9/v1/echo/a:repeat?count=2"
            async with connect(socket, proxy=None) as client:
                assert json.loads(await client.recv())["text"] == "a"


async def test_the_root_path_of_a_server_is_removed() -> None:
    async with (
        echo_application() as app,
        asgi_server(app, "uvicorn", root_path="/api") as address,
        ClientSession(f"http://{address}") as session,
        session.get("/v1/echo/a%2Fb") as response,
    ):
        assert (await response.json())["text"] == "a/b"


async def test_a_gateway_that_cannot_start_says_why() -> None:
    app = GatewayASGI(Config.model_validate({"descriptors": ["/none.binpb"]}))
    sent = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    await app({"type": "lifespan"}, receive, send)  # type: ignore[arg-type]
    assert sent[0]["type"] == "lifespan.startup.failed"
    assert "/none.binpb" in sent[0]["message"]


async def test_a_gateway_that_was_not_opened_says_what_to_do() -> None:
    app = GatewayASGI(Config())
    with pytest.raises(RuntimeError, match=r"lifespan on.*gateway\.open\(\)"):
        await app({"type": "http"}, None, None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="scope webtransport is unknown"):
        await app({"type": "webtransport"}, None, None)  # type: ignore[arg-type]

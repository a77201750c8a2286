"""Gateways inside other programs: an aiohttp application, and real ASGI servers."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from gateway import Config, GatewayASGI, GatewayHandler, Interceptor
from tests.support.http import RawClient
from tests.support.stream_backend import StreamBackend, stream_backend, write_descriptors
from tests.support.streaming import Endings, Stage

ASGI_SERVERS = ("uvicorn", "hypercorn")
WAYS = ("aiohttp", *ASGI_SERVERS)


def need(package: str) -> None:
    """Skips a test that lacks a package of the group `dev`."""
    if find_spec(package) is None:
        pytest.skip(f"needs {package}: pip install --group dev")


@asynccontextmanager
async def embedded(
    way: str, config: Config, interceptors: Sequence[Interceptor] = ()
) -> AsyncIterator[str]:
    """Serves a gateway inside another program; yields `host:port`."""
    if way == "aiohttp":
        async with application(config, interceptors) as address:
            yield address
    else:
        async with asgi_server(GatewayASGI(config, interceptors=interceptors), way) as address:
            yield address


@asynccontextmanager
async def application(
    config: Config, interceptors: Sequence[Interceptor] = ()
) -> AsyncIterator[str]:
    """An aiohttp application whose every path is the gateway's."""
    gateway = GatewayHandler(config, interceptors=interceptors)
    app = web.Application()
    app.cleanup_ctx.append(gateway.run)
    app.on_shutdown.append(gateway.shut_down)
    app.router.add_route("*", "/{tail:.*}", gateway.handle)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        yield f"{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def asgi_server(app: Any, server: str = "uvicorn", **options: Any) -> AsyncIterator[str]:
    """Serves an ASGI application on the loop of the test; yields `host:port`."""
    need(server)
    run = {"uvicorn": _uvicorn, "hypercorn": _hypercorn}[server]
    started, stop = asyncio.Event(), asyncio.Event()

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        async def noted(message: Any) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                started.set()

        await app(scope, receive, noted if scope["type"] == "lifespan" else send)

    # The socket listens already, so clients wait until the server accepts.
    listening = socket.create_server(("127.0.0.1", 0))
    host, port = listening.getsockname()
    running = asyncio.create_task(run(noting, listening, stop, options))
    starting = asyncio.create_task(started.wait())
    try:
        await asyncio.wait([running, starting], timeout=20, return_when=asyncio.FIRST_COMPLETED)
        if not started.is_set():
            raise RuntimeError("the server has not started")
        yield f"{host}:{port}"
    finally:
        stop.set()
        starting.cancel()
        await asyncio.wait_for(running, 20)
        listening.close()


async def _uvicorn(
    app: Any, listening: socket.socket, stop: asyncio.Event, options: dict[str, Any]
) -> None:
    import uvicorn

    defaults = {"lifespan": "on", "log_config": None, "ws": "websockets-sansio"}
    server = uvicorn.Server(uvicorn.Config(app, **defaults | options))
    stopping = asyncio.create_task(stop.wait())
    stopping.add_done_callback(lambda _: setattr(server, "should_exit", True))
    try:
        await server.serve([listening])
    finally:
        stopping.cancel()


async def _hypercorn(
    app: Any, listening: socket.socket, stop: asyncio.Event, options: dict[str, Any]
) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config as Settings

    settings = Settings.from_mapping({"bind": [f"fd://{listening.detach()}"], **options})
    await serve(app, settings, shutdown_trigger=stop.wait)


@asynccontextmanager
async def embedded_stage(way: str, *guards: Interceptor, **settings: Any) -> AsyncIterator[Stage]:
    """An embedded gateway before a `StreamBackend`, as `open_stage` opens one of its own."""
    endings = Endings()
    with TemporaryDirectory() as folder:
        log = Path(folder, "access.log")
        async with stream_backend() as backend:
            config = stage_config(backend, Path(folder), log, settings)
            async with embedded(way, config, [endings, *guards]) as address:
                gateway: Any = SimpleNamespace(address=address)
                yield Stage(gateway, backend, endings, log)


def stage_config(
    backend: StreamBackend, folder: Path, log: Path, settings: dict[str, Any]
) -> Config:
    """The settings of a gateway before a `StreamBackend`."""
    defaults = {
        "descriptors": [str(write_descriptors(folder))],
        "upstreams": {"streams": {"target": backend.target}},
        "log": {"access": str(log)},
    }
    return Config.model_validate(defaults | settings)


@asynccontextmanager
async def raw_connection(address: str) -> AsyncIterator[RawClient]:
    """A connection to `host:port`, written to byte for byte."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()

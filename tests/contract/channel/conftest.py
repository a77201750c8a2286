"""Real back ends, one of each gRPC library, and each kind of channel to them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.config.upstreams import ChannelKind, Upstream
from gateway.upstream.channels.channel import Channel
from gateway.upstream.pool import CHANNELS
from tests.interop.servers import foreign_backend, go_command, node_command, running
from tests.support.calls import Open
from tests.support.grpc_backend import Backend, bytes_backend
from tests.support.machine_code import alternatives
from tests.support.polling import until


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # A server that is built for the first time may take longer than any test should.
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(60, func_only=True))


@pytest.fixture(params=alternatives(ChannelKind.HTTP2, ChannelKind.GRPCIO), ids=str)
def open_channel(request: pytest.FixtureRequest) -> Open:
    @asynccontextmanager
    async def open_channel(target: str, **settings: Any) -> AsyncIterator[Channel]:
        upstream = Upstream(target=target, channel=request.param, **settings)
        channel = CHANNELS[request.param]("library", upstream)
        before = asyncio.all_tasks()
        try:
            yield channel
        finally:
            await channel.close()
            servers = ("AioServer", "Scripted.serve")

            def left() -> list[str]:
                started = asyncio.all_tasks() - before - {asyncio.current_task()}
                tasks = [repr(task) for task in started]
                return [task for task in tasks if not any(name in task for name in servers)]

            with suppress(TimeoutError):
                await until(lambda: not left(), within_s=2)
            assert left() == [], "closing a channel leaves nothing running"

    return open_channel


@pytest.fixture(scope="session")
def cache(request: pytest.FixtureRequest) -> Path:
    place: Path = request.config.cache.mkdir("interop")
    return place


@pytest.fixture(scope="session")
def go_server(cache: Path) -> Iterator[int]:
    with running(go_command(cache)) as port:
        yield port


@pytest.fixture(scope="session")
def node_server(cache: Path) -> Iterator[int]:
    with running(node_command(cache)) as port:
        yield port


@pytest.fixture(params=["", "go_server", "node_server"], ids=["grpcio", "grpc-go", "grpc-js"])
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    if request.param:
        opened = foreign_backend(request.getfixturevalue(request.param))
    else:
        opened = bytes_backend()
    async with opened as backend:
        yield backend


@pytest.fixture
async def channel(open_channel: Open, backend: Backend) -> AsyncIterator[Channel]:
    async with open_channel(backend.target) as opened:
        yield opened

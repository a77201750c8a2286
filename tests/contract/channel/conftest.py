"""A real back end, and each kind of channel to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.config.model import ChannelKind, Upstream
from gateway.upstream.channel import Channel
from gateway.upstream.pool import CHANNELS
from tests.support.calls import Open
from tests.support.grpc_backend import Backend, bytes_backend


@pytest.fixture(params=list(ChannelKind), ids=str)
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
            await asyncio.sleep(0.05)
            started = asyncio.all_tasks() - before - {asyncio.current_task()}
            servers = ("AioServer", "Scripted.serve")
            left = [task for task in started if not any(name in repr(task) for name in servers)]
            assert left == [], "closing a channel leaves nothing running"

    return open_channel


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with bytes_backend() as running:
        yield running


@pytest.fixture
async def channel(open_channel: Open, backend: Backend) -> AsyncIterator[Channel]:
    async with open_channel(backend.target) as opened:
        yield opened

"""Gateways that store replies."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.counting_backend import CachingGateway, caching_gateway

OpenCache = Callable[..., Awaitable[CachingGateway]]


@pytest.fixture
async def open_cache(tmp_path: Path) -> AsyncIterator[OpenCache]:
    """Opens gateways: `gateway = await open_cache(cache={...}, policies=[...])`."""
    async with AsyncExitStack() as stack:

        async def open_one(**settings: Any) -> CachingGateway:
            return await stack.enter_async_context(caching_gateway(tmp_path, **settings))

        yield open_one


@pytest.fixture
async def gateway(open_cache: OpenCache) -> CachingGateway:
    return await open_cache()


@pytest.fixture
async def guarded(open_cache: OpenCache, tmp_path: Path) -> CachingGateway:
    """A gateway whose callers have keys; GetMe asks for a scope."""
    return await open_cache(
        auth={"store": f"sqlite:///{tmp_path}/keys.db", "anonymous": True},
        policies=[{"selector": "shop.v1.Shop.GetMe", "scopes": {"all": ["read"]}}],
    )

"""Gateways that take idempotency keys."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.counting_backend import CachingGateway, caching_gateway
from tests.support.stores import redis_url

__all__ = ["redis_url"]

OpenKeyed = Callable[..., Awaitable[CachingGateway]]


@pytest.fixture
async def open_keyed(tmp_path: Path) -> AsyncIterator[OpenKeyed]:
    """Opens gateways: `gateway = await open_keyed({"key": "required"}, workers=1)`."""
    async with AsyncExitStack() as stack:

        async def open_one(rule: dict[str, Any] | None = None, **settings: Any) -> CachingGateway:
            keys = {"allow_anonymous": True} | (rule or {})
            policy = {"selector": "*", "idempotency": keys} | settings.pop("policy", {})
            settings["policies"] = [policy]
            # Tests share cores, and are not about a store that is slow for that.
            settings.setdefault("store", {"timeout_s": 5.0})
            return await stack.enter_async_context(caching_gateway(tmp_path, **settings))

        yield open_one


@pytest.fixture
async def gateway(open_keyed: OpenKeyed) -> CachingGateway:
    return await open_keyed()

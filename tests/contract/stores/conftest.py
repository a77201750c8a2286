"""Every store there is, open."""

from collections.abc import AsyncIterator

import pytest

from gateway.stores.base import Store
from gateway.stores.opening import open_store
from tests.support.stores import postgres_url, redis_url, store_url

__all__ = ["postgres_url", "redis_url", "store", "store_url"]


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    async with open_store(store_url) as store:
        await store.ping()  # so that no test counts the time of the first connection
        yield store

"""A gateway that issues tokens, in front of real back ends, with each store."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.support.stores import postgres_url, redis_url, store_url
from tests.support.tokens import TokenGateway, accounts_file, token_gateway

__all__ = ["open_gateways", "postgres_url", "redis_url", "store_url"]

Open = Callable[..., Awaitable[TokenGateway]]


@pytest.fixture(scope="session")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> str:
    return accounts_file(tmp_path_factory.mktemp("accounts"))


@pytest.fixture
async def open_gateways(accounts: str) -> AsyncIterator[Open]:
    """Opens gateways: `gateway = await open_gateways(store_url, tokens={...})`."""
    async with AsyncExitStack() as stack:

        async def open_one(store: str, **auth: Any) -> TokenGateway:
            return await stack.enter_async_context(token_gateway(store, accounts, **auth))

        yield open_one

"""A gateway that knows API keys, in front of a real back end, beside whoever makes them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.auth.keys.api_keys import ApiKeys
from gateway.auth.tokens.tokens import Tokens
from gateway.stores.opening import open_store
from tests.support.http import Answer, connected, echo_gateway
from tests.support.machine_code import alternatives
from tests.support.stores import redis_url

__all__ = ["gateway", "open_keys", "redis_url", "shared_store"]


class KeyGateway:
    """A running gateway, and the keys and tokens of its store as an administrator has them."""

    def __init__(self, gateway: Any, keys: ApiKeys, tokens: Tokens) -> None:
        self.gateway = gateway
        self.keys = keys
        self.tokens = tokens

    async def get(self, *headers: str, path: str = "/v1/echo/hello") -> Answer:
        """What is answered to these headers, as they are written."""
        async with connected(self.gateway) as client:
            return await client.get(path, *headers)

    async def call(self, key: str, *headers: str) -> Answer:
        """What is answered to who shows this key."""
        return await self.get(f"X-API-Key: {key}", *headers)

    async def seen(self, *headers: str) -> dict[str, str]:
        """The metadata that the back end sees."""
        answer = await self.get(*headers)
        assert answer.status == 200, answer.body
        return {one["name"]: one.get("value", "") for one in answer.json()["metadata"]}


OpenKeys = Callable[..., Awaitable[KeyGateway]]


@pytest.fixture
async def open_keys() -> AsyncIterator[OpenKeys]:
    """Opens gateways: `gateway = await open_keys(store, keys={"header": ...})`."""
    async with AsyncExitStack() as stack:

        async def open_one(store: str, log: str = "off", **auth: Any) -> KeyGateway:
            forwarded = auth.pop("forwarded", {})
            gateway = await stack.enter_async_context(
                echo_gateway(
                    auth={"store": store, "anonymous": True} | auth,
                    forwarded=forwarded,
                    log={"access": log},
                )
            )
            admin = await stack.enter_async_context(open_store(store))
            return KeyGateway(gateway, ApiKeys(admin), Tokens(admin))

        yield open_one


@pytest.fixture(params=alternatives("sqlite", "redis"))
def shared_store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that several processes can open."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/gateway.db"
    return str(request.getfixturevalue("redis_url")) + f"?prefix={tmp_path.name}:"


@pytest.fixture
async def gateway(open_keys: OpenKeys, tmp_path: Path) -> KeyGateway:
    return await open_keys(f"sqlite:///{tmp_path}/gateway.db")

"""Gateways in processes of their own that share a Redis, asked without a pause while it is gone."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from gateway.auth.tokens.tokens import Grant, Tokens
from gateway.stores.opening import open_store
from services import echo
from services.serving import serve
from tests.support.gateway_process import gateway_process
from tests.support.http import RawClient
from tests.support.polling import until

PROMISED_S = 1.0
"""Seconds after which a revoked token is refused, and a store that is gone is not trusted."""
BACK_S = 2.0
"""Seconds within which a store that is back is used again."""
LONGEST_S = 0.5
"""The longest that a request may take, whatever the store does."""
_PAUSE_S = 0.01


class Asked(NamedTuple):
    """One request and its answer; times are those of `time.monotonic`."""

    at_s: float
    ended_s: float
    status: int


class Requests:
    """Requests of one kind to one gateway, one after another."""

    def __init__(self, port: int, path: str, token: str = "") -> None:
        self._port = port
        self._path = path
        self._headers = (f"Authorization: Bearer {token}",) if token else ()
        self.asked: list[Asked] = []

    async def run(self) -> None:
        """Asks again and again."""
        client = RawClient(*await asyncio.open_connection("127.0.0.1", self._port))
        try:
            while True:
                at_s = time.monotonic()
                answer = await client.get(self._path, *self._headers)
                self.asked.append(Asked(at_s, time.monotonic(), answer.status))
                await asyncio.sleep(_PAUSE_S)
        finally:
            client.writer.close()

    async def more(self, count: int = 10) -> None:
        """Waits for so many more answers."""
        goal = len(self.asked) + count
        await until(lambda: len(self.asked) >= goal)

    def between(self, from_s: float, until_s: float = float("inf")) -> set[int]:
        """The statuses of requests that began and ended between two times."""
        return {one.status for one in self.asked if one.at_s >= from_s and one.ended_s <= until_s}

    def slowest_s(self) -> float:
        """How long the slowest took."""
        return max(one.ended_s - one.at_s for one in self.asked)

    def back_after_s(self, up_s: float) -> float:
        """How long after `up_s` the last request ended that was answered with 503."""
        return max((one.ended_s for one in self.asked if one.status == 503), default=up_s) - up_s


class Node:
    """One gateway under load: with a token, with one that will be revoked, and within a limit."""

    def __init__(self, port: int, live: str, doomed: str) -> None:
        self.live = Requests(port, "/v1/echo/live", live)
        self.doomed = Requests(port, "/v1/echo/doomed", doomed)
        self.limited = Requests(port, "/v1/echo:sleep")

    @property
    def kinds(self) -> tuple[Requests, ...]:
        """The three kinds."""
        return self.live, self.doomed, self.limited

    async def keeps_answering(self) -> None:
        """Waits for some more answers of each kind."""
        await asyncio.gather(*(one.more() for one in self.kinds))

    def slowest_s(self) -> float:
        """How long the slowest request took."""
        return max(one.slowest_s() for one in self.kinds)


class Nodes(list[Node]):
    """The gateways, and the token that can be revoked on all of them."""

    def __init__(self, nodes: list[Node], tokens: Tokens, family: str) -> None:
        super().__init__(nodes)
        self._tokens = tokens
        self._family = family

    async def revoke(self) -> float:
        """Revokes the token; returns when."""
        assert await self._tokens.revoke_family(self._family) > 0
        return time.monotonic()


@asynccontextmanager
async def nodes(
    place: Path, stores: list[str], admin: str, on_store_failure: str
) -> AsyncIterator[Nodes]:
    """A gateway under load for each URL in `stores`, once all answer; tokens come from `admin`."""
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(serve(echo.register))
        tokens = Tokens(await stack.enter_async_context(open_store(admin)))
        grants = [Grant(f"users/{name}", "test", frozenset(), 3600) for name in ("ada", "bob")]
        live, doomed = [await tokens.issue(one) for one in grants]
        opening = [
            gateway_process(place / str(number), **_settings(backend, store, on_store_failure))
            for number, store in enumerate(stores)
        ]
        ports = await asyncio.gather(*map(stack.enter_async_context, opening))
        found = [Node(port, live.access_token, doomed.access_token) for port in ports]
        tasks = [asyncio.create_task(kind.run()) for node in found for kind in node.kinds]
        try:
            await asyncio.gather(*(node.keeps_answering() for node in found))
            yield Nodes(found, tokens, doomed.family)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in ended), ended


def _settings(backend: str, store: str, on_store_failure: str) -> dict[str, Any]:
    limit = {"limit": 100_000, "window_s": 3600, "by": "address"}
    return {
        "listen": "127.0.0.1:0",
        "modules": ["gen.echo.v1"],
        "upstreams": {"echo": {"target": backend}},
        "log": {"access": "off"},
        "auth": {"store": store, "tokens": {}, "anonymous": True},
        "policies": [{"selector": "echo.v1.EchoService.Sleep", "rate_limits": [limit]}],
        "rate_limits": {"store": store, "on_store_failure": on_store_failure},
    }

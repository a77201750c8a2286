"""Many processes, one limit: exactly as many calls pass as it allows."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from services import echo
from services.serving import serve
from tests.support.gateway_process import gateway_process
from tests.support.http import RawClient
from tests.support.stores import redis_url

__all__ = ["redis_url"]

_LIMIT = 50
_CLIENTS = 8
_CALLS = 20


def settings(backend: str, store: str, workers: int) -> dict[str, Any]:
    limit = {"limit": _LIMIT, "window_s": 3600, "by": "address", "algorithm": "sliding_window"}
    return {
        "listen": "127.0.0.1:0",
        "workers": workers,
        "modules": ["gen.echo.v1"],
        "upstreams": {"echo": {"target": backend}},
        "log": {"access": "off"},
        "policies": [{"selector": "*", "rate_limits": [limit]}],
        # A busy machine is no store that is down.
        "rate_limits": {"store": store, "on_store_failure": "closed", "timeout_s": 10},
    }


async def _answers(ports: list[int]) -> tuple[Counter[int], set[str]]:
    """How so many clients at once are answered, spread over the ports; and by which processes."""
    names: set[str] = set()
    racing = [_ask(ports[number % len(ports)], names) for number in range(_CLIENTS)]
    return sum(await asyncio.gather(*racing), Counter[int]()), names


async def _ask(port: int, names: set[str]) -> Counter[int]:
    statuses = Counter[int]()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client = RawClient(reader, writer)
    try:
        for _ in range(_CALLS):
            answer = await client.get("/v1/echo/hello")
            statuses[answer.status] += 1
            names.add((answer.header("X-Request-Id") or "").partition("-")[0])
    finally:
        writer.close()
    return statuses


async def _several_serve(port: int) -> None:
    """Returns once two workers answer: a gateway is up when the first of them is."""
    names: set[str] = set()
    async with asyncio.timeout(30):
        while len(names) < 2:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            answer = await RawClient(reader, writer).get("/no/route/and/no/limit")
            names.add((answer.header("X-Request-Id") or "").partition("-")[0])
            writer.close()


async def test_four_gateways_on_one_redis_let_exactly_the_limit_through(
    redis_url: str, tmp_path: Path
) -> None:
    async with serve(echo.register) as backend, AsyncExitStack() as stack:
        config = settings(backend, f"{redis_url}?prefix=race:", workers=1)
        opening = [gateway_process(tmp_path / str(number), **config) for number in range(4)]
        ports = await asyncio.gather(*map(stack.enter_async_context, opening))
        answers, names = await _answers(list(ports))
    assert answers == {200: _LIMIT, 429: _CLIENTS * _CALLS - _LIMIT}
    assert len(names) == 4


async def test_four_workers_on_one_file_let_exactly_the_limit_through(tmp_path: Path) -> None:
    async with serve(echo.register) as backend:
        config = settings(backend, f"sqlite:///{tmp_path}/counters.db", workers=4)
        async with gateway_process(tmp_path / "gateway", **config) as port:
            await _several_serve(port)
            answers, names = await _answers([port])
    assert answers == {200: _LIMIT, 429: _CLIENTS * _CALLS - _LIMIT}
    assert len(names) > 1

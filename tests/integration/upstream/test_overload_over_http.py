"""The HTTP answer to a call that its upstream has no room for."""

import asyncio
from pathlib import Path

from tests.support.counting_backend import caching_gateway
from tests.support.polling import until


async def test_a_client_gets_503_with_a_reason_and_the_time_to_wait(tmp_path: Path) -> None:
    async with caching_gateway(tmp_path, upstream={"max_requests": 1}) as gateway:
        gateway.backend.open.clear()
        first = asyncio.ensure_future(gateway.get("/v1/plain"))
        await until(lambda: gateway.backend.calls.total() == 1)
        answer = await asyncio.wait_for(gateway.get("/v1/plain"), 20)
        gateway.backend.open.set()
        assert (await first).status == 200
        assert answer.status == 503
        assert answer.header("retry-after") == "1"
        (detail,) = answer.json()["error"]["details"]
        assert detail["reason"] == "UPSTREAM_OVERLOADED"
        assert gateway.backend.calls.total() == 1
        assert (await gateway.get("/v1/plain")).status == 200


async def test_the_metrics_show_a_limit_that_refuses_calls(tmp_path: Path) -> None:
    async with caching_gateway(tmp_path, upstream={"max_requests": 1}) as gateway:

        def shows(limit: str, value: str) -> bool:
            exposition = gateway.gateway.exposition
            assert exposition is not None
            lines = exposition.text()[1].decode().splitlines()
            found = [one for one in lines if one.startswith("gateway_upstream_open{")]
            return any(f'which="{limit}"' in one and one.endswith(value) for one in found)

        await until(lambda: shows("max_requests", " 0.0") and shows("max_pending", " 0.0"))
        gateway.backend.open.clear()
        first = asyncio.ensure_future(gateway.get("/v1/plain"))
        await until(lambda: gateway.backend.calls.total() == 1)
        assert (await asyncio.wait_for(gateway.get("/v1/plain"), 20)).status == 503
        await until(lambda: shows("max_requests", " 1.0"))
        assert shows("max_pending", " 0.0")
        gateway.backend.open.set()
        assert (await first).status == 200

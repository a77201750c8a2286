"""`balance: ring_hash` with real servers: calls stay, and move only when they must."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.app.gateway import open_gateway
from gateway.call import Call, Handler, Principal, Reply
from gateway.config.model import Config
from gateway.upstream.channels.channel import Channel
from gateway.upstream.invoke import invoke
from tests.support.balanced import balanced, safe, states
from tests.support.counting_backend import FILES, counting_server
from tests.support.http import connected
from tests.support.polling import until

TENANTS = [f"tenant-{number}" for number in range(40)]


async def places(channel: Channel) -> Mapping[str, bytes]:
    """The server that answers each tenant."""
    send = invoke(channel)
    found = {}
    for tenant in TENANTS:
        call = Call(safe("Name"), message=b"", headers={"x-tenant": tenant})
        found[tenant] = (await send(call)).message
    return found


async def test_only_the_calls_of_a_dead_server_move_and_they_come_back() -> None:
    source = {"by": "header", "name": "x-tenant"}
    async with balanced(3, balance="ring_hash", hash=source) as (all_servers, channel):
        before = await places(channel)
        assert set(before.values()) == {one.name for one in all_servers}
        assert await places(channel) == before
        dying = all_servers[1]
        await dying.kill()
        after = await places(channel)
        moved = {before[tenant] for tenant in TENANTS if before[tenant] != after[tenant]}
        assert moved == {dying.name}
        await dying.restart()
        await until(lambda: states(channel)[dying.target][0] == "ready")
        assert await places(channel) == before


async def as_named(call: Call, proceed: Handler) -> Reply:
    """Takes the caller from a header, as a guard of one's own may."""
    call.principal = Principal(call.headers.get("x-caller", ""))
    return await proceed(call)


@pytest.mark.parametrize(
    ("source", "target", "header"),
    [
        ({"by": "principal"}, "/v1/plain", "X-Caller: {}"),
        ({"by": "header", "name": "x-tenant"}, "/v1/plain", "X-Tenant: {}"),
        ({"by": "cookie", "name": "sid"}, "/v1/plain", "Cookie: a=b; sid={}"),
        ({"by": "address"}, "/v1/plain", "X-Forwarded-For: 192.0.2.{}"),
        ({"by": "field", "name": "name"}, "/v1/plain?name={}", "X-Other: 1"),
    ],
    ids=lambda one: one["by"] if isinstance(one, dict) else "",
)
async def test_requests_of_one_kind_go_to_one_server(
    tmp_path: Path, source: dict[str, str], target: str, header: str
) -> None:
    descriptors = tmp_path / "shop.binpb"
    descriptors.write_bytes(FILES.SerializeToString())
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(counting_server()) for _ in range(3)]
        for one in servers:
            one.text = one.target
        shop: dict[str, Any] = {"targets": [{"address": one.target} for one in servers]}
        settings = {
            "listen": "127.0.0.1:0",
            "descriptors": [str(descriptors)],
            "log": {"access": "off"},
            "forwarded": {"trusted_proxies": ["127.0.0.0/8"]},
            "upstreams": {"shop": shop | {"balance": "ring_hash", "hash": source}},
        }
        config = Config.model_validate(settings)
        gateway = await stack.enter_async_context(open_gateway(config, interceptors=[as_named]))
        client = await stack.enter_async_context(connected(gateway))

        async def names(key: int) -> set[str]:
            """The servers that answer some requests with this key."""
            answers = [await client.get(target.format(key), header.format(key)) for _ in range(3)]
            return {answer.json()["text"] for answer in answers}

        found = [await names(key) for key in range(20)]
    assert [len(one) for one in found] == [1] * 20
    assert len(set.union(*found)) == 3

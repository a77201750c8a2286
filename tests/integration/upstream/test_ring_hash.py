"""`balance: ring_hash` with real servers: calls stay, and move only when they must."""

from collections.abc import Mapping

from gateway.call import Call
from gateway.upstream.channels.channel import Channel
from gateway.upstream.invoke import invoke
from tests.support.balanced import balanced, safe, states
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

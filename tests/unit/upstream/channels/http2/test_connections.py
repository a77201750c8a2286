"""The pauses between attempts to connect to an endpoint that cannot be reached."""

import asyncio

import pytest

from gateway.config.upstreams import Upstream
from gateway.upstream.channels.http2.address import parse_target
from gateway.upstream.channels.http2.connections import Connections, Pending
from gateway.upstream.endpoint import State
from tests.support.http2_server import Scripted
from tests.support.polling import until


async def test_pauses_grow_by_grpcs_factor_up_to_five_seconds() -> None:
    upstream = Upstream(target="127.0.0.1:1")
    loop = asyncio.get_running_loop()
    connections = Connections("library", upstream, parse_target(upstream), loop, Pending())
    pauses: list[float] = []
    for _ in range(12):
        connections._fail("Connection refused")
        pauses.append(connections._retry_at_s - loop.time())
    growing = [0.2 * 1.6**failures for failures in range(7)]
    # 20 % more or less by chance, and the time that passes here.
    assert pauses == pytest.approx([min(5, one) for one in growing] + [5] * 5, rel=0.21, abs=0.1)
    assert len({round(pause, 3) for pause in pauses[7:]}) > 1


async def test_a_connection_begins_the_pauses_anew() -> None:
    loop = asyncio.get_running_loop()
    async with Scripted(lambda _: b"").running() as target:
        upstream = Upstream(target=target)
        connections = Connections("library", upstream, parse_target(upstream), loop, Pending())
        for _ in range(2):
            connections._fail("Connection refused")
        connections.keep_open()
        assert connections.state is State.FAILING
        await until(lambda: connections.state is State.READY)
        connections._fail("Connection refused")
        assert connections._retry_at_s - loop.time() == pytest.approx(0.2, rel=0.21, abs=0.1)
        await connections.close()
        connections.close_all()


async def test_a_silent_connection_is_not_full_so_that_a_call_comes_and_asks_it() -> None:
    loop = asyncio.get_running_loop()
    async with Scripted(lambda _: b"").running() as target:
        upstream = Upstream(target=target, max_connections=1, idle_check_s=0.01)
        connections = Connections("library", upstream, parse_target(upstream), loop, Pending())
        connections.keep_open()
        await until(lambda: connections.state is State.READY)
        await until(lambda: connections.ready() is None)
        assert not connections.is_full
        await connections.close()
        connections.close_all()

"""Nodes that share a Redis: each is listed with its last heartbeat, until it is silent."""

from collections.abc import AsyncIterator

import pytest

from gateway.stores.nodes import NodeStore
from gateway.stores.opening import open_store
from tests.support.polling import first

LONG_S, SHORT_S = 60.0, 0.2


@pytest.fixture
async def nodes(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[NodeStore]:
    async with open_store(f"{redis_url}?prefix={request.node.name}:") as store:
        assert store.nodes is not None
        yield store.nodes


async def records(nodes: NodeStore) -> list[bytes]:
    return sorted(one.record for one in await nodes.heartbeats())


async def test_the_last_record_of_each_node_is_listed(nodes: NodeStore) -> None:
    assert await records(nodes) == []

    await nodes.beat("a", b"a 1", LONG_S)
    await nodes.beat("b", b"\x00\xff", LONG_S)
    await nodes.beat("a", b"a 2", LONG_S)

    assert await records(nodes) == [b"\x00\xff", b"a 2"]
    assert all(0 <= one.age_s < 10 for one in await nodes.heartbeats())


async def test_the_age_grows_until_the_next_heartbeat(nodes: NodeStore) -> None:
    await nodes.beat("a", b"", LONG_S)

    await first(nodes.heartbeats, lambda found: found[0].age_s > 0.2)
    await nodes.beat("a", b"", LONG_S)

    assert (await nodes.heartbeats())[0].age_s < 0.2


async def test_a_silent_node_vanishes_alone(nodes: NodeStore) -> None:
    await nodes.beat("silent", b"silent", SHORT_S)
    await nodes.beat("alive", b"alive", LONG_S)

    assert await first(lambda: records(nodes), lambda found: len(found) == 1) == [b"alive"]


async def test_a_node_that_leaves_is_gone_at_once(nodes: NodeStore) -> None:
    await nodes.beat("a", b"a", LONG_S)
    await nodes.beat("b", b"b", LONG_S)

    await nodes.leave("a")
    await nodes.leave("never seen")

    assert await records(nodes) == [b"b"]


async def test_stores_without_a_network_list_none() -> None:
    async with open_store("memory:") as store:
        assert store.nodes is None

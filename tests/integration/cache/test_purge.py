"""Stored replies that an operator drops, or makes stale."""

import asyncio

import pytest

from gateway.cache.tags import Purge, PurgeBy
from tests.integration.cache.conftest import OpenCache
from tests.support.counting_backend import CachingGateway
from tests.support.polling import until

GET = "shop.v1.Shop.GetItem"


def status(gateway_status: str | None) -> str:
    return (gateway_status or "").removeprefix("gateway; ").split(";")[0]


async def how(gateway: CachingGateway, target: str, *headers: str) -> str:
    return status((await gateway.get(target, *headers)).header("Cache-Status"))


def drop(gateway: CachingGateway, purge: Purge) -> int:
    cache = gateway.gateway.generations.current.opened.cache
    assert cache is not None
    return cache.purge(purge)


@pytest.mark.parametrize(
    ("purge", "dropped"),
    [
        (Purge(PurgeBy.METHOD, GET), 3),
        (Purge(PurgeBy.METHOD, "shop.v1.Shop.Other"), 0),
        (Purge(PurgeBy.PATH, "/v1/items/a"), 2),
        (Purge(PurgeBy.PATH, "/v1/items/%61/"), 2),
        (Purge(PurgeBy.PATH, "/v1"), 0),
        (Purge(PurgeBy.TAG, "size:1"), 1),
        (Purge(PurgeBy.TAG, "size"), 0),
        (Purge(PurgeBy.ALL), 4),
    ],
    ids=lambda value: f"{value.by}={value.value}" if isinstance(value, Purge) else "",
)
async def test_an_operator_drops_replies(open_cache: OpenCache, purge: Purge, dropped: int) -> None:
    rule = {"selector": GET, "cache": {"tags": ["size:{size}"]}}
    gateway = await open_cache(policies=[rule])
    targets = ("/v1/items/a", "/v1/items/a?size=1", "/v1/items/b", "/v1/items")
    for target in targets:
        await gateway.get(target)
    assert drop(gateway, purge) == dropped
    assert [await how(gateway, one) for one in targets].count("fwd=uri-miss") == dropped


async def test_an_operator_drops_the_replies_of_a_principal(guarded: CachingGateway) -> None:
    ann, bob = await guarded.key_of("ann", "read"), await guarded.key_of("bob", "read")
    for who in (ann, bob):
        await guarded.get("/v1/me", who)
    assert drop(guarded, Purge(PurgeBy.PRINCIPAL, "ann")) == 1
    assert await how(guarded, "/v1/me", bob) == "hit"
    assert await how(guarded, "/v1/me", ann) == "fwd=uri-miss"


async def test_a_soft_purge_makes_replies_stale(open_cache: OpenCache) -> None:
    gateway = await open_cache(policies=[{"selector": GET, "cache": {"swr_s": 60}}])
    await gateway.get("/v1/items/a")
    assert drop(gateway, Purge(PurgeBy.ALL, soft=True)) == 1
    stale = await gateway.get("/v1/items/a")
    assert "ttl=-" in (stale.header("Cache-Status") or "").replace("ttl=0", "ttl=-0")
    await until(lambda: gateway.backend.calls["GetItem"] == 2)


async def test_a_soft_purge_of_what_may_not_be_sent_stale_drops_it(
    gateway: CachingGateway,
) -> None:
    await gateway.get("/v1/items/a")
    assert drop(gateway, Purge(PurgeBy.ALL, soft=True)) == 1
    assert await how(gateway, "/v1/items/a") == "fwd=uri-miss"


@pytest.mark.parametrize(
    "purge",
    [
        Purge(PurgeBy.ALL),
        Purge(PurgeBy.METHOD, GET),
        Purge(PurgeBy.PATH, "/v1/items/a"),
        Purge(PurgeBy.TAG, "of:items/a"),
    ],
    ids=lambda purge: purge.by,
)
async def test_a_reply_under_way_is_dropped_too(open_cache: OpenCache, purge: Purge) -> None:
    gateway = await open_cache(policies=[{"selector": GET, "cache": {"tags": ["of:{name}"]}}])
    gateway.backend.open.clear()
    slow = asyncio.create_task(gateway.get("/v1/items/a"))
    await until(lambda: gateway.backend.calls["GetItem"] == 1)
    drop(gateway, purge)
    gateway.backend.open.set()
    assert (await slow).status == 200
    assert await how(gateway, "/v1/items/a") == "fwd=uri-miss"

"""Two gateways that share their stored replies over one real Redis."""

import asyncio
import itertools
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from redis.asyncio import Redis

from gateway.cache.tags import Purge, PurgeBy
from tests.integration.cache.conftest import OpenCache
from tests.integration.cache.test_attacks import EVIL
from tests.support.counting_backend import CachingGateway
from tests.support.polling import first, until
from tests.support.redis_server import frozen, redis_server
from tests.support.stores import redis_url

__all__ = ["redis_url"]

GET = "shop.v1.Shop.GetItem"
_NUMBERS = itertools.count()

OpenTwo = Callable[..., Awaitable[tuple[CachingGateway, CachingGateway]]]


@pytest.fixture
def url(redis_url: str) -> str:
    return f"{redis_url}?prefix=cache{next(_NUMBERS)}:"


async def listeners(url: str) -> int:
    plain, _, prefix = url.partition("?prefix=")
    async with Redis.from_url(plain) as redis:
        [[_, count]] = await redis.pubsub_numsub(f"{prefix or 'gateway:'}cache:changes")
        return int(count)


@pytest.fixture
def open_two(open_cache: OpenCache, url: str) -> OpenTwo:
    """Opens two gateways with the same settings; `memory_s` is long unless a test shortens it."""

    async def open_both(**settings: Any) -> tuple[CachingGateway, CachingGateway]:
        # Tests share cores, and are not about a store that is slow for that.
        options = {"store": url, "store_timeout_s": 5.0, "memory_s": 60.0}
        options |= settings.pop("cache", {})
        both = [await open_cache(cache=options, **settings) for _ in range(2)]
        await first(lambda: listeners(url), lambda count: count == 2)
        return both[0], both[1]

    return open_both


async def how(gateway: CachingGateway, target: str, *headers: str) -> str:
    answer = await gateway.get(target, *headers)
    return (answer.header("Cache-Status") or "").removeprefix("gateway; ").split(";")[0]


async def keeps(url: str, replies: int = 1) -> None:
    """Waits until the store has so many replies: they are kept after the answer."""
    plain, _, prefix = url.partition("?prefix=")
    async with Redis.from_url(plain) as redis:
        names = f"{prefix or 'gateway:'}cache:reply:*"
        await first(lambda: redis.keys(names), lambda found: len(found) == replies)


async def test_one_gateway_sends_what_the_other_has_stored(open_two: OpenTwo, url: str) -> None:
    one, two = await open_two()
    one.backend.metadata = (("x-of-back-end", "yes"),)
    answer = await one.get("/v1/items/a")
    await keeps(url)
    second = await two.get("/v1/items/a")
    assert second.body == answer.body
    assert second.header("X-Of-Back-End") == answer.header("X-Of-Back-End")
    assert (second.header("Cache-Status") or "").startswith("gateway; hit; ttl=")
    assert second.header("Age") is not None
    assert two.backend.calls.total() == 0


@pytest.fixture(params=[-3600.0, 3600.0])
def jump(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, the clock is that of another machine, an hour ahead or behind."""
    now_s = time.time
    return lambda: monkeypatch.setattr(time, "time", lambda: now_s() + request.param)


async def test_the_clocks_of_gateways_need_not_agree(
    open_two: OpenTwo, url: str, jump: Callable[[], None]
) -> None:
    one, two = await open_two(policies=[{"selector": GET, "cache": {"ttl_s": 60, "sie_s": 600}}])
    await one.get("/v1/items/a")
    await keeps(url)
    jump()
    second = await two.get("/v1/items/a")
    found = re.fullmatch(r"gateway; hit; ttl=(\d+)", second.header("Cache-Status") or "")
    assert found is not None
    assert int(found[1]) <= 60
    assert int(second.header("Age") or "-1") in range(30)


async def test_an_equal_reply_in_the_store_leaves_what_was_made_of_it(
    open_cache: OpenCache, url: str
) -> None:
    gateway = await open_cache(cache={"store": url, "store_timeout_s": 5.0, "memory_s": 60.0})
    for _ in range(2):
        await gateway.get("/v1/items/a")
    await keeps(url)
    (entry,) = gateway.cache.memory._entries.values()
    assert entry.forms is not None
    lines, made = list(entry.lines), dict(entry.forms.made)
    assert lines
    assert made
    entry.confirmed_s = -1e9  # the store was last asked long ago
    assert await how(gateway, "/v1/items/a") == "hit"
    assert list(gateway.cache.memory._entries.values()) == [entry]
    assert entry.confirmed_s > 0  # it has been asked
    assert (entry.lines, entry.forms.made) == (lines, made)


async def test_a_large_reply_is_compressed_and_read_again(open_two: OpenTwo, url: str) -> None:
    one, two = await open_two()
    one.backend.size = 500_000
    answer = await one.get("/v1/items/a")
    await keeps(url)
    assert (await two.get("/v1/items/a")).body == answer.body
    assert two.backend.calls.total() == 0
    async with Redis.from_url(url.partition("?")[0]) as redis:
        prefix = url.partition("?prefix=")[2]
        [name] = await redis.keys(f"{prefix}cache:reply:*")
        assert len(await redis.hget(name, "value") or b"") < 50_000


async def test_a_failure_that_is_stored_is_shared(open_two: OpenTwo, url: str) -> None:
    rule = {"selector": GET, "cache": {"negative": {"not_found_s": 60}}}
    one, two = await open_two(policies=[rule])
    one.backend.fails = grpc.StatusCode.NOT_FOUND
    answer = await one.get("/v1/items/a")
    await keeps(url)
    second = await two.get("/v1/items/a")
    assert (answer.status, second.status) == (404, 404)
    assert second.body == answer.body
    assert two.backend.calls.total() == 0


@pytest.mark.parametrize("method", ["PATCH", "POST"])
async def test_a_change_through_one_is_seen_through_the_other(
    open_two: OpenTwo, url: str, method: str
) -> None:
    one, two = await open_two()
    for gateway in (one, two):
        for target in ("/v1/items/a", "/v1/items/b"):
            await gateway.get(target)
    await keeps(url, 2)
    target = "/v1/items/a" if method == "PATCH" else "/v1/items/a:archive"
    await one.send(method, target)
    # At once: the store knows of the change before its answer is sent.
    await until(lambda: _is_dropped(two, "/v1/items/a"))
    assert await how(two, "/v1/items/a") == "fwd=uri-miss"
    assert await how(two, "/v1/items/b") == "hit"


def _is_dropped(gateway: CachingGateway, path: str) -> bool:
    return not gateway.cache.memory._by_path.keys([path])


async def test_without_messages_a_change_is_seen_within_the_bound(
    open_two: OpenTwo, url: str
) -> None:
    one, two = await open_two(cache={"memory_s": 0.3})
    await two.get("/v1/items/a")
    await keeps(url)
    two.shared._listening.cancel()
    await until(two.shared._listening.done)
    begun_s = time.monotonic()
    await one.send("PATCH", "/v1/items/a")
    while await how(two, "/v1/items/a") == "hit":
        assert time.monotonic() - begun_s < 1.0
    assert two.backend.calls["GetItem"] == 2


async def test_a_change_by_tag_is_seen_through_the_other(open_two: OpenTwo, url: str) -> None:
    rules = [
        {"selector": "shop.v1.Shop.ListItems", "cache": {"tags": ["all"]}},
        {"selector": "shop.v1.Shop.UpdateItem", "invalidates": ["all"]},
    ]
    one, two = await open_two(policies=rules)
    await two.get("/v1/items")
    await two.get("/v1/me")
    await keeps(url, 2)
    await one.send("PATCH", "/v1/items/x")
    await until(lambda: _is_dropped(two, "/v1/items"))
    assert await how(two, "/v1/items") == "fwd=uri-miss"
    assert await how(two, "/v1/me") == "hit"


@pytest.mark.parametrize(
    ("purge", "dropped"),
    [
        (Purge(PurgeBy.METHOD, GET), {"/v1/items/a"}),
        (Purge(PurgeBy.PATH, "/v1/items/%61/"), {"/v1/items/a"}),
        (Purge(PurgeBy.TAG, "of:items/a"), {"/v1/items/a"}),
        (Purge(PurgeBy.ALL), {"/v1/items/a", "/v1/me"}),
    ],
    ids=lambda value: value.by.value if isinstance(value, Purge) else "",
)
async def test_a_purge_reaches_the_other_and_the_store(
    open_two: OpenTwo, url: str, purge: Purge, dropped: set[str]
) -> None:
    one, two = await open_two(policies=[{"selector": GET, "cache": {"tags": ["of:{name}"]}}])
    targets = ("/v1/items/a", "/v1/me")
    for target in targets:
        await two.get(target)
    await keeps(url, 2)
    begun_s = time.monotonic()
    one.cache.purge(purge)
    await until(lambda: all(_is_dropped(two, one) for one in dropped))
    assert time.monotonic() - begun_s < 1.0
    for gateway in (two, one):
        seen = {one for one in targets if await how(gateway, one) != "hit"}
        # What `two` has fetched anew, `one` finds in the store.
        assert seen == (dropped if gateway is two else set())
        await keeps(url, 2)


async def test_a_soft_purge_makes_the_replies_of_all_stale(
    open_two: OpenTwo, url: str, jump: Callable[[], None]
) -> None:
    one, two = await open_two(policies=[{"selector": GET, "cache": {"swr_s": 60}}])
    await one.get("/v1/items/a")
    await keeps(url)
    one.cache.purge(Purge(PurgeBy.ALL, soft=True))
    await until(lambda: two.shared._changes)  # else it counts as a change during the look-up
    jump()
    stale = await two.get("/v1/items/a")
    assert "ttl=-" in (stale.header("Cache-Status") or "").replace("ttl=0", "ttl=-0")
    await until(lambda: two.backend.calls["GetItem"] == 1)


async def test_a_slow_call_does_not_bring_back_what_the_other_has_changed(
    open_two: OpenTwo, url: str
) -> None:
    one, two = await open_two()
    two.backend.open.clear()
    slow = asyncio.create_task(two.get("/v1/items/a"))
    await until(lambda: two.backend.calls["GetItem"] == 1)
    # Without the message: only the numbers in the store can tell.
    two.shared._listening.cancel()
    await until(two.shared._listening.done)
    await one.send("PATCH", "/v1/items/a")
    two.backend.open.set()
    assert (await slow).status == 200
    await until(lambda: not two.shared._writes)
    assert await how(one, "/v1/items/a") == "fwd=uri-miss"


async def test_callers_get_only_their_own_from_the_store(
    open_two: OpenTwo, url: str, tmp_path: Path
) -> None:
    one, two = await open_two(auth={"store": f"sqlite:///{tmp_path}/keys.db", "anonymous": True})
    ada, bob = await one.key_of("ada"), await one.key_of("bob")
    for key in (ada, bob):
        await one.get("/v1/me", key)
    await keeps(url, 2)
    for key, name in ((ada, b"for ada"), (bob, b"for bob")):
        assert name in (await two.get("/v1/me", key)).body
    assert two.backend.calls.total() == 0
    assert b"for nobody" in (await two.get("/v1/me")).body


@pytest.mark.parametrize("header", EVIL)
async def test_no_header_of_one_client_reaches_what_others_get(
    open_two: OpenTwo, url: str, header: str
) -> None:
    one, two = await open_two()
    await one.get("/v1/items/a", header)
    await keeps(url)
    victim = await two.get("/v1/items/a")
    assert victim.status == 200
    assert b"for nobody" in victim.body
    assert b"evil" not in victim.body
    assert two.backend.calls.total() == 0


async def test_names_in_the_store_show_neither_callers_nor_paths(
    open_two: OpenTwo, url: str, tmp_path: Path
) -> None:
    one, _ = await open_two(auth={"store": f"sqlite:///{tmp_path}/keys.db", "anonymous": True})
    ada = await one.key_of("ada")
    await one.get("/v1/items/hidden-name", ada)
    await keeps(url)
    await one.send("PATCH", "/v1/items/hidden-name", "{}", ada)
    plain, _, prefix = url.partition("?prefix=")
    async with Redis.from_url(plain) as redis:
        names = str(await redis.keys(f"{prefix}*"))
    assert "cache:changed:" in names
    assert "hidden" not in names
    assert "ada" not in names


async def test_a_flood_of_one_caller_leaves_what_others_have(
    open_two: OpenTwo, url: str, tmp_path: Path
) -> None:
    one, two = await open_two(
        auth={"store": f"sqlite:///{tmp_path}/keys.db", "anonymous": True},
        cache={"store_bytes": 40_000},
    )
    one.backend.size = 0
    ada, eve = await one.key_of("ada"), await one.key_of("eve")
    await one.get("/v1/me", ada)
    await one.get("/v1/me")
    for number in range(100):
        await one.get(f"/v1/items/flood{number}", eve)
    plain, _, prefix = url.partition("?prefix=")
    async with Redis.from_url(plain) as redis:
        await until(lambda: not one.shared._writes)
        count = len(await redis.keys(f"{prefix}cache:reply:*"))
    assert 5 < count < 30  # a quarter of 40,000 bytes, and two of others
    assert await how(two, "/v1/me", ada) == "hit"
    assert await how(two, "/v1/me") == "hit"
    assert await how(two, "/v1/items/flood99", eve) == "hit"
    assert await how(two, "/v1/items/flood0", eve) == "fwd=uri-miss"


@pytest.mark.parametrize(
    "value",
    [b"", b"\x01", b"\x02garbage", b"\x01\xff\xff\xff\xff{}", b"\x01\0\0\0\x02{}", b"\x09x"],
)
async def test_a_value_that_is_none_of_ours_counts_as_absent(
    open_two: OpenTwo, url: str, value: bytes
) -> None:
    one, two = await open_two()
    await one.get("/v1/items/a")
    await keeps(url)
    plain, _, prefix = url.partition("?prefix=")
    async with Redis.from_url(plain) as redis:
        [name] = await redis.keys(f"{prefix}cache:reply:*")
        await redis.hset(name, "value", value)
    assert await how(two, "/v1/items/a") == "fwd=uri-miss"
    assert two.backend.calls["GetItem"] == 1


async def test_another_rule_does_not_find_the_reply(
    open_cache: OpenCache, open_two: OpenTwo, url: str
) -> None:
    one, _ = await open_two()
    await one.get("/v1/items/a")
    await keeps(url)
    other = await open_cache(
        cache={"store": url, "store_timeout_s": 5.0},
        policies=[{"selector": GET, "cache": {"vary": ["accept-language"]}}],
    )
    assert await how(other, "/v1/items/a") == "fwd=uri-miss"


async def test_a_frozen_redis_costs_nobody(open_cache: OpenCache) -> None:
    with redis_server() as url:
        timeout_s = 0.2  # far longer than a request takes on a busy machine
        options = {"store": url, "store_timeout_s": timeout_s, "memory_s": 0.1}
        gateway = await open_cache(cache=options)
        assert await how(gateway, "/v1/items/a") == "fwd=uri-miss"
        async with frozen(url):
            for number in range(6):  # the breaker opens after five
                await gateway.get(f"/v1/items/{number}")
            begun_s = time.monotonic()
            for number in range(30):
                assert (await gateway.get(f"/v1/items/x{number}")).status == 200
                assert (await gateway.send("PATCH", f"/v1/items/x{number}")).status == 200
            assert time.monotonic() - begun_s < 60 * timeout_s / 2


async def test_a_change_while_the_store_is_away_is_told_later(open_cache: OpenCache) -> None:
    with redis_server() as url:
        options = {"store": url, "store_timeout_s": 0.5, "memory_s": 0.1}
        one = await open_cache(cache=options)
        two = await open_cache(cache=options | {"store_timeout_s": 5.0})
        await one.get("/v1/items/a")
        await keeps(url)
        async with frozen(url):
            await one.send("PATCH", "/v1/items/a")
        await until(lambda: not one.shared._pending)
        assert await how(two, "/v1/items/a") == "fwd=uri-miss"


async def test_a_store_that_keeps_no_replies_is_refused(
    open_cache: OpenCache, tmp_path: Path
) -> None:
    with pytest.raises(Exception, match=r"cache\.store: expected memory: or redis"):
        await open_cache(cache={"store": f"sqlite:///{tmp_path}/cache.db"})

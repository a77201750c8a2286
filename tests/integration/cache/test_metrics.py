"""What the metrics tell of the cache."""

import asyncio
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import grpc

from gateway.cache.entries import Entry
from gateway.cache.freshness import Times
from gateway.cache.tags import Purge, PurgeBy
from tests.integration.cache.conftest import OpenCache
from tests.support.counting_backend import CachingGateway, counting_server
from tests.support.polling import first, until

CALLS = 'gateway_cache_requests_total{rpc_method="shop.v1.Shop/GetItem",result="%s"}'

LONG = Times(0.0, 1e12, 1e12, 1e12)
PAST = Times(0.0, 0.0, 0.0, 0.0)


async def value(gateway: CachingGateway, sample: str) -> float:
    text = (await gateway.get("/metrics")).body.decode()
    found = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(sample + " ")]
    return float(found[0]) if found else 0.0


def is_equal(number: float) -> Callable[[float], bool]:
    return lambda found: found == number


async def test_results_are_counted_by_method(open_cache: OpenCache) -> None:
    rule = {"selector": "shop.v1.Shop.GetItem", "cache": {"swr_s": 600}}
    gateway = await open_cache(metrics={"public": True}, policies=[rule])
    gateway.backend.open.clear()
    both = [asyncio.create_task(gateway.get("/v1/items/a")) for _ in range(2)]
    await until(lambda: any(fill.waiting == 2 for fill in gateway.cache._fills.values()))
    gateway.backend.open.set()
    await asyncio.gather(*both)
    await gateway.get("/v1/items/a")
    await gateway.get("/v1/items/b", "If-Match: *")
    gateway.cache.purge(Purge(PurgeBy.ALL, soft=True))
    await asyncio.sleep(1.1)  # a time to live of -1 s: it is shown in whole seconds
    await gateway.get("/v1/items/a")
    for result in ("miss", "collapsed", "hit", "bypass", "stale"):
        await first(partial(value, gateway, CALLS % result), lambda found: found == 1)
    await gateway.send("PATCH", "/v1/items/a")
    for by in ("change", "purge"):
        sample = f'gateway_cache_invalidations_total{{by="{by}"}}'
        # The text is made anew once in a while.
        await first(partial(value, gateway, sample), lambda found: found == 1)


async def test_evictions_are_counted_and_memory_is_measured(open_cache: OpenCache) -> None:
    gateway = await open_cache(
        metrics={"public": True}, cache={"memory_bytes": 20_000, "max_entry_bytes": 2000}
    )
    gateway.backend.size = 1000
    for number in range(30):
        await gateway.get(f"/v1/items/{number}")
    entries = len(gateway.cache.memory)
    evicted = partial(value, gateway, 'gateway_cache_evictions_total{why="bytes"}')
    await first(evicted, lambda found: found == 30 - entries)
    shown = "gateway_cache_entries"
    await first(lambda: value(gateway, shown), lambda found: found == entries)
    assert await value(gateway, "gateway_cache_bytes") == gateway.cache.memory.size_bytes


async def test_what_leaves_the_memory_is_counted_by_its_reason(open_cache: OpenCache) -> None:
    gateway = await open_cache(
        metrics={"public": True},
        cache={"memory_bytes": 20_000, "max_entry_bytes": 2000, "principal_share": 0.25},
    )
    memory = gateway.cache.memory
    for number in range(6):
        memory.put(Entry(b"%d" % number, bytes(1000), [], [], LONG, "ada", ["/of-ada"]))
    memory.put(Entry(b"old", b"", [], [], PAST, "", ["/old"]))
    assert memory.get(b"old", time.monotonic()) is None
    left = sum(entry.owner == "ada" for entry in memory._entries.values())
    gateway.cache.purge(Purge(PurgeBy.PATH, "/of-ada"))
    for why, number in (("share", 6 - left), ("invalidated", left), ("expired", 1)):
        evicted = partial(value, gateway, f'gateway_cache_evictions_total{{why="{why}"}}')
        await first(evicted, is_equal(number))


async def test_ages_and_calls_under_way_are_measured(open_cache: OpenCache) -> None:
    gateway = await open_cache(metrics={"public": True})
    gateway.backend.metadata = (("age", "30"), ("cache-control", "max-age=600"))
    await gateway.get("/v1/items/a")
    for _ in range(3):  # the last is known by its request line
        await gateway.get("/v1/items/a")
    for edge, count in (("15", 0), ("60", 3), ("+Inf", 3)):
        ages = partial(value, gateway, f'gateway_cache_age_seconds_bucket{{le="{edge}"}}')
        await first(ages, is_equal(count))
    gateway.backend.open.clear()
    asked = [asyncio.create_task(gateway.get(f"/v1/items/{name}")) for name in "bcc"]
    await first(lambda: value(gateway, "gateway_cache_fills_in_flight"), lambda found: found == 2)
    gateway.backend.open.set()
    await asyncio.gather(*asked)


async def test_failures_of_the_store_are_counted(open_cache: OpenCache) -> None:
    gateway = await open_cache(metrics={"public": True}, cache={"store": "redis://127.0.0.1:1/0"})
    assert (await gateway.get("/v1/items/a")).status == 200
    failed = partial(value, gateway, "gateway_cache_store_errors_total")
    await first(failed, lambda found: found >= 1)


async def test_the_access_log_has_the_result(open_cache: OpenCache, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    gateway = await open_cache(log={"access": str(log)})
    for target in ("/v1/items/a", "/v1/items/a", "/v1/plain"):
        await gateway.get(target)
    await until(lambda: log.exists() and len(log.read_text().splitlines()) == 3)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line.get("gateway.cache.result") for line in lines] == ["miss", "hit", None]


async def test_the_access_log_has_the_attempts_of_the_one_who_made_the_call(
    open_cache: OpenCache, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    async with counting_server() as bad, counting_server() as good:
        bad.fails = grpc.StatusCode.UNAVAILABLE
        targets = [{"address": one.target} for one in (bad, good)]
        gateway = await open_cache(
            log={"access": str(log)}, upstreams={"shop": {"targets": targets}}
        )
        for target in [f"/v1/items/{number}" for number in range(4)] * 2:
            assert (await gateway.get(target)).status == 200
        await until(lambda: log.exists() and len(log.read_text().splitlines()) == 8)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    made = [(line["gateway.cache.result"], line.get("gateway.attempts")) for line in lines]
    assert set(made[:4]) == {("miss", None), ("miss", 2)}
    assert set(made[4:]) == {("hit", None)}

"""A change through the gateway drops the replies that it changed."""

import asyncio

import grpc
import pytest

from tests.integration.cache.conftest import OpenCache
from tests.support.counting_backend import CachingGateway
from tests.support.polling import until


async def is_stored(gateway: CachingGateway, target: str) -> bool:
    answer = await gateway.get(target)
    return "hit" in (answer.header("Cache-Status") or "")


@pytest.mark.parametrize(
    "change",
    [
        ("PATCH", "/v1/items/a"),
        ("PATCH", "/v1/items/%61"),
        ("POST", "/v1/items/a:archive"),
    ],
    ids=str,
)
async def test_a_change_drops_the_resource_and_its_collection(
    gateway: CachingGateway, change: tuple[str, str]
) -> None:
    targets = ("/v1/items/a", "/v1/items/a?size=1", "/v1/items", "/v1/items/b")
    for target in targets:
        await gateway.get(target)
    # One reply by two paths: a change by either of them drops it.
    await gateway.get("/v1/named?name=items/a")
    assert (await gateway.send(*change)).status == 200
    assert [await is_stored(gateway, one) for one in targets] == [False, False, False, True]


async def test_a_failed_change_drops_nothing(gateway: CachingGateway) -> None:
    await gateway.get("/v1/items/a")
    gateway.backend.fails = grpc.StatusCode.PERMISSION_DENIED
    assert (await gateway.send("PATCH", "/v1/items/a")).status == 403
    assert await is_stored(gateway, "/v1/items/a")


@pytest.mark.parametrize("status", ["400", "409", "500", "503"])
async def test_a_change_that_fails_by_its_http_status_drops_nothing(
    gateway: CachingGateway, status: str
) -> None:
    await gateway.get("/v1/items/a")
    gateway.backend.metadata = (("x-http-code", status),)
    assert (await gateway.send("PATCH", "/v1/items/a")).status == int(status)
    assert await is_stored(gateway, "/v1/items/a")


async def test_the_collection_of_a_resource_can_be_left_in_place(open_cache: OpenCache) -> None:
    gateway = await open_cache(cache={"invalidate_parent": False})
    for target in ("/v1/items/a", "/v1/items"):
        await gateway.get(target)
    for change in ("/v1/items/a", "/v1/items/a:archive"):
        await gateway.get("/v1/items/a")
        assert (await gateway.send("POST" if ":" in change else "PATCH", change)).status == 200
        assert not await is_stored(gateway, "/v1/items/a")
        assert await is_stored(gateway, "/v1/items")


async def test_reading_by_post_drops_nothing(gateway: CachingGateway) -> None:
    await gateway.get("/v1/items")
    await gateway.send("POST", "/v1/items:search")
    assert await is_stored(gateway, "/v1/items")


@pytest.mark.parametrize(
    ("location", "stored"),
    [
        ("/v1/items/b", False),
        ("http://test/v1/items/b", False),
        ("http://elsewhere/v1/items/b", True),
        ("http://[/v1/items/b", True),
    ],
)
async def test_a_change_drops_what_its_location_names_on_this_host(
    gateway: CachingGateway, location: str, *, stored: bool
) -> None:
    await gateway.get("/v1/items/b")
    gateway.backend.metadata = (("location", location),)
    await gateway.send("PATCH", "/v1/items/a")
    gateway.backend.metadata = ()
    assert await is_stored(gateway, "/v1/items/b") is stored


async def test_a_slow_call_does_not_bring_back_what_a_change_has_dropped(
    gateway: CachingGateway,
) -> None:
    gateway.backend.open.clear()
    slow = asyncio.create_task(gateway.get("/v1/items/a"))
    await until(lambda: gateway.backend.calls["GetItem"] == 1)
    change = asyncio.create_task(gateway.send("PATCH", "/v1/items/a"))
    await until(lambda: gateway.backend.calls["UpdateItem"] == 1)
    change.cancel()  # it may have been done: the gateway cannot know
    await asyncio.wait([change])
    # A call from now on waits neither for the slow one nor gets its reply.
    later = asyncio.create_task(gateway.get("/v1/items/a"))
    await until(lambda: gateway.backend.calls["GetItem"] == 2)
    gateway.backend.open.set()
    old, new = await asyncio.gather(slow, later)
    assert old.body != new.body
    assert (await gateway.get("/v1/items/a")).body == new.body

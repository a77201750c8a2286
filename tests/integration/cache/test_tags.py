"""Tags of stored replies: from policies and metadata; changes drop the replies that have them."""

import asyncio
from typing import Any

import grpc
import pytest

from gateway.policy.options import PolicyError
from tests.integration.cache.conftest import OpenCache
from tests.support.counting_backend import CachingGateway
from tests.support.polling import until

GET, UPDATE = "shop.v1.Shop.GetItem", "shop.v1.Shop.UpdateItem"


async def is_stored(gateway: CachingGateway, target: str) -> bool:
    answer = await gateway.get(target)
    return "hit" in (answer.header("Cache-Status") or "")


def policies(*templates: str, drops: str = "") -> list[dict[str, object]]:
    found: list[dict[str, object]] = [{"selector": GET, "cache": {"tags": list(templates)}}]
    return [*found, {"selector": UPDATE, "invalidates": [drops]}] if drops else found


async def test_a_change_drops_the_tags_that_its_policy_names(open_cache: OpenCache) -> None:
    gateway = await open_cache(policies=policies("of:{page_view}", drops="of:{text}"))
    targets = ("/v1/items/a?pageView=x", "/v1/items/b?pageView=x", "/v1/items/a?pageView=y")
    for target in targets:
        await gateway.get(target)
    assert (await gateway.send("PATCH", "/v1/items/c", '{"text": "x"}')).status == 200
    assert [await is_stored(gateway, one) for one in targets] == [False, False, True]


async def test_a_tag_without_fields_and_a_change_with_an_empty_message(
    open_cache: OpenCache,
) -> None:
    gateway = await open_cache(policies=policies("all", drops="all"))
    await gateway.get("/v1/items/a")
    await gateway.send("PATCH", "/v1/items/c", "{}")
    assert not await is_stored(gateway, "/v1/items/a")


@pytest.mark.parametrize(
    ("name", "value"), [("cache-groups", '"one", "two"'), ("surrogate-key", "one two")]
)
async def test_a_change_drops_the_tags_that_the_back_end_names(
    gateway: CachingGateway, name: str, value: str
) -> None:
    gateway.backend.metadata = ((name, value),)
    told = await gateway.get("/v1/items/a")
    again = await gateway.get("/v1/items/a")
    assert told.header(name) is again.header(name) is None
    gateway.backend.metadata = (("cache-group-invalidation", '"two"'),)
    changed = await gateway.send("PATCH", "/v1/items/c")
    assert changed.header("Cache-Group-Invalidation") is None
    assert not await is_stored(gateway, "/v1/items/a")


async def test_a_read_drops_no_tags(gateway: CachingGateway) -> None:
    gateway.backend.metadata = (("cache-groups", '"one"'),)
    await gateway.get("/v1/items/a")
    gateway.backend.metadata = (("cache-group-invalidation", '"one"'),)
    await gateway.get("/v1/plain?name=a")
    assert await is_stored(gateway, "/v1/items/a")


async def test_a_failed_change_drops_no_tags(open_cache: OpenCache) -> None:
    gateway = await open_cache(policies=policies("all", drops="all"))
    await gateway.get("/v1/items/a")
    gateway.backend.fails = grpc.StatusCode.PERMISSION_DENIED
    await gateway.send("PATCH", "/v1/items/c")
    assert await is_stored(gateway, "/v1/items/a")


async def test_tags_reach_clients_if_a_cache_in_front_reads_them(open_cache: OpenCache) -> None:
    gateway = await open_cache(cache={"consume_tags": False})
    gateway.backend.metadata = (("surrogate-key", "one"),)
    for _ in range(2):
        assert (await gateway.get("/v1/items/a")).header("Surrogate-Key") == "one"


@pytest.mark.parametrize("value", [" ".join(f"t{n}" for n in range(65)), "x" * 129])
async def test_a_reply_with_too_many_tags_is_not_stored(
    gateway: CachingGateway, value: str
) -> None:
    gateway.backend.metadata = (("surrogate-key", value),)
    await gateway.get("/v1/items/a")
    assert not await is_stored(gateway, "/v1/items/a")


async def hold(gateway: CachingGateway, method: str, target: str) -> "asyncio.Task[object]":
    """Begins a GET that waits in the back end, which answers all others at once."""
    gateway.backend.open = asyncio.Event()
    slow = asyncio.create_task(gateway.get(target))
    await until(lambda: gateway.backend.calls[method] == 1)
    return slow


async def test_a_reply_whose_tag_is_dropped_during_its_call_is_not_stored(
    open_cache: OpenCache,
) -> None:
    gateway = await open_cache(policies=policies("of:{name}", drops="of:{text}"))
    slow = await hold(gateway, "GetItem", "/v1/items/a")
    held, gateway.backend.open = gateway.backend.open, asyncio.Event()
    gateway.backend.open.set()
    await gateway.send("PATCH", "/v1/items/c", '{"text": "items/a"}')
    held.set()
    await slow
    assert not await is_stored(gateway, "/v1/items/a")


async def test_a_reply_that_gets_a_tag_which_was_dropped_meanwhile_is_not_stored(
    open_cache: OpenCache,
) -> None:
    gateway = await open_cache(policies=policies(drops="of:{text}"))
    gateway.backend.metadata = (("surrogate-key", "of:x"),)
    slow = await hold(gateway, "GetItem", "/v1/items/a")
    held, gateway.backend.open = gateway.backend.open, asyncio.Event()
    gateway.backend.open.set()
    await gateway.send("PATCH", "/v1/items/c", '{"text": "x"}')
    held.set()
    await slow
    assert not await is_stored(gateway, "/v1/items/a")


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([{"selector": GET, "cache": {"tags": ["{nme}"]}}], "has no field nme"),
        ([{"selector": GET, "cache": {"tags": ["{more}"]}}], "a repeated field"),
        ([{"selector": GET, "cache": {"tags": [""]}}], "a tag is empty"),
        ([{"selector": GET, "cache": {"tags": ["book:{name"]}}], "fields in braces"),
        ([{"selector": GET, "invalidates": ["all"]}], "has no side effects"),
        ([{"selector": UPDATE, "invalidates": ["{name.x}"]}], "has no field name.x"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_tag_that_cannot_be_made_is_refused(
    open_cache: OpenCache, rules: list[dict[str, Any]], words: str
) -> None:
    with pytest.raises(PolicyError, match=words):
        await open_cache(policies=rules)

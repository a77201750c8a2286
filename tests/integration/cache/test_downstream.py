"""What clients are told of the life of stored replies (`downstream`)."""

import pytest

from tests.integration.cache.conftest import OpenCache
from tests.support.counting_backend import CachingGateway
from tests.support.http import Answer

ITEM = "/v1/items/a"


def stated(answer: Answer) -> list[str]:
    return [value for name, value in answer.headers if name.lower() == "cache-control"]


async def opened(open_cache: OpenCache, **keys: object) -> CachingGateway:
    policies: list[dict[str, object]] = [
        {"selector": f"shop.v1.Shop.{name}", "cache": {"downstream": True} | keys}
        for name in ("GetItem", "Search")
    ]
    return await open_cache(policies=policies)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, "private, max-age=600"),
        ({"scope": "anonymous"}, "private, max-age=600"),
        ({"scope": "shared"}, "max-age=600"),
        ({"downstream": False}, "no-store"),
    ],
    ids=str,
)
async def test_the_policy_tells_clients_how_long_a_reply_lives(
    open_cache: OpenCache, keys: dict[str, object], expected: str
) -> None:
    gateway = await opened(open_cache, **keys)
    answers = [await gateway.get(ITEM) for _ in range(4)]
    answers.append(await gateway.send("HEAD", ITEM, ""))
    answers.append(await gateway.get(ITEM, "If-None-Match: *"))
    assert [stated(one) for one in answers] == [[expected]] * 6
    assert gateway.backend.calls["GetItem"] == 1


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (("cache-control", "max-age=5"), "max-age=5"),
        (("expires", "Fri, 31 Dec 9999 23:59:59 GMT"), "no-store"),
        (("gateway-cache-control", "max-age=5"), "no-store"),
        (("set-cookie", "a=b"), "no-store"),
    ],
)
async def test_the_back_end_is_stronger(
    open_cache: OpenCache, metadata: tuple[str, str], expected: str
) -> None:
    gateway = await opened(open_cache)
    gateway.backend.metadata = (metadata,)
    for _ in range(3):
        assert stated(await gateway.get(ITEM)) == [expected]


async def test_a_confirmed_reply_is_told_again(open_cache: OpenCache) -> None:
    gateway = await opened(open_cache, ttl_s=0.001)
    gateway.backend.metadata = (("etag", '"v1"'),)
    assert stated(await gateway.get(ITEM)) == ["private, max-age=0"]
    gateway.backend.metadata = (("x-http-code", "304"),)
    again = await gateway.get(ITEM)
    assert "fwd-status=304" in (again.header("Cache-Status") or "")
    assert stated(again) == ["private, max-age=0"]


async def test_failures_and_posts_are_not_told(open_cache: OpenCache) -> None:
    gateway = await opened(open_cache, negative={"not_found_s": 60})
    for _ in range(2):
        assert stated(await gateway.send("POST", "/v1/items:search")) == ["no-store"]
    gateway.backend.raw = b"\x0a\x05a"  # it ends within a field
    failed = await gateway.get(ITEM)
    assert (failed.status, stated(failed)) == (500, ["no-store"])
    gateway.backend.raw = None
    for _ in range(3):
        judged = await gateway.get("/v1/items/b", 'If-None-Match: "other"')
        assert (judged.status, stated(judged)) == (200, ["private, max-age=600"])

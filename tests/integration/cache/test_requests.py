"""What requests ask of the cache by Cache-Control and Pragma, and who is obeyed."""

import asyncio

import pytest

from tests.integration.cache.conftest import OpenCache
from tests.support.counting_backend import CachingGateway

GET = "shop.v1.Shop.GetItem"
ITEM = "/v1/items/a"
TAG = ("etag", '"v1"')


def rule(**keys: object) -> list[dict[str, object]]:
    return [{"selector": GET, "cache": {"request_control": True} | keys}]


async def state(gateway: CachingGateway, *headers: str) -> str:
    return (await gateway.get(ITEM, *headers)).header("Cache-Status") or ""


@pytest.mark.parametrize(
    ("headers", "is_forced"),
    [
        (("Pragma: no-cache",), True),
        (("Pragma: No-Cache, other",), True),
        (("Pragma: other",), False),
        (("Pragma: no-cache", "Cache-Control: max-age=500"), False),
    ],
)
async def test_pragma_counts_without_cache_control(
    open_cache: OpenCache, headers: tuple[str, ...], is_forced: bool
) -> None:
    gateway = await open_cache(policies=rule())
    for _ in range(3):  # from the third on, the request line is known
        await gateway.get(ITEM)
    assert ("fwd=request" in await state(gateway, *headers)) is is_forced
    ignores = await open_cache(policies=rule(request_control=False))
    await ignores.get(ITEM)
    assert "hit" in await state(ignores, *headers)


@pytest.mark.parametrize(
    ("metadata", "asked", "is_sent"),
    [
        ("max-age=0", "max-stale", True),
        ("max-age=0", "max-stale=100", True),
        ("max-age=0", "max-stale=x", False),
        ("max-age=0", "max-stale=100, no-cache", False),
        ("max-age=0", "min-fresh=1, max-stale", False),
        ("max-age=0, must-revalidate", "max-stale=100", False),
        ("s-maxage=0", "max-stale=100", False),
        ("no-cache", "max-stale=100", False),
    ],
)
async def test_a_client_can_accept_a_stale_reply(
    open_cache: OpenCache, metadata: str, asked: str, is_sent: bool
) -> None:
    gateway = await open_cache(policies=rule())
    gateway.backend.metadata = (("cache-control", metadata), TAG)
    await gateway.get(ITEM)
    assert ("hit" in await state(gateway, f"Cache-Control: {asked}")) is is_sent
    assert gateway.backend.calls["GetItem"] == (1 if is_sent else 2)


async def test_a_reply_is_not_accepted_when_it_is_too_stale(open_cache: OpenCache) -> None:
    gateway = await open_cache(policies=rule())
    gateway.backend.metadata = (("cache-control", "max-age=5"), ("age", "65"), TAG)
    await gateway.get(ITEM)
    assert "fwd=stale" in await state(gateway, "Cache-Control: max-stale=50")
    assert "hit; ttl=-" in await state(gateway, "Cache-Control: max-stale=90")


async def test_nobody_forces_a_call_without_the_scope_for_it(
    open_cache: OpenCache, guarded: CachingGateway, tmp_path: object
) -> None:
    gateway = await open_cache(
        auth={"store": f"sqlite:///{tmp_path}/keys.db", "anonymous": True},
        cache={"admin_scope": "cache.refresh"},
        policies=rule(scope="shared"),
    )
    ada, ops = await guarded.key_of("ada", "read"), await guarded.key_of("ops", "cache.refresh")
    await gateway.get(ITEM)
    for forced in ("Cache-Control: no-cache", "Cache-Control: max-age=0", "Pragma: no-cache"):
        for caller in ("X-None: 1", ada):
            assert "hit" in await state(gateway, forced, caller)
        assert "fwd=request" in await state(gateway, forced, ops)
    assert gateway.backend.calls["GetItem"] == 4


async def test_a_stale_reply_is_sent_at_the_deadline_of_its_client(open_cache: OpenCache) -> None:
    gateway = await open_cache(policies=rule(sie_s=600))
    gateway.backend.metadata = (("cache-control", "max-age=0"), TAG)
    old = await gateway.get(ITEM)
    gateway.backend.open.clear()
    async with asyncio.timeout(10):  # the deadline of the method is 30 s
        stale = await gateway.get(ITEM, "Grpc-Timeout: 200m")
    assert (stale.status, stale.body) == (200, old.body)
    gateway.backend.open.set()

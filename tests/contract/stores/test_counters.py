"""What every counter promises."""

import asyncio

import pytest

from gateway.stores.base import Limit, SlidingWindow, Store, TokenBucket

LIMITS = [
    pytest.param(TokenBucket(5, 3600.0), id="bucket"),
    pytest.param(SlidingWindow(5, 3600.0), id="window"),
]


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_limit_lets_through_what_it_allows(store: Store, limit: Limit) -> None:
    taken = [await store.take("k", limit) for _ in range(7)]
    assert [t.allowed for t in taken] == [True] * 5 + [False] * 2
    assert [t.remaining for t in taken] == [4, 3, 2, 1, 0, 0, 0]
    assert all(t.retry_after_s == 0 for t in taken[:5])
    assert all(0 < t.retry_after_s <= 7200 for t in taken[5:])
    assert all(0 < t.reset_after_s <= 7200 for t in taken)


@pytest.mark.parametrize("limit", LIMITS)
async def test_what_costs_more_takes_more(store: Store, limit: Limit) -> None:
    assert (await store.take("k", limit, 3)).remaining == 2
    refused = await store.take("k", limit, 3)
    assert not refused.allowed
    assert refused.remaining == 2
    assert (await store.take("k", limit, 2)).allowed


@pytest.mark.parametrize("limit", LIMITS)
async def test_counters_do_not_share(store: Store, limit: Limit) -> None:
    for _ in range(5):
        await store.take("one", limit)
    assert not (await store.take("one", limit)).allowed
    assert (await store.take("other", limit)).remaining == 4


@pytest.mark.parametrize("limit", LIMITS)
async def test_of_many_at_once_exactly_the_limit_passes(store: Store, limit: Limit) -> None:
    taken = await asyncio.gather(*(store.take("k", limit) for _ in range(40)))
    assert sum(t.allowed for t in taken) == 5


async def test_a_bucket_fills_again_evenly(store: Store) -> None:
    bucket = TokenBucket(10, 1.0)
    for _ in range(10):
        await store.take("k", bucket)
    refused = await store.take("k", bucket)
    assert not refused.allowed
    assert 0 < refused.retry_after_s <= 0.1
    await asyncio.sleep(0.25)
    taken = [await store.take("k", bucket) for _ in range(4)]
    assert 2 <= sum(t.allowed for t in taken) <= 3


async def test_a_window_slides(store: Store) -> None:
    window = SlidingWindow(4, 0.5)
    while (await store.take("k", window)).allowed:
        pass
    refused = await store.take("k", window)
    assert 0 < refused.retry_after_s <= 1.0
    await asyncio.sleep(refused.retry_after_s + 0.02)
    assert (await store.take("k", window)).allowed

"""What every counter promises."""

import asyncio
import time

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
    bucket = TokenBucket(10, 2.0)
    for _ in range(10):
        await store.take("k", bucket)
    since_s = time.monotonic()
    refused = await store.take("k", bucket)
    assert not refused.allowed
    assert 0 < refused.retry_after_s <= 0.2
    await asyncio.sleep(0.5)
    taken = [await store.take("k", bucket) for _ in range(4)]
    # Five come back in a second; on a busy machine more time than that half second has passed.
    assert 2 <= sum(t.allowed for t in taken) <= 1 + (time.monotonic() - since_s) * 5


async def test_a_window_slides(store: Store) -> None:
    window = SlidingWindow(4, 0.5)
    while (await store.take("k", window)).allowed:
        pass
    refused = await store.take("k", window)
    assert 0 < refused.retry_after_s <= 1.0
    await asyncio.sleep(refused.retry_after_s + 0.02)
    assert (await store.take("k", window)).allowed


@pytest.mark.parametrize("limit", LIMITS)
async def test_several_are_taken_from_together(store: Store, limit: Limit) -> None:
    wide = TokenBucket(100, 3600.0)
    first, second = await store.take_all([("k", limit, 1), ("wide", wide, 3)])
    assert (first.allowed, first.remaining) == (True, 4)
    assert (second.allowed, second.remaining) == (True, 97)


@pytest.mark.parametrize("limit", LIMITS)
async def test_where_one_refuses_nothing_is_taken_from_any(store: Store, limit: Limit) -> None:
    both = [("wide", SlidingWindow(100, 3600.0), 1), ("k", limit, 2)]
    last = [(await store.take_all(both)) for _ in range(5)][-1]
    assert [taken.allowed for taken in last] == [True, False]
    assert [taken.remaining for taken in last] == [98, 1]
    assert last[0].retry_after_s == 0 < last[1].retry_after_s
    assert (await store.take("k", limit)).allowed


@pytest.mark.parametrize("limit", LIMITS)
async def test_of_many_at_once_exactly_what_the_narrowest_allows_passes(
    store: Store, limit: Limit
) -> None:
    both = [("wide", TokenBucket(100, 36000.0), 1), ("k", limit, 1)]
    taken = await asyncio.gather(*(store.take_all(both) for _ in range(40)))
    assert sum(all(t.allowed for t in one) for one in taken) == 5
    assert (await store.take("wide", TokenBucket(100, 36000.0))).remaining == 94


async def test_many_questions_at_once_are_no_outage(store: Store) -> None:
    limit = TokenBucket(300, 3600.0)
    takes = asyncio.gather(*(store.take("k", limit) for _ in range(400)))
    finds = asyncio.gather(*(store.find_token(bytes(32)) for _ in range(400)))
    assert sum(taken.allowed for taken in await takes) == 300
    assert await finds == [None] * 400


async def test_what_was_taken_can_be_given_back(store: Store) -> None:
    limit = TokenBucket(3, 3600.0)
    for _ in range(20):
        taken = await store.take_all([("a", limit, 1), ("b", limit, 3)])
        assert [one.allowed for one in taken] == [True, True]
        await store.take_all([("a", limit, -1), ("b", limit, -3)])
    assert (await store.take("a", limit, 0)).remaining == 3
    await store.take("a", limit, -5)
    assert (await store.take("a", limit, 3)).allowed
    assert not (await store.take("a", limit, 1)).allowed


@pytest.mark.parametrize("limit", LIMITS)
async def test_counters_that_are_forgotten_are_new(store: Store, limit: Limit) -> None:
    keys = ["a:[*]ada", "a:[*]adam", "a:b", "b:c"]

    async def used_up() -> list[str]:
        return [key for key in keys if not (await store.take(key, limit, 0)).remaining]

    for key in keys:
        await store.take(key, limit, 5)
    await store.forget([])
    assert await used_up() == keys
    await store.forget(["a:[*]ada", "unknown"])
    assert await used_up() == ["a:[*]adam", "a:b", "b:c"]
    await store.forget_all("a:[*]")
    assert await used_up() == ["a:b", "b:c"]
    await store.forget_all("a:")
    assert await used_up() == ["b:c"]

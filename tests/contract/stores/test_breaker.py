"""A frozen Redis costs each question no more than its limit, and then no question anything."""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from gateway.stores.base import Store, StoreUnavailableError, TokenBucket
from gateway.stores.shared import SharedStores
from tests.contract.stores.test_tokens import token
from tests.support.polling import first
from tests.support.redis_server import free_port, frozen, redis_server

LIMIT_S = 0.1
LIMIT = TokenBucket(1000, 3600.0)


@pytest.fixture
def url() -> Iterator[str]:
    with redis_server() as url:
        yield url


async def is_reached(store: Store) -> bool:
    with suppress(StoreUnavailableError):
        await store.find_token(bytes(32))
        return True
    return False


async def test_questions_to_a_frozen_redis_end_and_then_are_not_asked(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with SharedStores().open("tokens", url, LIMIT_S) as store:
        await store.add_tokens([token("t")])
        with caplog.at_level(logging.WARNING, "gateway"):
            async with frozen(url):
                for _ in range(5):
                    with pytest.raises(StoreUnavailableError, match=r"redis at 127\.0\.0\.1"):
                        await store.find_token(token("t").digest)
                started_s = time.monotonic()
                for _ in range(300):
                    with pytest.raises(StoreUnavailableError):
                        await store.find_token(token("t").digest)
                assert time.monotonic() - started_s < 300 * LIMIT_S / 2
            assert await first(lambda: is_reached(store), bool)
        assert await store.find_token(token("t").digest) is not None
        messages = [record.getMessage() for record in caplog.records]
        assert len(messages) == 2
        assert messages[0].startswith("the store is unavailable and is not asked until it is back")
        assert messages[1] == "the store is available again: redis at 127.0.0.1"


async def test_many_questions_at_once_wait_no_longer_than_one(url: str) -> None:
    async with SharedStores().open("tokens", url, LIMIT_S) as store:
        await store.ping()
        async with frozen(url):
            started_s = time.monotonic()
            # Counters go in batches of a hundred, one after the other: no batch may wait for three.
            lost = await asyncio.gather(
                *(store.take(f"k{n}", LIMIT) for n in range(400)),
                *(store.find_token(bytes(32)) for _ in range(400)),
                return_exceptions=True,
            )
            assert time.monotonic() - started_s < 20 * LIMIT_S
        assert {type(one) for one in lost} == {StoreUnavailableError}
        assert await first(lambda: is_reached(store), bool)
        assert (await store.take("k", LIMIT)).allowed


async def test_it_returns_without_a_question_that_fails(url: str) -> None:
    async with SharedStores().open("tokens", url, LIMIT_S) as store:
        await store.ping()
        async with frozen(url):
            for _ in range(6):
                assert not await is_reached(store)
        # Nobody asks meanwhile: the probe alone finds the store.
        await asyncio.sleep(2.0)
        assert await is_reached(store)


async def test_a_few_failures_do_not_open_it() -> None:
    port = free_port()
    async with SharedStores().open("tokens", f"redis://127.0.0.1:{port}/0", 1.0) as store:
        for _ in range(4):
            assert not await is_reached(store)
        with redis_server(port):
            assert await is_reached(store)
            # A success starts the count again.
        for _ in range(4):
            assert not await is_reached(store)
        with redis_server(port):
            assert await is_reached(store)


async def test_a_new_redis_at_the_address_needs_no_restart() -> None:
    port = free_port()
    async with SharedStores().open("tokens", f"redis://127.0.0.1:{port}/0", 1.0) as store:
        with redis_server(port):
            await store.add_tokens([token("before")])
        for _ in range(9):
            assert not await is_reached(store)
        # Its scripts are gone with it.
        with redis_server(port):
            assert await first(lambda: is_reached(store), bool)
            await store.add_tokens([token("t")])
            assert await store.find_token(token("t").digest) is not None

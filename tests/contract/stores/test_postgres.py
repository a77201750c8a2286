"""PostgreSQL as a store: its outages, its URL, and what several nodes do at once."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from gateway.stores.base import (
    EXPIRED_KEYS_KEPT_S,
    Rotation,
    Store,
    StoreUnavailableError,
    TokenBucket,
    TokenKind,
)
from gateway.stores.opening import StoreUrlError, make_store, open_store
from gateway.stores.postgres import store as postgres_store
from gateway.stores.shared import SharedStores
from tests.contract.stores.test_keys import key
from tests.contract.stores.test_tokens import token
from tests.support.polling import first
from tests.support.postgres_server import frozen, postgres_cluster, postgres_server
from tests.support.redis_server import free_port

LIMIT_S = 0.25


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    with postgres_cluster() as data:
        yield data


async def is_reached(store: Store) -> bool:
    with suppress(StoreUnavailableError):
        await store.find_token(bytes(32))
        return True
    return False


async def test_a_server_that_goes_and_comes_back(data: Path) -> None:
    port = free_port()
    with postgres_server(data, port) as (url, _):
        pass
    url = f"{url}?prefix=gone_"
    async with SharedStores().open("tokens", url, 2.0) as store:
        with pytest.raises(StoreUnavailableError, match=r"postgres at 127\.0\.0\.1: ") as caught:
            await store.ping()
        assert "p%" not in str(caught.value)
        with postgres_server(data, port):
            await store.add_tokens([token("t")])
        for _ in range(7):
            assert not await is_reached(store)
        with postgres_server(data, port):
            assert await first(lambda: is_reached(store), bool)
            assert await store.find_token(token("t").digest) is not None


async def test_a_frozen_server_holds_nobody_up(data: Path) -> None:
    with postgres_server(data) as (url, pid):
        async with SharedStores().open("tokens", f"{url}?prefix=frozen_", LIMIT_S) as store:
            assert await first(lambda: is_reached(store), bool)
            with frozen(pid):
                started_s = time.monotonic()
                lost = await asyncio.gather(
                    *(store.take(f"k{n}", TokenBucket(9, 60.0)) for n in range(200)),
                    *(store.find_token(bytes(32)) for _ in range(200)),
                    return_exceptions=True,
                )
                for _ in range(100):
                    assert not await is_reached(store)
                assert time.monotonic() - started_s < 50 * LIMIT_S
            assert {type(one) for one in lost} == {StoreUnavailableError}
            assert await first(lambda: is_reached(store), bool)
            assert (await store.take("k", TokenBucket(9, 60.0))).allowed


@pytest.fixture
async def two(postgres_url: str) -> AsyncIterator[tuple[Store, Store]]:
    url = f"{postgres_url}?prefix=two{time.monotonic_ns()}_"
    async with open_store(url) as one, open_store(url) as other:
        yield one, other


async def test_two_nodes_create_the_tables_at_once(two: tuple[Store, Store]) -> None:
    await asyncio.gather(*(store.ping() for store in two for _ in range(5)))


async def test_two_nodes_let_exactly_the_limit_through(two: tuple[Store, Store]) -> None:
    limit, wide = TokenBucket(30, 36000.0), TokenBucket(900, 36000.0)
    # In different orders: neither node may wait for a row that the other holds.
    ahead, back = [("a", limit, 1), ("b", wide, 1)], [("b", wide, 1), ("a", limit, 1)]
    taken = await asyncio.gather(
        *(store.take_all(ahead if n % 2 else back) for n in range(50) for store in two)
    )
    assert sum(all(one.allowed for one in each) for each in taken) == 30


async def test_a_login_revoked_during_its_rotation_leaves_no_token(
    two: tuple[Store, Store],
) -> None:
    one, other = two
    for number in range(30):
        name = f"f{number}"
        old = token(f"old{number}", TokenKind.REFRESH, family=name)
        new = [token(f"new{number}", TokenKind.REFRESH, family=name)]
        await one.add_tokens([old])
        # In either order nothing is left: a login that was revoked first cannot be renewed.
        rotation, _ = await asyncio.gather(
            one.rotate_token(old.digest, new), other.revoke_family(name)
        )
        assert rotation in (Rotation.DONE, Rotation.UNKNOWN)
        assert await other.find_token(new[0].digest) is None


async def test_expired_rows_are_deleted(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_store, "_SWEEP_EVERY_S", 0.0)
    async with open_store(f"{postgres_url}?prefix=swept_") as store:
        await store.add_tokens([token("gone", lives_s=-1.0), token("kept")])
        await store.add_key(key("gone", lives_s=-EXPIRED_KEYS_KEPT_S - 1))
        connection = await asyncpg.connect(postgres_url)
        try:

            async def rows() -> int:
                await store.add_tokens([])
                counted = await connection.fetchval(
                    "SELECT (SELECT count(*) FROM swept_tokens) + "
                    "(SELECT count(*) FROM swept_api_keys)"
                )
                return int(counted)

            assert await first(rows, lambda count: count == 1) == 1
        finally:
            await connection.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgres://ann:pw@host",
        "postgres://ann:pw@/db",
        "postgres://ann:pw@host:x/db",
        "postgres://ann:pw@host/db?nonsense=1",
        "postgres://ann:pw@host/db?sslmode=perhaps",
        "postgres://ann:pw@host/db?prefix=x;drop",
        "postgres://ann:pw/pw@host/db",
        "postgres://ann:pw#pw@host/db",
        "postgresql://ann:pw@host/db/other",
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(StoreUrlError, match="percent-encoded") as caught:
        make_store(url)
    assert "pw" not in str(caught.value).replace("[:password]", "")
    assert caught.value.__context__ is None


async def test_urls_that_are_taken() -> None:
    for url in (
        "postgres://host/db",
        "postgresql://ann:p%40w@a:5433,b/db?sslmode=verify-full&sslrootcert=/ca.pem&prefix=x_",
    ):
        store = make_store(url)
        assert "p%40w" not in repr(store)
        await store.close()

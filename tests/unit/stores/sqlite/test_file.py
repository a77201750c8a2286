"""Reads wait for no writer, and a file that was replaced is left for the one that is there."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import pytest

from gateway.stores.base import TokenBucket
from gateway.stores.sqlite import file
from gateway.stores.sqlite.store import SqliteStore
from tests.contract.stores.test_keys import key
from tests.contract.stores.test_tokens import token

LIMIT = TokenBucket(10, 60.0)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "gateway.db")
    yield store
    await store.close()


@contextmanager
def blocked(path: Path) -> Iterator[None]:
    """Another process' write that does not end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_reads_do_not_wait_behind_a_blocked_write(store: SqliteStore, tmp_path: Path) -> None:
    await store.add_tokens([token("known")])
    await store.add_key(key("k"))
    with blocked(tmp_path / "gateway.db"):
        writes = [asyncio.create_task(store.add_tokens([token(f"t{n}")])) for n in range(3)]
        await asyncio.sleep(0.1)
        assert await store.find_token(token("known").digest) is not None
        assert await store.find_key(key("k").digest) is not None
        assert len([one async for one in store.list_tokens()]) == 1
        assert (await store.take("k", LIMIT, 0)).remaining == 10
        await store.ping()
        assert not any(write.done() for write in writes)
    await asyncio.gather(*writes)
    assert len([one async for one in store.list_tokens()]) == 4


async def test_a_read_that_is_the_first_of_all_does_not_wait_either(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    before = SqliteStore(path)
    await before.add_tokens([token("known")])
    await before.close()
    store = SqliteStore(path)
    with blocked(path):
        write = asyncio.create_task(store.add_tokens([token("t")]))
        await asyncio.sleep(0.1)
        assert await store.find_token(token("known").digest) is not None
        assert not write.done()
    await write
    await store.close()


@pytest.mark.slow
async def test_several_processes_may_open_a_new_file_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "_OPENING", nullcontext())  # no lock is shared by processes
    for number in range(60):
        stores = [SqliteStore(tmp_path / f"{number}.db") for _ in range(6)]
        await asyncio.gather(*(store.ping() for store in stores for _ in range(2)))
        for store in stores:
            await store.close()


async def test_both_threads_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    for number in range(20):
        store = SqliteStore(tmp_path / f"{number}.db")
        await asyncio.gather(store.ping(), store.add_tokens([token("t")]), store.take("k", LIMIT))
        await store.close()


async def replaced_by(path: Path, name: str) -> None:
    """Another database takes the place of the one at `path`, as `mv` does it."""
    other = SqliteStore(path.with_name("other.db"))
    await other.add_tokens([token(name)])
    await other.close()
    path.with_name("other.db").replace(path)


async def test_a_file_that_was_replaced_is_noticed(store: SqliteStore, tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    second = SqliteStore(path)
    for one, name in ((store, "old"), (second, "older")):
        await one.add_tokens([token(name, family=name) for name in (name, f"{name}2")])
        assert await one.find_token(token(name).digest) is not None
    await replaced_by(path, "new")
    for one in (store, second):
        assert await one.find_token(token("new").digest) is not None
        assert await one.find_token(token("old").digest) is None
    for number in range(50):
        await store.add_tokens([token(f"from first {number}")])
        await second.add_tokens([token(f"from second {number}")])
    assert len([one async for one in store.list_tokens()]) == 101
    await second.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_write_notices_it_too(store: SqliteStore, tmp_path: Path) -> None:
    await store.add_tokens([token("old")])
    await replaced_by(tmp_path / "gateway.db", "new")
    await store.add_tokens([token("newer")])
    found = [one.digest async for one in store.list_tokens()]
    assert sorted(found) == sorted([token("new").digest, token("newer").digest])


async def test_a_file_that_was_deleted_is_made_anew(store: SqliteStore, tmp_path: Path) -> None:
    await store.add_tokens([token("old")])
    (tmp_path / "gateway.db").unlink()
    assert await store.find_token(token("old").digest) is None
    await store.add_tokens([token("t")])
    assert await store.find_token(token("t").digest) is not None
    assert (tmp_path / "gateway.db").stat().st_mode & 0o077 == 0

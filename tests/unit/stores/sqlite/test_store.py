"""What has expired leaves the file, however much there is of it."""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from gateway.stores.base import EXPIRED_KEYS_KEPT_S, KeyRecord, TokenBucket, TokenKind
from gateway.stores.sqlite.store import SqliteStore
from tests.contract.stores.test_tokens import token
from tests.support.recording import Clock

BRIEFLY = TokenBucket(1, 0.5)


@pytest.mark.slow
async def test_counters_that_somebody_made_up_go_as_fast_as_they_came(tmp_path: Path) -> None:
    clock = Clock()
    store = SqliteStore(tmp_path / "gateway.db", clock)
    made_up = (store.take(f"made up {number}", BRIEFLY) for number in range(12_000))
    await asyncio.gather(*made_up)
    left = []
    for pause_s in (61, 2, 2):
        clock.now_s += pause_s
        await store.take("busy", BRIEFLY)
        left.append(_counters(tmp_path / "gateway.db"))
    await store.close()
    assert left == [7_001, 2_001, 1]


def _counters(path: Path) -> int:
    return _count(path, "counters")


async def test_tokens_go_though_nobody_logs_in_any_more(tmp_path: Path) -> None:
    clock = Clock(time.time())
    store = SqliteStore(tmp_path / "gateway.db", clock)
    await store.add_tokens([token("first", TokenKind.REFRESH, lives_s=1e6)])
    last = "first"
    for number in range(4):
        clock.now_s += 120
        await store.rotate_token(
            token(last).digest,
            [
                token(f"a{number}", lives_s=120 * number + 180),
                token(f"r{number}", TokenKind.REFRESH, lives_s=1e6),
            ],
        )
        last = f"r{number}"
    await store.close()
    assert _count(tmp_path / "gateway.db", "tokens WHERE kind = 'access'") == 1


async def test_keys_go_when_they_have_expired_long_ago(tmp_path: Path) -> None:
    clock = Clock(1e9)
    store = SqliteStore(tmp_path / "gateway.db", clock)
    await store.add_key(KeyRecord(b"1", "k1", "ann", frozenset(), 0.0, clock.now_s + 60))
    await store.replace_key("k1", b"2", 60)
    clock.now_s += EXPIRED_KEYS_KEPT_S + 120
    await store.add_key(KeyRecord(b"3", "k2", "ann", frozenset(), 0.0))
    await store.close()
    assert _count(tmp_path / "gateway.db", "api_keys") == 1
    assert _count(tmp_path / "gateway.db", "old_secrets") == 0


def _count(path: Path, what: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute(f"SELECT COUNT(*) FROM {what}").fetchone()
        return int(count)

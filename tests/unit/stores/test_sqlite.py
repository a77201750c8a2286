"""What has expired leaves the file, however much there is of it."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.stores.base import TokenBucket
from gateway.stores.sqlite import SqliteStore
from tests.support.recording import Clock

BRIEFLY = TokenBucket(1, 0.5)


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
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute("SELECT COUNT(*) FROM counters").fetchone()
        return int(count)

"""A connection to a SQLite file, on a thread of its own, as long as the file is the same one."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import TypeVar

from gateway.stores.base import StoreUnavailableError

T = TypeVar("T")
_Identity = tuple[int, int]

PATIENCE_S = 5.0
"""How long a statement waits for another process' write."""
_CACHE_KB = 16 * 1024
# Two that open a new file at once would find it locked: that it has a write-ahead log is written.
_OPENING = Lock()


class SqliteThread:
    """Runs statements one after the other, on one connection.

    A file that was replaced, or deleted, is noticed by the next statement, which opens what is
    there now. What is read and what is written have a thread each, so that no read waits behind a
    write that another process holds up.
    """

    def __init__(self, path: Path, schema: str) -> None:
        """`schema` makes the tables of a new file."""
        self._path = path
        self._schema = schema
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._connection: sqlite3.Connection | None = None
        self._file: _Identity | None = None
        self._companions: dict[Path, _Identity | None] = {}

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` makes of the connection.

        Raises:
            StoreUnavailableError: the file cannot be read or written.
        """

        def guarded() -> T:
            try:
                return work(self._open())
            except (sqlite3.Error, OSError) as error:
                self._forget()
                reason = type(error).__name__
                raise StoreUnavailableError(f"the file {self._path.name}: {reason}") from None

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)

    async def close(self) -> None:
        """Closes the file."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._forget)
        self._thread.shutdown()

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and _identity(self._path) == self._file:
            return self._connection
        with _OPENING:
            if self._connection is not None:
                self._leave_replaced()
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        if not self._path.exists():
            self._path.touch(mode=0o600)
        self._connection = connection = sqlite3.connect(
            self._path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        # Loses the last commits on a power cut, but never consistency: tokens are asked for
        # again, and a revocation that must outlive that is rare beside a sync per request.
        connection.execute("PRAGMA synchronous = NORMAL")
        # Digests are spread over the whole tree: with SQLite's 2 MB most writes read first.
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        connection.executescript(self._schema)
        # After the statements above, which have made the log if there was none.
        self._file = _identity(self._path)
        log, index = (self._path.with_name(self._path.name + end) for end in ("-wal", "-shm"))
        self._companions = {log: _identity(log), index: _identity(index)}
        return connection

    def _leave_replaced(self) -> None:
        """Closes the file that was replaced, and removes what it left beside the new one.

        SQLite leaves the log of a file that has moved where it is, and would play it into the new
        one, which it does not belong to (sqlite.org/howtocorrupt.html, section 1.4).
        """
        self._forget()
        for path, seen in self._companions.items():
            # Another worker may have been here before, and these be those of the new file.
            if seen is not None and _identity(path) == seen:
                path.unlink(missing_ok=True)

    def _forget(self) -> None:
        """After a failure the next operation starts afresh: the file may be another by then."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _identity(path: Path) -> _Identity | None:
    """What a file keeps when it is written, and another file has not."""
    try:
        found = os.stat(path)  # noqa: PTH116 - at each statement: a third of what Path.stat costs
    except OSError:
        return None
    return found.st_dev, found.st_ino

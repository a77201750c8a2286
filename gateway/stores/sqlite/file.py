"""A connection to a SQLite file, on its own thread, reopened if the file is replaced."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import TypeVar

from gateway.stores.base import StoreUnavailableError

T = TypeVar("T")
_Identity = tuple[int, int]

BUSY_TIMEOUT_S = 5.0
"""Seconds that a statement waits for another process' write."""
_CACHE_KB = 16 * 1024
_OPENING_PAUSE_S = 0.01
_OPENING = Lock()
"""Held while a file is opened, so that no thread removes the log that another has just made."""


class SqliteThread:
    """Runs statements one after the other, on one connection.

    The next statement after the file was replaced or deleted opens the file that is there then.
    Reads and writes have one thread each, so that no read waits for a write that another process
    delays.
    """

    def __init__(self, path: Path, schema: str) -> None:
        """`schema` creates the tables of a new file."""
        self._path = path
        self._schema = schema
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._connection: sqlite3.Connection | None = None
        self._file: _Identity | None = None
        self._companions: dict[Path, _Identity | None] = {}

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` with the connection, and returns its result.

        Raises:
            StoreUnavailableError: the file cannot be read or written.
        """

        def guarded() -> T:
            try:
                return work(self._open())
            except (sqlite3.Error, OSError) as error:
                self._disconnect()
                reason = type(error).__name__
                raise StoreUnavailableError(f"the file {self._path.name}: {reason}") from None

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)

    async def close(self) -> None:
        """Closes the file."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and _identity(self._path) == self._file:
            return self._connection
        with _OPENING:
            if self._connection is not None:
                self._close_replaced()
            return self._connect_when_free()

    def _connect_when_free(self) -> sqlite3.Connection:
        until_s = time.monotonic() + BUSY_TIMEOUT_S
        while True:
            try:
                return self._connect()
            except sqlite3.OperationalError as error:
                self._disconnect()
                # Two that set WAL mode of a new file at once stop each other without a wait: the
                # timeout of the connection is not for this case (sqlite3_busy_handler).
                is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not is_busy or time.monotonic() > until_s:
                    raise
                time.sleep(_OPENING_PAUSE_S)

    def _connect(self) -> sqlite3.Connection:
        if not self._path.exists():
            self._path.touch(mode=0o600)
        self._connection = connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        # A power cut loses the last commits, but not consistency: clients request tokens again, and
        # a lost revocation is unlikely enough to avoid a sync for each request.
        connection.execute("PRAGMA synchronous = NORMAL")
        # Digests are spread over the whole tree: with SQLite's default of 2 MB most writes would
        # have to read first.
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        connection.executescript(self._schema)
        # After the statements above, which create the log of a new file.
        self._file = _identity(self._path)
        log, index = (self._path.with_name(self._path.name + end) for end in ("-wal", "-shm"))
        self._companions = {log: _identity(log), index: _identity(index)}
        return connection

    def _close_replaced(self) -> None:
        """Closes a file that was replaced, and removes the log it left next to the new one.

        SQLite leaves the log of a moved file in place, and would apply it to the new file, to which
        it does not belong (sqlite.org/howtocorrupt.html, section 1.4).
        """
        self._disconnect()
        for path, seen in self._companions.items():
            # Another worker may have done this already; then these files belong to the new one.
            if seen is not None and _identity(path) == seen:
                path.unlink(missing_ok=True)

    def _disconnect(self) -> None:
        """Closes the connection after a failure; the next operation reopens the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _identity(path: Path) -> _Identity | None:
    """Identifies a file: unchanged by writes, and different for each file."""
    try:
        found = os.stat(path)  # noqa: PTH116 - for each statement: a third of the cost of Path.stat
    except OSError:
        return None
    return found.st_dev, found.st_ino

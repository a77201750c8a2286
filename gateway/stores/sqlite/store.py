"""A store in one SQLite file, for any number of workers on one machine.

Statements run on separate threads, because a disk can be slow: one writes, one reads. The
write-ahead log lets all read while one writes; writers wait for each other for at most
`BUSY_TIMEOUT_S` of `file` (sqlite.org/wal.html).
"""

import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.stores import counting
from gateway.stores.base import (
    EXPIRED_KEYS_KEPT_S,
    Demand,
    KeyRecord,
    Limit,
    Rotation,
    Taken,
    TokenKind,
    TokenRecord,
)
from gateway.stores.batching import Batches
from gateway.stores.rows import KEY, TOKEN, key_of, key_values, token_of, token_values
from gateway.stores.sqlite.file import SqliteThread

_Outcome = tuple[Taken, counting.State]

_PAGE = 500
_SWEEP_EVERY_S = 60.0
_SWEPT_AT_ONCE = 5000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS tokens (
  digest BLOB PRIMARY KEY, kind TEXT NOT NULL, family TEXT NOT NULL, principal TEXT NOT NULL,
  client TEXT NOT NULL, scopes TEXT NOT NULL, issued_at_s REAL NOT NULL,
  expires_at_s REAL NOT NULL, claims TEXT NOT NULL, used INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tokens_by_family ON tokens (family);
CREATE INDEX IF NOT EXISTS tokens_by_principal ON tokens (principal);
CREATE INDEX IF NOT EXISTS tokens_by_age ON tokens (issued_at_s, digest);
CREATE INDEX IF NOT EXISTS tokens_by_expiry ON tokens (expires_at_s);
CREATE TABLE IF NOT EXISTS api_keys (
  id TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, owner TEXT NOT NULL, scopes TEXT NOT NULL,
  created_at_s REAL NOT NULL, expires_at_s REAL, networks TEXT NOT NULL, last_used_at_s REAL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS old_secrets (
  id TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, good_until_s REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (
  key TEXT PRIMARY KEY, a REAL NOT NULL, b REAL NOT NULL, c REAL NOT NULL,
  expires_at_s REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS counters_by_expiry ON counters (expires_at_s);
"""


class SqliteStore:
    """Stores everything in the file at `path`, which only its owner can read."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.claims = None
        self.nodes = None
        self.replies = None
        self.is_available = True
        self._path = path
        self._clock = clock
        self._reads = SqliteThread(path, _SCHEMA)
        self._writes = SqliteThread(path, _SCHEMA)
        self._swept_at_s = 0.0
        self._takes = Batches(self._take_many)

    def __repr__(self) -> str:
        return f"<SqliteStore {self._path.name}>"

    async def add_tokens(self, records: Sequence[TokenRecord]) -> None:
        """Stores new tokens; see `TokenStore.add_tokens`."""

        def add(connection: sqlite3.Connection) -> None:
            with _transaction(connection):
                _insert(connection, records)
                self._sweep(connection)

        await self._writes.run(add)

    async def find_token(self, digest: bytes) -> TokenRecord | None:
        """The token with this digest, if it is valid."""
        query = f"SELECT {TOKEN} FROM tokens WHERE digest = ? AND used = 0 AND expires_at_s > ?"  # noqa: S608 - constants
        rows = await self._rows(query, digest, self._clock())
        return token_of(rows[0]) if rows else None

    async def rotate_token(self, digest: bytes, successors: Sequence[TokenRecord]) -> Rotation:
        """Uses up a refresh token; see `TokenStore.rotate_token`."""

        def rotate(connection: sqlite3.Connection) -> Rotation:
            with _transaction(connection):
                found = connection.execute(
                    "SELECT used, family FROM tokens "
                    "WHERE digest = ? AND kind = ? AND expires_at_s > ?",
                    (digest, TokenKind.REFRESH, self._clock()),
                ).fetchone()
                if found is None:
                    return Rotation.UNKNOWN
                used, family = found
                if used:
                    connection.execute(
                        "DELETE FROM tokens WHERE family = ? AND used = 0", (family,)
                    )
                    return Rotation.REUSED
                connection.execute("UPDATE tokens SET used = 1 WHERE digest = ?", (digest,))
                _insert(connection, successors)
                self._sweep(connection)
                return Rotation.DONE

        return await self._writes.run(rotate)

    async def find_used(self, digest: bytes) -> str | None:
        """The login of a refresh token that was used up; see `TokenStore.find_used`."""
        query = "SELECT family FROM tokens WHERE digest = ? AND used = 1"
        rows = await self._rows(query, digest)
        return str(rows[0][0]) if rows else None

    async def revoke_family(self, family: str) -> int:
        """Revokes all tokens of a login."""
        return await self._revoke("family = ?", family)

    async def revoke_principal(self, principal: str) -> int:
        """Revokes all tokens of a principal."""
        return await self._revoke(
            "family IN (SELECT family FROM tokens WHERE principal = ?)", principal
        )

    async def list_tokens(self, principal: str | None = None) -> AsyncIterator[TokenRecord]:
        """The valid tokens; read in pages, so that writers need not wait."""
        condition = "" if principal is None else "AND principal = ?"
        query = (
            f"SELECT {TOKEN} FROM tokens WHERE (issued_at_s, digest) > (?, ?) AND used = 0 "  # noqa: S608 - constants
            f"AND expires_at_s > ? {condition} ORDER BY issued_at_s, digest LIMIT {_PAGE}"
        )
        after: tuple[float, bytes] = (float("-inf"), b"")
        while True:
            principals = () if principal is None else (principal,)
            rows = await self._rows(query, *after, self._clock(), *principals)
            for row in rows:
                yield token_of(row)
            if len(rows) < _PAGE:
                return
            after = (rows[-1][6], rows[-1][0])

    async def add_key(self, record: KeyRecord) -> KeyRecord | None:
        """Stores a new key; None if its id is taken."""
        values = key_values(record)
        query = f"INSERT OR IGNORE INTO api_keys ({KEY}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants

        def add(connection: sqlite3.Connection) -> KeyRecord | None:
            with _transaction(connection):
                is_new = connection.execute(query, values).rowcount == 1
                self._sweep(connection)
                return record if is_new else None

        return await self._writes.run(add)

    async def find_key(self, digest: bytes) -> KeyRecord | None:
        """The key with this digest, if it is valid."""
        query = (
            f"SELECT {KEY} FROM api_keys WHERE (digest = ? OR id = "  # noqa: S608 - constants
            "(SELECT id FROM old_secrets WHERE digest = ? AND good_until_s > ?)) "
            "AND (expires_at_s IS NULL OR expires_at_s > ?)"
        )
        now_s = self._clock()
        rows = await self._rows(query, digest, digest, now_s, now_s)
        return key_of(rows[0]) if rows else None

    async def replace_key(
        self, key_id: str, digest: bytes, overlap_s: float = 0.0
    ) -> KeyRecord | None:
        """Replaces the secret of a key; see `KeyStore.replace_key`."""

        def swap(connection: sqlite3.Connection) -> KeyRecord | None:
            with _transaction(connection):
                old = _find_id(connection, key_id)
                if old is None:
                    return None
                connection.execute("DELETE FROM old_secrets WHERE id = ?", (key_id,))
                if overlap_s > 0:
                    values = (key_id, old.digest, self._clock() + overlap_s)
                    connection.execute("INSERT INTO old_secrets VALUES (?, ?, ?)", values)
                connection.execute("UPDATE api_keys SET digest = ? WHERE id = ?", (digest, key_id))
                return replace(old, digest=digest)

        return await self._writes.run(swap)

    async def revoke_key(self, key_id: str) -> KeyRecord | None:
        """Revokes a key."""

        def revoke(connection: sqlite3.Connection) -> KeyRecord | None:
            with _transaction(connection):
                old = _find_id(connection, key_id)
                connection.execute("DELETE FROM old_secrets WHERE id = ?", (key_id,))
                connection.execute("DELETE FROM api_keys WHERE id = ?", (key_id,))
                return old

        return await self._writes.run(revoke)

    async def touch_key(self, key_id: str) -> None:
        """Records that a key was used now."""
        change = "UPDATE api_keys SET last_used_at_s = ? WHERE id = ?"
        await self._change(change, self._clock(), key_id)

    async def list_keys(self) -> AsyncIterator[KeyRecord]:
        """All keys, by id."""
        for row in await self._rows(f"SELECT {KEY} FROM api_keys ORDER BY id"):  # noqa: S608 - constants
            yield key_of(row)

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Taken:
        """Takes from a counter; see `CounterStore.take`."""
        return (await self.take_all([(key, limit, cost)]))[0]

    async def take_all(self, demands: Sequence[Demand]) -> Sequence[Taken]:
        """Takes from several counters; see `CounterStore.take_all`."""
        return await self._takes(demands)

    async def forget(self, keys: Sequence[str]) -> None:
        """Makes these counters new again."""
        rows, query = [(key,) for key in keys], "DELETE FROM counters WHERE key = ?"

        def forget(connection: sqlite3.Connection) -> None:
            with _transaction(connection):
                connection.executemany(query, rows)

        await self._writes.run(forget)

    async def forget_all(self, prefix: str) -> None:
        """Makes all counters new again whose keys begin with `prefix`."""
        query = "DELETE FROM counters WHERE substr(key, 1, ?) = ?"
        await self._change(query, len(prefix), prefix)

    async def _take_many(self, asked: Sequence[Sequence[Demand]]) -> Sequence[Sequence[Taken]]:
        def look(connection: sqlite3.Connection, demands: Sequence[Demand]) -> list[_Outcome]:
            query = "SELECT a, b, c FROM counters WHERE key = ?"
            states = [connection.execute(query, (key,)).fetchone() for key, _, _ in demands]
            return counting.take_all(demands, states, self._clock())

        def take(connection: sqlite3.Connection, demands: Sequence[Demand]) -> list[_Outcome]:
            outcomes = look(connection, demands)
            now_s = self._clock()
            rows = [
                (key, *state, now_s + 2 * limit.window_s)
                for (key, limit, _), (_, state) in zip(demands, outcomes, strict=True)
            ]
            connection.executemany("INSERT OR REPLACE INTO counters VALUES (?, ?, ?, ?, ?)", rows)
            return outcomes

        def look_many(connection: sqlite3.Connection) -> list[list[_Outcome]]:
            return [look(connection, demands) for demands in asked]

        def take_many(connection: sqlite3.Connection) -> list[list[_Outcome]]:
            with _transaction(connection):
                outcomes = [take(connection, demands) for demands in asked]
                self._sweep(connection)
                return outcomes

        if any(cost for demands in asked for _, _, cost in demands):
            answers = await self._writes.run(take_many)
        else:
            # Requests that only look at counters need not queue with the writers.
            answers = await self._reads.run(look_many)
        return [[taken for taken, _ in outcomes] for outcomes in answers]

    async def ping(self) -> None:
        """Returns once the file has been read, with the tables of a store; see `Store.ping`."""
        await self._rows("SELECT 1 FROM tokens LIMIT 1")

    async def close(self) -> None:
        """Closes the file."""
        await self._takes.close()
        await self._reads.close()
        await self._writes.close()

    async def _revoke(self, which: str, value: str) -> int:
        # Used tokens stay: a second use must still be recognised as theft.
        query = f"DELETE FROM tokens WHERE used = 0 AND {which}"  # noqa: S608 - constants
        return await self._change(query, value)

    async def _rows(self, query: str, *values: object) -> list[Any]:
        return await self._reads.run(lambda one: one.execute(query, values).fetchall())

    async def _change(self, query: str, *values: object) -> int:
        return await self._writes.run(lambda one: one.execute(query, values).rowcount)

    def _sweep(self, connection: sqlite3.Connection) -> None:
        """Deletes a part of the expired rows, once in `_SWEEP_EVERY_S`."""
        now_s = self._clock()
        if now_s - self._swept_at_s < _SWEEP_EVERY_S:
            return
        self._swept_at_s = now_s
        long_ago_s = now_s - EXPIRED_KEYS_KEPT_S
        connection.execute("DELETE FROM api_keys WHERE expires_at_s <= ?", (long_ago_s,))
        connection.execute("DELETE FROM old_secrets WHERE good_until_s <= ?", (now_s,))
        for table, key in (("tokens", "digest"), ("counters", "key")):
            gone = connection.execute(
                f"DELETE FROM {table} WHERE {key} IN "  # noqa: S608 - constants
                f"(SELECT {key} FROM {table} WHERE expires_at_s <= ? LIMIT {_SWEPT_AT_ONCE})",
                (now_s,),
            )
            if gone.rowcount == _SWEPT_AT_ONCE:
                # More are left: invented keys must not fill the disk faster than this.
                self._swept_at_s = now_s - _SWEEP_EVERY_S + 1


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    # IMMEDIATE: what is read here must still hold when it is written.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _find_id(connection: sqlite3.Connection, key_id: str) -> KeyRecord | None:
    query = f"SELECT {KEY} FROM api_keys WHERE id = ?"  # noqa: S608 - constants
    found = connection.execute(query, (key_id,)).fetchone()
    return None if found is None else key_of(found)


def _insert(connection: sqlite3.Connection, records: Sequence[TokenRecord]) -> None:
    connection.executemany(
        f"INSERT INTO tokens ({TOKEN}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constants
        [token_values(record) for record in records],
    )

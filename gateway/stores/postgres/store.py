"""A store in PostgreSQL, for many nodes.

Each operation is one statement, or one transaction in which others can change nothing that it has
read: what belongs to a login is changed under the lock of that login.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from gateway.stores import counting
from gateway.stores.base import (
    Demand,
    KeyRecord,
    Limit,
    Rotation,
    StoreUnavailableError,
    Taken,
    TokenRecord,
)
from gateway.stores.batching import Batches
from gateway.stores.breaker import Breaker, GuardedStore
from gateway.stores.postgres import sql
from gateway.stores.postgres.database import Address, Database
from gateway.stores.rows import key_of, key_values, token_of, token_values

T = TypeVar("T")

_PAGE = 500
_SWEEP_EVERY_S = 60.0


class PostgresStore(GuardedStore):
    """Stores everything in the database at `address`."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        """Does not connect yet. Each operation ends within `timeout_s`."""
        self.claims = None
        self.nodes = None
        self.replies = None
        self._hosts = address.hosts
        self._database = Database(address)
        self._timeout_s = timeout_s
        self._breaker = Breaker(f"postgres at {address.hosts}", timeout_s, self._probe)
        self._takes = Batches(self._take_many)
        self._sweeping: asyncio.Task[None] | None = None
        self._sweep_at_s = time.monotonic() + _pause_s()

    def __repr__(self) -> str:
        return f"<PostgresStore {self._hosts}>"

    async def add_tokens(self, records: Sequence[TokenRecord]) -> None:
        """Stores new tokens; see `TokenStore.add_tokens`."""
        await self._run(lambda one: self._insert(one, records))
        self._sweep_when_due()

    async def find_token(self, digest: bytes) -> TokenRecord | None:
        """The token with this digest, if it is valid."""
        row = await self._row(sql.FIND_TOKEN, digest)
        return None if row is None else token_of(row)

    async def rotate_token(self, digest: bytes, successors: Sequence[TokenRecord]) -> Rotation:
        """Uses up a refresh token; see `TokenStore.rotate_token`."""
        named = self._database.named

        async def rotate(connection: Any) -> Rotation:
            async with connection.transaction(isolation="read_committed"):
                family = await connection.fetchval(named(sql.FIND_REFRESH), digest)
                if family is None:
                    return Rotation.UNKNOWN
                await connection.execute(named(sql.LOCK), family)
                # Only now: another may have used or revoked it while this one waited.
                used = await connection.fetchval(named(sql.IS_USED), digest)
                if used is None:
                    return Rotation.UNKNOWN
                if used:
                    await connection.execute(named(sql.REVOKE_FAMILY), family)
                    return Rotation.REUSED
                await connection.execute(named(sql.USE_TOKEN), digest)
                await self._insert(connection, successors)
                return Rotation.DONE

        return await self._run(rotate)

    async def find_used(self, digest: bytes) -> str | None:
        """The login of a refresh token that was used up; see `TokenStore.find_used`."""
        row = await self._row(sql.FIND_USED, digest)
        return None if row is None else str(row[0])

    async def revoke_family(self, family: str) -> int:
        """Revokes all tokens of a login."""
        named = self._database.named

        async def revoke(connection: Any) -> int:
            async with connection.transaction(isolation="read_committed"):
                # A rotation that is under way would otherwise add tokens that this does not see.
                await connection.execute(named(sql.LOCK), family)
                return int(await connection.fetchval(named(sql.REVOKE_FAMILY), family))

        return await self._run(revoke)

    async def revoke_principal(self, principal: str) -> int:
        """Revokes all tokens of a principal."""
        rows = await self._rows(sql.FAMILIES, principal)
        return sum([await self.revoke_family(row[0]) for row in rows])

    async def list_tokens(self, principal: str | None = None) -> AsyncIterator[TokenRecord]:
        """The valid tokens; read in pages."""
        after: tuple[float, bytes] = (float("-inf"), b"")
        while True:
            rows = await self._rows(sql.LIST_TOKENS, *after, principal, _PAGE)
            for row in rows:
                yield token_of(row)
            if len(rows) < _PAGE:
                return
            after = (rows[-1]["issued_at_s"], rows[-1]["digest"])

    async def add_key(self, record: KeyRecord) -> KeyRecord | None:
        """Stores a new key; see `KeyStore.add_key`."""
        values = key_values(record)
        named = self._database.named

        async def add(connection: Any) -> KeyRecord | None:
            async with connection.transaction():
                await connection.execute(named(sql.FORGET_KEY), record.id)
                row = await connection.fetchrow(named(sql.ADD_KEY), *values)
                return None if row is None else key_of(row)

        added = await self._run(add)
        self._sweep_when_due()
        return added

    async def find_key(self, digest: bytes) -> KeyRecord | None:
        """The key with this digest, if it is valid."""
        row = await self._row(sql.FIND_KEY, digest)
        return None if row is None else key_of(row)

    async def replace_key(
        self, key_id: str, digest: bytes, overlap_s: float = 0.0
    ) -> KeyRecord | None:
        """Replaces the secret of a key; see `KeyStore.replace_key`."""
        named = self._database.named

        async def swap(connection: Any) -> KeyRecord | None:
            async with connection.transaction():
                row = await connection.fetchrow(named(sql.LOCK_KEY), key_id)
                if row is None:
                    return None
                old = key_of(row)
                await connection.execute(named(sql.FORGET_OLD_SECRET), key_id)
                if overlap_s > 0:
                    kept = (key_id, old.digest, overlap_s)
                    await connection.execute(named(sql.KEEP_OLD_SECRET), *kept)
                await connection.execute(named(sql.REPLACE_SECRET), key_id, digest)
                return replace(old, digest=digest)

        return await self._run(swap)

    async def revoke_key(self, key_id: str) -> KeyRecord | None:
        """Revokes a key."""
        row = await self._row(sql.REVOKE_KEY, key_id)
        return None if row is None else key_of(row)

    async def touch_key(self, key_id: str) -> None:
        """Records that a key was used now."""
        await self._row(sql.TOUCH_KEY, key_id)

    async def list_keys(self) -> AsyncIterator[KeyRecord]:
        """All keys, by id."""
        for row in await self._rows(sql.LIST_KEYS):
            yield key_of(row)

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Taken:
        """Takes from a counter; see `CounterStore.take`."""
        return (await self.take_all([(key, limit, cost)]))[0]

    async def take_all(self, demands: Sequence[Demand]) -> Sequence[Taken]:
        """Takes from several counters; see `CounterStore.take_all`."""
        taken = await self._breaker.run(lambda: self._takes(demands))
        self._sweep_when_due()
        return taken

    async def forget(self, keys: Sequence[str]) -> None:
        """Makes these counters new again."""
        await self._rows(sql.FORGET_COUNTERS, sorted(keys))

    async def forget_all(self, prefix: str) -> None:
        """Makes all counters new again whose keys begin with `prefix`, a part at a time."""
        while await self._rows(sql.FORGET_ALL_COUNTERS, prefix):
            pass

    async def ping(self) -> None:
        """Returns once the database has answered, with the tables of a store; see `Store.ping`."""
        await self._rows(sql.READ_COUNTERS, [])

    async def close(self) -> None:
        """Closes the connections."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait([self._sweeping])
        await self._breaker.close()
        await self._takes.close()
        await self._database.close()

    async def _take_many(self, asked: Sequence[Sequence[Demand]]) -> Sequence[Sequence[Taken]]:
        keys = sorted({key for demands in asked for key, _, _ in demands})
        # Not through the breaker, which is asked for each caller: a batch can wait for another.
        async with asyncio.timeout(self._timeout_s):
            if any(cost for demands in asked for _, _, cost in demands):
                return await self._database.run(lambda one: self._take(one, keys, asked))
            return await self._database.run(lambda one: self._look(one, keys, asked))

    async def _look(
        self, connection: Any, keys: Sequence[str], asked: Sequence[Sequence[Demand]]
    ) -> Sequence[Sequence[Taken]]:
        rows = await connection.fetch(self._database.named(sql.READ_COUNTERS), keys)
        return _counted(asked, _states(rows), await connection.fetchval(sql.CLOCK))

    async def _take(
        self, connection: Any, keys: Sequence[str], asked: Sequence[Sequence[Demand]]
    ) -> Sequence[Sequence[Taken]]:
        named = self._database.named
        async with connection.transaction(isolation="read_committed"):
            await connection.execute(named(sql.MAKE_COUNTERS), keys)
            states = _states(await connection.fetch(named(sql.LOCK_COUNTERS), keys))
            # The time after the wait for the locks: counters never go back in time.
            now_s = await connection.fetchval(sql.CLOCK)
            taken = _counted(asked, states, now_s)
            windows = {key: limit.window_s for demands in asked for key, limit, _ in demands}
            numbers = zip(*(states[key] for key in keys), strict=True)
            ends = [now_s + 2 * windows[key] for key in keys]
            await connection.execute(named(sql.WRITE_COUNTERS), keys, *map(list, numbers), ends)
            return taken

    async def _insert(self, connection: Any, records: Sequence[TokenRecord]) -> None:
        rows = [token_values(record) for record in records]
        await connection.executemany(self._database.named(sql.ADD_TOKEN), rows)

    async def _run(self, work: Callable[[Any], Awaitable[T]]) -> T:
        return await self._breaker.run(lambda: self._database.run(work))

    async def _row(self, statement: str, *values: object) -> Any:
        named = self._database.named(statement)
        return await self._run(lambda one: one.fetchrow(named, *values))

    async def _rows(self, statement: str, *values: object) -> Sequence[Any]:
        named = self._database.named(statement)
        return await self._run(lambda one: one.fetch(named, *values))

    async def _probe(self) -> None:
        # A statement that writes nothing, and that a standby refuses all the same.
        await self._execute(sql.TOUCH_KEY, "")

    async def _execute(self, statement: str, *values: object) -> None:
        named = self._database.named(statement)
        await self._database.run(lambda one: one.execute(named, *values))

    def _sweep_when_due(self) -> None:
        """Starts to delete expired rows, if the last time is long enough ago."""
        now_s = time.monotonic()
        if now_s < self._sweep_at_s:
            return
        self._sweep_at_s = now_s + _pause_s()
        self._sweeping = asyncio.create_task(self._sweep())

    async def _sweep(self) -> None:
        with suppress(StoreUnavailableError):
            for statement in sql.SWEEPS:
                await self._execute(statement)


def _pause_s() -> float:
    """Seconds until the next sweep: others, so that nodes sweep at different times."""
    return _SWEEP_EVERY_S * random.uniform(0.8, 1.2)  # noqa: S311 - no secret


_States = dict[str, counting.State | None]


def _states(rows: Sequence[Any]) -> _States:
    return {row[0]: None if row[1] is None else (row[1], row[2], row[3]) for row in rows}


def _counted(
    asked: Sequence[Sequence[Demand]], states: _States, now_s: float
) -> Sequence[Sequence[Taken]]:
    """Takes for several requests in order, and puts the next states of counters into `states`."""
    answers = []
    for demands in asked:
        before = [states.get(key) for key, _, _ in demands]
        outcomes = counting.take_all(demands, before, now_s)
        states.update({key: state for (key, *_), (_, state) in zip(demands, outcomes, strict=True)})
        answers.append([taken for taken, _ in outcomes])
    return answers

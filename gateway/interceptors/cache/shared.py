"""The replies that workers and nodes share in a store, and the changes that they tell each other.

The memory of a worker is the first tier: it is asked alone for `cache.memory_s` after the store
was. A store that does not answer in time counts as one that has no replies. Changes that it could
not be told of are told later, and until then it is not asked.
"""

import asyncio
import hashlib
import json
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Final, NamedTuple

from gateway.cache.entries import Entry
from gateway.cache.paths import normal_path
from gateway.cache.stored_form import entry_of, stored_bytes
from gateway.cache.tags import Purge, PurgeBy
from gateway.config.cache import CacheOptions
from gateway.stores.base import StoreUnavailableError
from gateway.stores.replies import CALL_S, KeptReply, ReplyStore

logger = logging.getLogger("gateway")

_now_s: Final = time.monotonic

_MOST_WRITES: Final = 1000
_MOST_WRITTEN_BYTES: Final = 16 * 1024 * 1024
_MOST_PENDING: Final = 1000
_MOST_RECENT: Final = 100
_IN_THREAD_BYTES: Final = 16 * 1024
# 16 KiB of text take 0.8 ms to compress, 0.1 ms to decompress; the loop must not wait longer.
_AGAIN_S: Final = 0.25


class Look(NamedTuple):
    """The answer to a look-up in the store."""

    entry: Entry | None = None
    number: int | None = None
    """The number of the last change in the store; None if the store did not answer."""


_NO_ANSWER: Final = Look()


class _Change(NamedTuple):
    """A change that the store has not been told of yet."""

    names: tuple[str, ...]
    told: dict[str, Any]
    soft: bool = False


class SharedReplies:
    """The replies of one site in the store; `drop` and `purge` obey what others have changed."""

    def __init__(
        self,
        store: ReplyStore,
        options: CacheOptions,
        drop: Callable[[Collection[str], Collection[str]], None],
        purge: Callable[[Purge], int],
    ) -> None:
        self._store = store
        self._options = options
        self._drop = drop
        self._purge = purge
        self._id = secrets.token_hex(8)
        self._looks: dict[tuple[bytes, str], asyncio.Task[Look]] = {}
        self._writes: set[asyncio.Task[None]] = set()
        self._written_bytes = 0
        self._pending: list[_Change] = []
        self._telling: asyncio.Task[None] | None = None
        self._is_away = False
        """True if the store could not be told of the last change."""
        self._changes = 0
        """Counts changes: an answer that was on its way meanwhile can be outdated."""
        self._recent: deque[frozenset[str]] = deque(maxlen=_MOST_RECENT)
        """The names of the last changes."""
        self.failed: Callable[[], None] = _nothing
        """Called for each operation that failed or was too slow."""
        self._listening = asyncio.create_task(self._listen())

    async def close(self) -> None:
        """Stops listening; tells the store what it has not been told yet, if it answers."""
        if self._telling is not None:
            await asyncio.wait((self._telling,), timeout=self._options.store_timeout_s)
        tasks = [self._listening, *self._looks.values(), *self._writes]
        tasks += [] if self._telling is None else [self._telling]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def is_recent(self, entry: Entry, path: str, now_s: float) -> bool:
        """True if an entry in memory may be sent for this path without a look into the store."""
        return now_s - entry.confirmed_s <= self._options.memory_s and path in entry.paths

    async def find(self, key: bytes, path: str) -> Look:
        """Looks a reply up; one look-up at a time for each key and path."""
        which = key, path
        look = self._looks.get(which)
        if look is None:
            look = self._looks[which] = asyncio.create_task(self._find(key, path))
            look.add_done_callback(lambda _: self._looks.pop(which, None))
        # A client that leaves must not end the look-up of others, or break the connection.
        return await asyncio.shield(look)

    def keep(self, entry: Entry, since: int | None, started_s: float) -> None:
        """Keeps a reply to a call before which `since` was the number; does not wait."""
        if since is None or _now_s() - started_s > CALL_S:
            return
        size_bytes = entry.size_bytes
        if self._written_bytes + size_bytes <= _MOST_WRITTEN_BYTES:
            self._write(self._keep(entry, since), size_bytes)

    def forget(self, key: bytes) -> None:
        """Removes a reply; does not wait."""
        self._write(self._forget(key.hex()), 0)

    def changed(self, paths: Collection[str], tags: Collection[str]) -> None:
        """Tells the store and the others what a call has changed; `settled` waits for it."""
        names = _changed_names(paths, tags)
        if names:
            self._tell(_Change(names, {"paths": [*paths], "tags": [*tags]}))

    def purged(self, purge: Purge) -> None:
        """Tells the store and the others what an operator has dropped."""
        told = {"by": purge.by.value, "value": purge.value, "soft": purge.soft}
        self._tell(_Change((_purged_name(purge),), told, purge.soft))

    async def settled(self) -> None:
        """Waits until the store knows all changes, at most the time limit of the store.

        It does not wait for a store that is away, which is told when it is back.
        """
        if self._telling is not None and not self._is_away:
            await asyncio.wait((self._telling,), timeout=self._options.store_timeout_s)

    async def _find(self, key: bytes, path: str) -> Look:
        # The time before the question: a slow answer makes no reply younger than it is.
        changes, asked_s = self._changes, _now_s()
        try:
            found = await self._store.find(key.hex(), _name(PurgeBy.PATH, path))
        except StoreUnavailableError:
            self.failed()
            return _NO_ANSWER
        if found.value is None:
            return Look(None, found.number)
        read = key, found.value, asked_s - found.age_s, self._options.max_entry_bytes
        if len(found.value) > _IN_THREAD_BYTES:
            entry = await asyncio.to_thread(entry_of, *read)
        else:
            entry = entry_of(*read)
        if entry is None:
            return Look(None, found.number)
        entry.paths.add(path)
        if self._is_outdated(entry, changes):
            return Look(None, found.number)
        if found.stale_s is not None:
            entry.times = entry.times.stale_from(asked_s - found.stale_s)
        entry.confirmed_s, entry.number = _now_s(), found.number
        return Look(entry, found.number)

    def _is_outdated(self, entry: Entry, changes: int) -> bool:
        """True if a change came since `changes` were counted, or the store does not know one."""
        missed = self._changes - changes
        if missed > len(self._recent):
            return True
        names = frozenset(_names(entry))
        latest = [self._recent[-number] for number in range(1, missed + 1)]
        latest += [frozenset(one.names) for one in self._pending]
        return any(not names.isdisjoint(one) for one in latest)

    async def _keep(self, entry: Entry, since: int) -> None:
        form = entry, _now_s()
        if len(entry.message) > _IN_THREAD_BYTES:
            stored = await asyncio.to_thread(stored_bytes, *form)
        else:
            stored = stored_bytes(*form)
        most_bytes = self._options.store_bytes
        owner = ""
        if entry.owner:
            owner = _name(PurgeBy.PRINCIPAL, entry.owner)
            most_bytes = int(most_bytes * self._options.principal_share)
        life_s = entry.times.kept_until_s - _now_s()
        key = entry.key.hex()
        await self._store.keep(
            KeptReply(key, stored, _names(entry), since, life_s, owner, most_bytes)
        )

    async def _forget(self, key: str) -> None:
        await self._store.forget(key)

    def _write(self, work: Coroutine[Any, Any, None], size_bytes: int) -> None:
        """Writes without waiting; not at all if too much is being written."""
        if len(self._writes) >= _MOST_WRITES:
            work.close()
            return
        self._written_bytes += size_bytes
        task = asyncio.create_task(self._finish(work))
        self._writes.add(task)

        def done(task: "asyncio.Task[None]") -> None:
            work.close()
            self._writes.discard(task)
            self._written_bytes -= size_bytes

        task.add_done_callback(done)

    async def _finish(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except StoreUnavailableError:
            self.failed()

    def _note(self, names: Collection[str]) -> None:
        self._changes += 1
        self._recent.append(frozenset(names))

    def _tell(self, change: _Change) -> None:
        self._note(change.names)
        self._pending.append(change)
        if len(self._pending) > _MOST_PENDING:
            self._pending = [_EVERYTHING]
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell_all())

    async def _tell_all(self) -> None:
        """Tells the store of all changes, and tries again for as long as it takes."""
        try:
            while self._pending:
                change = self._pending[0]
                message = json.dumps(change.told | {"from": self._id}).encode()
                try:
                    await self._store.change(change.names, message, soft=change.soft)
                except StoreUnavailableError:
                    self._is_away = True
                    self.failed()
                    await asyncio.sleep(_AGAIN_S)
                    continue
                self._is_away = False
                if self._pending[0] is change:
                    del self._pending[0]
        finally:
            self._telling = None

    async def _listen(self) -> None:
        while True:
            try:
                async for message in self._store.listen():
                    self._obey(message)
            except StoreUnavailableError:
                self.failed()
            except Exception:
                # A fault of ours. Without messages, `memory_s` alone would bound what is outdated.
                logger.exception("the messages of the cache's store cannot be read")
            await asyncio.sleep(_AGAIN_S)

    def _obey(self, message: bytes) -> None:
        """Drops what another worker or node has changed."""
        try:
            told = json.loads(message)
            if told["from"] == self._id:
                return
            if "by" in told:
                purge = Purge(PurgeBy(told["by"]), str(told["value"]), bool(told["soft"]))
                self._note([_purged_name(purge)])
                self._purge(purge)
                return
            paths, tags = [*map(str, told["paths"])], [*map(str, told["tags"])]
        except (ValueError, KeyError, TypeError, RecursionError):
            return  # of another version, or of another program
        self._note(_changed_names(paths, tags))
        self._drop(paths, tags)


def _name(kind: str, value: str) -> str:
    """Returns the name of a path, tag or caller in the store: a digest, which reveals nothing."""
    text = f"{kind}:{value}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def _changed_names(paths: Collection[str], tags: Collection[str]) -> tuple[str, ...]:
    names = [_name(PurgeBy.PATH, one) for one in paths]
    return (*names, *[_name(PurgeBy.TAG, one) for one in tags])


def _purged_name(purge: Purge) -> str:
    is_path = purge.by is PurgeBy.PATH
    return _name(purge.by, normal_path(purge.value) if is_path else purge.value)


def _names(entry: Entry) -> list[str]:
    names = [_name(PurgeBy.ALL, ""), _name(PurgeBy.METHOD, entry.method)]
    if entry.owner:
        names.append(_name(PurgeBy.PRINCIPAL, entry.owner))
    names += [_name(PurgeBy.PATH, path) for path in sorted(entry.paths)]
    return names + [_name(PurgeBy.TAG, tag) for tag in sorted(entry.tags)]


_EVERYTHING: Final = _Change(
    (_name(PurgeBy.ALL, ""),), {"by": PurgeBy.ALL.value, "value": "", "soft": False}
)


def _nothing() -> None:
    """Does nothing."""

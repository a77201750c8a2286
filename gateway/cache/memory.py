"""Stored replies in memory, bounded by bytes, evicted by S3-FIFO.

S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023): a new reply
enters a small queue, and moves to the main queue only if it is used again. So replies that are used
once, of which a flood consists, do not push out those that are used often. A `ghost` queue of keys
without replies lets one that comes back soon enter the main queue at once.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final

from gateway.cache.freshness import Times
from gateway.cache.paths import KeyIndex, normal_path
from gateway.cache.tags import Purge, PurgeBy
from gateway.call import Metadata
from gateway.config.cache import CacheOptions
from gateway.status import StatusError, status_bytes

_OVERHEAD_BYTES: Final = 400
"""The memory of one entry besides its values: objects, and its places in dicts."""
_FIELD_BYTES: Final = 120
_SMALL_PART: Final = 0.1
_MOST_USES: Final = 3
_MOST_PATHS: Final = 8


class Entry:
    """A stored reply. Its lists must not be changed."""

    __slots__ = (
        "confirmed_s",
        "error",
        "is_in_main",
        "key",
        "message",
        "metadata",
        "method",
        "number",
        "owner",
        "paths",
        "size_bytes",
        "tags",
        "times",
        "trailers",
        "uses",
    )

    def __init__(  # noqa: PLR0917 - the parts of a reply
        self,
        key: bytes,
        message: bytes,
        metadata: Metadata,
        trailers: Metadata,
        times: Times,
        owner: str,
        paths: Collection[str],
        *,
        tags: frozenset[str] = frozenset(),
        method: str = "",
        error: StatusError | None = None,
    ) -> None:
        """`method` is the full name of the RPC; `error` is the reply, if it is a failure."""
        self.key = key
        self.message = message
        self.metadata = metadata
        self.trailers = trailers
        self.times = times
        self.owner = owner
        self.paths = set(paths)
        self.tags = tags
        self.method = method
        self.error = error
        self.uses = 0
        self.is_in_main = False
        self.confirmed_s = 0.0
        """The time at which the store that several gateways share was last asked for it."""
        self.number: int | None = None
        """The number of the last change in that store at that time; None if it is unknown."""
        self.size_bytes = (
            _OVERHEAD_BYTES
            + len(key)
            + len(message)
            + sum(_FIELD_BYTES + len(n) + len(v) for n, v in [*metadata, *trailers])
            + sum(_FIELD_BYTES + len(name) for name in [*self.paths, *tags])
            + (0 if error is None else len(status_bytes(error)))
        )

    @property
    def date(self) -> str:
        """The Date of the reply; empty if it is not known."""
        for name, value in self.metadata:
            if name == "date" and isinstance(value, str):
                return value
        return ""


class MemoryCache:
    """The stored replies of one worker, never more than `memory_bytes`."""

    def __init__(self, options: CacheOptions) -> None:
        self._most_bytes = options.memory_bytes
        self._share_bytes = int(options.memory_bytes * options.principal_share)
        self._entries: dict[bytes, Entry] = {}
        self._small: OrderedDict[bytes, Entry] = OrderedDict()
        self._main: OrderedDict[bytes, Entry] = OrderedDict()
        self._ghost: OrderedDict[bytes, None] = OrderedDict()
        self._owned: dict[str, OrderedDict[bytes, Entry]] = {}
        self._owned_bytes: dict[str, int] = {}
        self._by_path = KeyIndex()
        self._by_tag = KeyIndex()
        self._small_bytes = 0
        self.size_bytes = 0
        """The memory that all entries take."""
        self.evicted: Callable[[], None] | None = None
        """Called for each entry that is removed to make room."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes, now_s: float) -> Entry | None:
        """Returns the entry of a key, and counts its use; one that is of no use is dropped."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if now_s > entry.times.kept_until_s:
            self._remove(entry)
            return None
        if entry.uses < _MOST_USES:
            entry.uses += 1
        return entry

    def has_path(self, entry: Entry, path: str) -> bool:
        """Notes that an entry is also reached by `path`; False if it has too many paths.

        Such an entry must not be sent: a change by that path could not drop it.
        """
        if path in entry.paths:
            return True
        if len(entry.paths) >= _MOST_PATHS:
            return False
        entry.paths.add(path)
        self._by_path.add(path, entry.key)
        added = _FIELD_BYTES + len(path)
        entry.size_bytes += added
        self._count(entry, added)
        return True

    def put(self, entry: Entry) -> bool:
        """Stores an entry in place of the one with its key; False if it is too large."""
        old = self._entries.get(entry.key)
        if old is not None:
            entry.is_in_main, entry.uses = old.is_in_main, old.uses
            self._remove(old)
        elif entry.key in self._ghost:
            del self._ghost[entry.key]
            entry.is_in_main = True
        share_bytes = self._share_bytes if entry.owner else self._most_bytes
        if entry.size_bytes > share_bytes:
            return False
        if entry.owner:
            while self._owned_bytes.get(entry.owner, 0) + entry.size_bytes > share_bytes:
                self._make_room(next(iter(self._owned[entry.owner].values())))
        while self.size_bytes + entry.size_bytes > self._most_bytes:
            self._evict()
        self._add(entry)
        return True

    def discard(self, key: bytes) -> None:
        """Removes the entry of a key, if there is one."""
        entry = self._entries.get(key)
        if entry is not None:
            self._remove(entry)

    def drop(self, paths: Collection[str], tags: Collection[str] = ()) -> int:
        """Removes the entries that were reached by any of these paths, or have any of these tags.

        Returns their number.
        """
        keys = {*self._by_path.keys(paths), *self._by_tag.keys(tags)}
        for key in keys:
            self._remove(self._entries[key])
        return len(keys)

    def purge(self, purge: Purge, now_s: float) -> int:
        """Removes the entries that an operator drops, or makes them stale; returns their number."""
        keys = self._selected(purge)
        for key in keys:
            entry = self._entries[key]
            entry.times = entry.times.stale_from(now_s)
            if not purge.soft or now_s >= entry.times.kept_until_s:
                self._remove(entry)
        return len(keys)

    def _selected(self, purge: Purge) -> Collection[bytes]:
        match purge.by:
            case PurgeBy.PATH:
                return self._by_path.keys([normal_path(purge.value)])
            case PurgeBy.TAG:
                return self._by_tag.keys([purge.value])
            case PurgeBy.PRINCIPAL:
                return list(self._owned.get(purge.value, ()))
            case PurgeBy.METHOD:
                return [key for key, one in self._entries.items() if one.method == purge.value]
            case PurgeBy.ALL:
                return list(self._entries)

    def _add(self, entry: Entry) -> None:
        self._entries[entry.key] = entry
        (self._main if entry.is_in_main else self._small)[entry.key] = entry
        for path in entry.paths:
            self._by_path.add(path, entry.key)
        for tag in entry.tags:
            self._by_tag.add(tag, entry.key)
        if entry.owner:
            self._owned.setdefault(entry.owner, OrderedDict())[entry.key] = entry
        self._count(entry, entry.size_bytes)

    def _remove(self, entry: Entry) -> None:
        del self._entries[entry.key]
        del (self._main if entry.is_in_main else self._small)[entry.key]
        self._by_path.discard(entry.paths, entry.key)
        self._by_tag.discard(entry.tags, entry.key)
        self._count(entry, -entry.size_bytes)
        if entry.owner:
            owned = self._owned[entry.owner]
            del owned[entry.key]
            if not owned:
                del self._owned[entry.owner], self._owned_bytes[entry.owner]

    def _count(self, entry: Entry, added_bytes: int) -> None:
        self.size_bytes += added_bytes
        if not entry.is_in_main:
            self._small_bytes += added_bytes
        if entry.owner:
            self._owned_bytes[entry.owner] = self._owned_bytes.get(entry.owner, 0) + added_bytes

    def _evict(self) -> None:
        """Removes one entry, or moves one a step closer to its removal."""
        if self._small and (self._small_bytes > self._most_bytes * _SMALL_PART or not self._main):
            entry = next(iter(self._small.values()))
            if entry.uses > 1:
                self._promote(entry)
                return
            self._make_room(entry)
            self._ghost[entry.key] = None
            while len(self._ghost) > len(self._entries):
                self._ghost.popitem(last=False)
            return
        entry = next(iter(self._main.values()))
        if entry.uses > 0:
            entry.uses -= 1
            self._main.move_to_end(entry.key)
        else:
            self._make_room(entry)

    def _make_room(self, entry: Entry) -> None:
        self._remove(entry)
        if self.evicted is not None:
            self.evicted()

    def _promote(self, entry: Entry) -> None:
        del self._small[entry.key]
        self._small_bytes -= entry.size_bytes
        entry.is_in_main, entry.uses = True, 0
        self._main[entry.key] = entry

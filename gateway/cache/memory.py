"""Stored replies in memory, bounded by bytes, evicted by S3-FIFO.

S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023): a new reply
enters a small queue, and moves to the main queue only if it is used again. So replies that are used
once, of which a flood consists, do not push out those that are used often. A `ghost` queue of keys
without replies lets one that comes back soon enter the main queue at once.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final

from gateway.cache.entries import NAME_BYTES, Asked, Entry, KnownLine
from gateway.cache.paths import KeyIndex, normal_path
from gateway.cache.tags import Purge, PurgeBy
from gateway.call import Forms, Principal
from gateway.config.cache import CacheOptions

_SMALL_PART: Final = 0.1
_MOST_USES: Final = 3
_MOST_PATHS: Final = 8
_MOST_LINES: Final = 4
_LONGEST_LINE: Final = 2048
_LINE_BYTES: Final = 480
"""The memory of a request line besides its texts."""
_SWEPT_AT_ONCE: Final = 100

_MOST_FORMS: Final = 4


class KeptForms(Forms):
    """The forms of one entry, counted in its size."""

    __slots__ = ("_entry", "_memory")

    def __init__(self, entry: Entry, memory: "MemoryCache") -> None:
        super().__init__()
        self._entry = entry
        self._memory = memory

    def keep(self, encode: object, form: object, size_bytes: int) -> None:
        """Keeps a form, unless it is too large or the entry is not stored; too many are dropped."""
        if len(self.made) >= _MOST_FORMS:
            self.made.clear()
            self.grow(-self._entry.form_bytes)
        if self.grow(size_bytes):
            self.made[encode] = form

    def grow(self, size_bytes: int) -> bool:
        """Counts what a form takes; False if that is too much, or the entry is not stored."""
        entry, memory = self._entry, self._memory
        if entry.forms is not self or size_bytes > memory.most_form_bytes:
            return False
        entry.form_bytes += size_bytes
        memory.grow(entry, size_bytes)
        return True

    def discard(self) -> None:
        """Removes the entry, wherever it is stored."""
        if self._memory.unreadable is not None:
            self._memory.unreadable(self._entry.key)


class MemoryCache:
    """The stored replies of one worker, never more than `memory_bytes`."""

    def __init__(self, options: CacheOptions) -> None:
        self._most_bytes = options.memory_bytes
        self.most_form_bytes = options.max_entry_bytes
        """The largest size of a form that is kept."""
        self._share_bytes = int(options.memory_bytes * options.principal_share)
        self._entries: dict[bytes, Entry] = {}
        self._small: OrderedDict[bytes, Entry] = OrderedDict()
        self._main: OrderedDict[bytes, Entry] = OrderedDict()
        self._ghost: OrderedDict[bytes, None] = OrderedDict()
        self._owned: dict[str, OrderedDict[bytes, Entry]] = {}
        self._owned_bytes: dict[str, int] = {}
        self._by_path = KeyIndex()
        self._by_tag = KeyIndex()
        self._by_line: dict[Asked, tuple[Entry, Principal | None, KnownLine]] = {}
        self._unswept: list[bytes] = []
        """The keys that the sweep under way has yet to look at."""
        self._small_bytes = 0
        self.size_bytes = 0
        """The memory that all entries take."""
        self.unreadable: Callable[[bytes], None] | None = None
        """Removes the entry of a key of whose message no response can be made."""
        self.evicted: Callable[[str], None] | None = None
        """Called for each entry that is removed: `bytes`, `share`, `invalidated` or `expired`.

        The first two make room, in the memory and in the share of a principal.
        """

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes, now_s: float) -> Entry | None:
        """Returns the entry of a key, and counts its use; one that is over is removed."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if now_s > entry.times.kept_until_s:
            self._evict(entry, "expired")
            return None
        if entry.uses < _MOST_USES:
            entry.uses += 1
        return entry

    def recall(self, asked: Asked, principal: Principal | None, now_s: float) -> Entry | None:
        """Returns the fresh entry that an equal call has got, as `get` does; None without one.

        Calls are equal if RPC, request line, metadata and principal are.
        """
        line = self.find(asked, principal)
        return None if line is None else self.fresh(line, now_s)

    def find(self, asked: Asked, principal: Principal | None) -> KnownLine | None:
        """Returns what finds the entry that an equal call has got, as long as it is stored."""
        known = self._by_line.get(asked)
        if known is None or (known[1] is not principal and known[1] != principal):
            return None
        return known[2]

    def fresh(self, line: KnownLine, now_s: float) -> Entry | None:
        """Returns the entry of a line that was found, if it is fresh, and counts its use."""
        entry = line.entry
        if entry is None or now_s > entry.fresh_until_s:
            return None
        if entry.uses < _MOST_USES:
            entry.uses += 1
        return entry

    def note(self, entry: Entry, asked: Asked, principal: Principal | None) -> None:
        """Notes that a call gets an entry, for `recall`. Of each entry, the last few are known."""
        size_bytes = _line_bytes(asked)
        if size_bytes > _LONGEST_LINE or self._entries.get(entry.key) is not entry:
            return
        known = self._by_line.get(asked)
        if known is not None:
            self._forget(known[0], asked)
        elif len(entry.lines) >= _MOST_LINES:
            self._forget(entry, entry.lines[0])
        entry.lines.append(asked)
        self._by_line[asked] = entry, principal, KnownLine(entry)
        self.grow(entry, size_bytes)

    def grow(self, entry: Entry, added_bytes: int) -> None:
        """Counts what is kept with a stored entry, and makes room for it: also by its removal."""
        entry.size_bytes += added_bytes
        self._count(entry, added_bytes)
        self._fit(entry, 0)

    def add_path(self, entry: Entry, path: str) -> bool:
        """Notes that an entry is also reached by `path`; False if it has too many paths.

        Such an entry must not be sent: a change by that path could not drop it.
        """
        if path in entry.paths:
            return True
        if len(entry.paths) >= _MOST_PATHS:
            return False
        entry.paths.add(path)
        self._by_path.add(path, entry.key)
        self.grow(entry, NAME_BYTES + len(path))
        return True

    def put(self, entry: Entry) -> Entry | None:
        """Stores an entry in place of the one with its key; None if it is too large.

        If that one is an equal reply, it is returned with the times of the new one, and with all
        that is kept with it.
        """
        old = self._entries.get(entry.key)
        if old is not None:
            if old.renew(entry):
                return old
            entry.is_in_main, entry.uses = old.is_in_main, old.uses
            self._remove(old)
        elif entry.key in self._ghost:
            del self._ghost[entry.key]
            entry.is_in_main = True
        share_bytes = self._share_bytes if entry.owner else self._most_bytes
        if entry.size_bytes > share_bytes:
            return None
        self._fit(entry, entry.size_bytes)
        self._add(entry)
        return entry

    def discard(self, key: bytes) -> None:
        """Removes the entry of a key, if there is one: it must not be used any more."""
        entry = self._entries.get(key)
        if entry is not None:
            self._evict(entry, "invalidated")

    def sweep(self, now_s: float) -> bool:
        """Removes those of the next few entries that are over; False after the last one of all."""
        if not self._unswept:
            self._unswept = list(self._entries)
        for _ in range(_SWEPT_AT_ONCE):
            if not self._unswept:
                return False
            entry = self._entries.get(self._unswept.pop())
            if entry is not None and now_s > entry.times.kept_until_s:
                self._evict(entry, "expired")
        return True

    def drop(self, paths: Collection[str], tags: Collection[str] = ()) -> int:
        """Removes the entries that were reached by any of these paths, or have any of these tags.

        Returns their number.
        """
        keys = {*self._by_path.keys(paths), *self._by_tag.keys(tags)}
        for key in keys:
            self._evict(self._entries[key], "invalidated")
        return len(keys)

    def purge(self, purge: Purge, now_s: float) -> int:
        """Removes the entries that an operator drops, or makes them stale; returns their number."""
        keys = self._selected(purge)
        for key in keys:
            entry = self._entries[key]
            entry.times = entry.times.stale_from(now_s)
            if not purge.soft or now_s >= entry.times.kept_until_s:
                self._evict(entry, "invalidated")
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
        entry.forms = KeptForms(entry, self)

    def _remove(self, entry: Entry) -> None:
        for asked in tuple(entry.lines):
            self._forget(entry, asked)
        del self._entries[entry.key]
        del (self._main if entry.is_in_main else self._small)[entry.key]
        self._by_path.discard(entry.paths, entry.key)
        self._by_tag.discard(entry.tags, entry.key)
        self._count(entry, -entry.size_bytes)
        entry.size_bytes -= entry.form_bytes
        entry.form_bytes = 0
        entry.forms = None  # it refers to the entry
        if entry.owner:
            owned = self._owned[entry.owner]
            del owned[entry.key]
            if not owned:
                del self._owned[entry.owner], self._owned_bytes[entry.owner]

    def _forget(self, entry: Entry, asked: Asked) -> None:
        entry.lines.remove(asked)
        self._by_line.pop(asked)[2].entry = None
        size_bytes = _line_bytes(asked)
        entry.size_bytes -= size_bytes
        self._count(entry, -size_bytes)

    def _fit(self, entry: Entry, more_bytes: int) -> None:
        """Makes room for so many bytes of an entry: in the share of its owner, and in all."""
        owner = entry.owner
        if owner:
            while self._owned_bytes.get(owner, 0) + more_bytes > self._share_bytes:
                self._evict(next(iter(self._owned[owner].values())), "share")
        while self.size_bytes + more_bytes > self._most_bytes:
            self._make_room(entry.confirmed_s)

    def _count(self, entry: Entry, added_bytes: int) -> None:
        self.size_bytes += added_bytes
        if not entry.is_in_main:
            self._small_bytes += added_bytes
        if entry.owner:
            self._owned_bytes[entry.owner] = self._owned_bytes.get(entry.owner, 0) + added_bytes

    def _make_room(self, now_s: float) -> None:
        """Removes one entry, or moves one a step closer to its removal; `now_s` may be past."""
        if self._small and (self._small_bytes > self._most_bytes * _SMALL_PART or not self._main):
            entry = next(iter(self._small.values()))
            if now_s > entry.times.kept_until_s:
                self._evict(entry, "expired")
                return
            if entry.uses > 1:
                self._promote(entry)
                return
            self._evict(entry, "bytes")
            self._ghost[entry.key] = None
            while len(self._ghost) > len(self._entries):
                self._ghost.popitem(last=False)
            return
        entry = next(iter(self._main.values()))
        if now_s > entry.times.kept_until_s:
            self._evict(entry, "expired")
        elif entry.uses > 0:
            entry.uses -= 1
            self._main.move_to_end(entry.key)
        else:
            self._evict(entry, "bytes")

    def _evict(self, entry: Entry, why: str) -> None:
        self._remove(entry)
        if self.evicted is not None:
            self.evicted(why)

    def _promote(self, entry: Entry) -> None:
        del self._small[entry.key]
        self._small_bytes -= entry.size_bytes
        entry.is_in_main, entry.uses = True, 0
        self._main[entry.key] = entry


def _line_bytes(asked: Asked) -> int:
    """Returns the memory for a call that is recognised before it is decoded."""
    texts = (*asked[1], asked[2], *[text for one in asked[3] for text in one])
    return _LINE_BYTES + sum([len(text) for text in texts])

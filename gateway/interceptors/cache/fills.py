"""The calls that fetch replies to be stored: one at a time for each key.

Collapsed requests: RFC 9111 section 4 ("a cache can use a response … for multiple requests").
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final

from gateway.cache.confirmation import confirmed, has_server_failed, is_not_modified
from gateway.cache.entries import Entry
from gateway.cache.freshness import (
    Times,
    client_cache_control,
    dated,
    kept_metadata,
    times_of,
    with_vary,
)
from gateway.cache.keys import KeyedCall
from gateway.cache.memory import MemoryCache
from gateway.cache.paths import KeyIndex, normal_path
from gateway.cache.tags import CONSUMED, Purge, PurgeBy, are_few_and_short, tags_of_reply
from gateway.call import Call, Code, Handler, Metadata, Reply, StatusError
from gateway.config.cache import CacheOptions, CacheRule
from gateway.interceptors.cache.failures import SERVER_FAILURES
from gateway.interceptors.cache.shared import SharedReplies
from gateway.interceptors.cache.storage import Storage, log_unlisted_vary
from gateway.interceptors.cache.sweep import Sweep
from gateway.stores.replies import ReplyStore

_now_s: Final = time.monotonic

_MOST_BACKGROUND: Final = 100
_MOST_DROPPED: Final = 1000
_MOST_UNCACHEABLE: Final = 10_000
_UNCACHEABLE_S: Final = 120.0


class Fill:
    """One call whose reply is to be stored, and the callers that wait for it."""

    def __init__(
        self,
        keyed: KeyedCall,
        path: str,
        storage: Storage,
        started_s: float,
        number: int | None = None,
        *,
        stale: Entry | None = None,
    ) -> None:
        """`number` is that of the last change in the store that several gateways share.

        `stale` is the reply that the back end is asked to confirm.
        """
        self.number = number
        self.stale = stale
        self.keyed = keyed
        self.storage = storage
        of_stale = frozenset() if stale is None else stale.tags
        self.tags = storage.tags.of(keyed.message) | of_stale
        """The tags that the reply will have; the back end may add some."""
        self.dropped: set[str] = set()
        """The tags that were dropped since it began: a reply with one of them is outdated."""
        self.paths = {path}
        self.started_s = started_s
        self.wall_s = time.time()
        self.waiting = 0
        """The number of calls that wait for it; without any, it is cancelled."""
        self.is_background = False
        self.is_outdated = False
        """True if a change came after it began: its reply must not be stored."""
        self.entry: Entry | None = None
        self.is_stored = False
        self.is_confirmed = False
        """True if the back end has confirmed the stale reply."""
        self.reply: Reply | None = None
        self.error: Exception | None = None
        self.code = Code.CANCELLED
        """The code with which it ended."""
        self.task: asyncio.Task[None] | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def has_failed(self) -> bool:
        """True if a stale reply is better than its own (RFC 5861 section 4)."""
        if isinstance(self.error, StatusError):
            return self.error.code in SERVER_FAILURES
        return self.reply is not None and has_server_failed(self.reply.metadata)


class CallCache:
    """The cache of one site: stored replies, and the calls that fetch more."""

    def __init__(self, options: CacheOptions, store: ReplyStore | None = None) -> None:
        """`store` is shared with other workers and nodes; it needs a running loop."""
        self.options = options
        self.memory = MemoryCache(options)
        self.memory.unreadable = self.discard
        self.shared: SharedReplies | None = None
        """The replies in the store; None if each worker stores replies alone."""
        self.count: Callable[[tuple[str, str]], None] | None = None
        """Counts a call by its method and result, as `count_change` does a `change` or `purge`."""
        self.note_age: Callable[[float], None] | None = None
        self.hits: Callable[[tuple[str, str]], Callable[[float], None]] | None = None
        """The first takes the age of a reply in seconds; `hits` opens what also counts a call."""
        self.count_change: Callable[[str], None] | None = None
        self.tell: Callable[[Collection[str], Collection[str]], None] | None = None
        """Called with the paths and tags of each change; None without other caches."""
        if store is not None:
            self.shared = SharedReplies(store, options, self.drop, self.drop_purged)
        self._fills: dict[bytes, Fill] = {}
        self._by_path = KeyIndex()
        self._running: set[asyncio.Task[None]] = set()
        self._in_background = 0
        self._uncacheable: OrderedDict[bytes, float] = OrderedDict()
        self._varying: set[str] = set()
        """The methods of which the log says that their replies vary by more than the rule has."""
        self._sweep = Sweep(self.memory)

    async def close(self) -> None:
        """Cancels the calls under way."""
        self._sweep.close()
        if self.shared is not None:
            await self.shared.close()
        running = tuple(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def store(self, entry: Entry) -> Entry | None:
        """Stores an entry in memory, until a sweep removes it; see `MemoryCache.put`."""
        self._sweep.begin()
        return self.memory.put(entry)

    def discard(self, key: bytes) -> None:
        """Removes a reply, here and in the store; the next call goes to the back end."""
        self.memory.discard(key)
        if self.shared is not None:
            self.shared.forget(key)

    @property
    def fills(self) -> int:
        """The number of calls under way."""
        return len(self._running)

    def is_uncacheable(self, key: bytes) -> bool:
        """True if a recent reply of this key could not be stored: no call waits for another."""
        until_s = self._uncacheable.get(key)
        if until_s is None:
            return False
        if until_s > _now_s():
            return True
        del self._uncacheable[key]
        return False

    def under_way(self, key: bytes, path: str) -> Fill | None:
        """Returns the call under way for a key, which this path then also belongs to."""
        fill = self._fills.get(key)
        if fill is not None and path not in fill.paths:
            fill.paths.add(path)
            self._by_path.add(path, key)
        return fill

    def begin(
        self,
        keyed: KeyedCall,
        path: str,
        storage: Storage,
        start: Callable[[], tuple[Call, Handler]],
        number: int | None = None,
        *,
        stale: Entry | None = None,
    ) -> Fill:
        """Begins the one call for a key; `start` makes it, and may ask to confirm `stale`."""
        fill = Fill(keyed, path, storage, _now_s(), number, stale=stale)
        self._fills[keyed.key] = fill
        self._by_path.add(path, keyed.key)
        call, proceed = start()
        fill.task = asyncio.create_task(self._run(fill, call, proceed))
        self._running.add(fill.task)
        # Not in the task itself: one that is cancelled before its first step does nothing.
        fill.task.add_done_callback(lambda task: self._end(fill, call, task))
        return fill

    async def wait(self, fill: Fill, most_s: float | None) -> bool:
        """Waits until a call has ended; False if that takes longer than `most_s`.

        If the last caller that waits is cancelled, the call is cancelled too.
        """
        fill.waiting += 1
        try:
            # Unlike `await fill.done`, this does not cancel the future with the caller.
            await asyncio.wait((fill.done,), timeout=most_s)
        finally:
            fill.waiting -= 1
            if not (fill.waiting or fill.is_background or fill.done.done()):
                self._forget(fill)  # a call that comes now must not wait for it
                if fill.task is not None:
                    fill.task.cancel()
        return fill.done.done()

    def refresh(self, key: bytes, begin: Callable[[], Fill]) -> None:
        """Begins a call in the background, unless one is under way or too many are."""
        if key in self._fills or self._in_background >= _MOST_BACKGROUND:
            return
        fill = begin()
        fill.is_background = True
        self._in_background += 1

    def changed(self, paths: Collection[str], tags: Collection[str]) -> None:
        """Drops the replies that a change may have outdated, here and wherever they are shared."""
        self.drop(paths, tags)
        if self.count_change is not None:
            self.count_change("change")
        if self.shared is not None:
            self.shared.changed(paths, tags)
        elif self.tell is not None:
            self.tell(paths, tags)

    def drop(self, paths: Collection[str], tags: Collection[str], *, is_all: bool = False) -> None:
        """Drops replies in this worker, also those of calls under way; `is_all` drops all."""
        if is_all:
            self.drop_purged(Purge(PurgeBy.ALL))
            return
        self.memory.drop(paths, tags)
        for key in self._by_path.keys(paths):
            self._outdate(self._fills[key])
        if tags:
            for fill in tuple(self._fills.values()):
                self._drop_tags(fill, tags)

    def purge(self, purge: Purge) -> int:
        """Drops what an operator drops, also in the store; returns the number in this memory."""
        if self.count_change is not None:
            self.count_change("purge")
        if self.shared is not None:
            self.shared.purged(purge)
        return self.drop_purged(purge)

    def drop_purged(self, purge: Purge) -> int:
        """Drops replies in this worker, also those of calls under way; returns their number."""
        if not purge.soft:
            for fill in tuple(self._fills.values()):
                if purge.by is PurgeBy.TAG:
                    self._drop_tags(fill, (purge.value,))
                elif _is_purged(fill, purge):
                    self._outdate(fill)
        return self.memory.purge(purge, _now_s())

    def consumed(self, metadata: Metadata) -> Metadata:
        """Returns the metadata of a reply for clients: without tags, if the settings say so."""
        if not self.options.consume_tags or all(name not in CONSUMED for name, _ in metadata):
            return metadata
        return [one for one in metadata if one[0] not in CONSUMED]

    def _outdate(self, fill: Fill) -> None:
        fill.is_outdated = True
        self._forget(fill)  # a call from now on must not wait for it

    def _drop_tags(self, fill: Fill, tags: Collection[str]) -> None:
        fill.dropped.update(tags)
        if not fill.tags.isdisjoint(tags) or len(fill.dropped) > _MOST_DROPPED:
            self._outdate(fill)

    async def _run(self, fill: Fill, call: Call, proceed: Handler) -> None:
        rule = fill.storage.rule
        try:
            fill.reply = await proceed(call)
            if is_not_modified(fill.reply.metadata):
                fill.reply = confirmed(fill.stale, fill.reply)
                fill.is_confirmed = True
            fill.code = Code.OK
            if not fill.has_failed:  # else a stale reply stays
                self._keep(fill, rule, fill.reply)
        except StatusError as error:
            fill.code, fill.error = error.code, error
            negative = fill.storage.negative.get(error.code)
            if negative is not None:
                self._keep_failure(fill, negative, error)
            error.metadata = self.consumed(list(error.metadata))
        except Exception as error:  # noqa: BLE001 - raised again by each call that waits
            fill.code, fill.error = Code.INTERNAL, error

    def _end(self, fill: Fill, call: Call, task: asyncio.Task[None]) -> None:
        """Takes the end of a call, also a cancelled one, and wakes the callers that wait for it."""
        self._running.discard(task)
        if fill.is_background:
            self._in_background -= 1
        if task.cancelled():
            fill.error = StatusError(Code.UNAVAILABLE, "the gateway is shutting down")
        self._forget(fill)
        call.end(fill.code)
        fill.done.set_result(None)

    def _times_of(self, fill: Fill, rule: CacheRule, metadata: Metadata) -> Times | None:
        return times_of(metadata, rule, fill.started_s, fill.wall_s, self.options.targets)

    def _keep(self, fill: Fill, rule: CacheRule, reply: Reply) -> None:
        keyed = fill.keyed
        times = self._times_of(fill, rule, reply.metadata)
        tags = fill.tags | tags_of_reply(reply.metadata)
        if (
            times is None
            or len(reply.message) > self.options.max_entry_bytes
            or not are_few_and_short(tags)
        ):
            self.discard(keyed.key)  # a stale one must not outlive what the back end says
            self._note_uncacheable(keyed.key)
            log_unlisted_vary(fill.storage, reply.metadata, self._varying)
            return
        if not tags.isdisjoint(fill.dropped):
            return  # each caller makes its own call: it may have come after the change
        fill.entry = Entry(
            keyed.key,
            reply.message,
            dated(with_vary(self.consumed(kept_metadata(reply.metadata)), rule), fill.wall_s),
            kept_metadata(reply.trailers),
            times,
            keyed.owner,
            fill.paths,
            tags=tags,
            method=fill.storage.method,
            for_clients=client_cache_control(reply.metadata, rule, self.options.targets),
        )
        if not fill.is_outdated:
            self._put(fill, fill.entry)

    def _keep_failure(self, fill: Fill, rule: CacheRule, error: StatusError) -> None:
        """Stores a failure, if its metadata does not forbid it."""
        metadata = [*error.metadata, *error.trailers]
        times = self._times_of(fill, rule, metadata)
        tags = fill.tags | tags_of_reply(metadata)
        if times is None or not are_few_and_short(tags) or not tags.isdisjoint(fill.dropped):
            return
        kept = StatusError(
            error.code,
            error.message,
            details=error.details,
            metadata=with_vary(self.consumed(kept_metadata(list(error.metadata))), rule),
            trailers=self.consumed(kept_metadata(list(error.trailers))),
        )
        entry = Entry(
            *(fill.keyed.key, b"", list(kept.metadata), list(kept.trailers), times),
            *(fill.keyed.owner, fill.paths),
            tags=tags,
            method=fill.storage.method,
            error=kept,
        )
        if not fill.is_outdated and entry.size_bytes <= self.options.max_entry_bytes:
            self._put(fill, entry)

    def _put(self, fill: Fill, entry: Entry) -> None:
        # Not the present: a change may have come before the reply, and its message may be lost.
        entry.confirmed_s, entry.number = fill.started_s, fill.number
        stored = self.store(entry)
        fill.is_stored = stored is not None
        if fill.entry is entry and stored is not None:
            fill.entry = stored
        if self.shared is not None:
            self.shared.keep(entry, fill.number, fill.started_s)

    def _forget(self, fill: Fill) -> None:
        key = fill.keyed.key
        if self._fills.get(key) is fill:
            del self._fills[key]
            self._by_path.discard(fill.paths, key)

    def _note_uncacheable(self, key: bytes) -> None:
        self._uncacheable[key] = _now_s() + _UNCACHEABLE_S
        if len(self._uncacheable) > _MOST_UNCACHEABLE:
            self._uncacheable.popitem(last=False)


def _is_purged(fill: Fill, purge: Purge) -> bool:
    """True if the reply of a call under way is among those that are dropped."""
    match purge.by:
        case PurgeBy.PATH:
            return normal_path(purge.value) in fill.paths
        case PurgeBy.PRINCIPAL:
            return fill.keyed.owner == purge.value
        case PurgeBy.METHOD:
            return fill.storage.method == purge.value
        case _:
            return purge.by is PurgeBy.ALL

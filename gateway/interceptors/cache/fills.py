"""The calls that fetch replies to be stored: one at a time for each key.

Collapsed requests: RFC 9111 section 4 ("a cache can use a response … for multiple requests").
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.cache.freshness import kept_metadata, times_of, with_vary
from gateway.cache.keys import KeyedCall
from gateway.cache.memory import Entry, MemoryCache
from gateway.cache.paths import KeyIndex, changed_paths, normal_path
from gateway.cache.tags import (
    CONSUMED,
    Purge,
    PurgeBy,
    are_few_and_short,
    dropped_tags,
    tags_of_reply,
)
from gateway.call import Call, Handler, Metadata, Reply
from gateway.config.cache import CacheOptions, CacheRule
from gateway.policy.reply_tags import TagMaker
from gateway.status import Code, StatusError

_now_s: Final = time.monotonic

_MOST_BACKGROUND: Final = 100
_MOST_DROPPED: Final = 1000
_MOST_UNCACHEABLE: Final = 10_000
_UNCACHEABLE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Storage:
    """The storage of the replies of one method, decided at start."""

    method: str
    """The full name of the method."""
    rule: CacheRule
    tags: TagMaker
    negative: Mapping[Code, CacheRule]
    """The rule for each failure that is stored."""


class Fill:
    """One call whose reply is to be stored, and those who wait for it."""

    def __init__(self, keyed: KeyedCall, path: str, storage: Storage, started_s: float) -> None:
        self.keyed = keyed
        self.storage = storage
        self.tags = storage.tags.of(keyed.message)
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
        self.reply: Reply | None = None
        self.error: Exception | None = None
        self.code = Code.CANCELLED
        """The code with which it ended."""
        self.task: asyncio.Task[None] | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


def _count_nothing(_: str) -> None:
    """Counts nothing."""


def _nothing() -> None:
    """Counts nothing."""


class CallCache:
    """The cache of one site: stored replies, and the calls that fetch more."""

    def __init__(self, options: CacheOptions) -> None:
        self.options = options
        self.count: Callable[[str], None] = _count_nothing
        """Takes the result of each call: hit, stale, collapsed, miss or bypass."""
        self.count_stored: Callable[[], None] = _nothing
        """Is called for each reply that is stored."""
        self.memory = MemoryCache(options)
        self._fills: dict[bytes, Fill] = {}
        self._by_path = KeyIndex()
        self._running: set[asyncio.Task[None]] = set()
        self._in_background = 0
        self._uncacheable: OrderedDict[bytes, float] = OrderedDict()

    async def close(self) -> None:
        """Cancels the calls under way."""
        running = tuple(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

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
    ) -> Fill:
        """Begins the one call for a key; `start` makes it."""
        fill = Fill(keyed, path, storage, _now_s())
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

        If the last one who waits is cancelled, so is the call.
        """
        fill.waiting += 1
        try:
            # This leaves the future as it is, whatever happens to the one who waits.
            await asyncio.wait((fill.done,), timeout=most_s)
        finally:
            fill.waiting -= 1
            if not (fill.waiting or fill.is_background or fill.done.done()):
                self._forget(fill)  # a call that comes now must not wait for it
                if fill.task is not None:
                    fill.task.cancel()
        return fill.done.done()

    def refresh(
        self,
        keyed: KeyedCall,
        path: str,
        storage: Storage,
        start: Callable[[], tuple[Call, Handler]],
    ) -> None:
        """Begins a call in the background, unless one is under way or too many are."""
        if keyed.key in self._fills or self._in_background >= _MOST_BACKGROUND:
            return
        fill = self.begin(keyed, path, storage, start)
        fill.is_background = True
        self._in_background += 1

    def changed(self, paths: Collection[str], tags: Collection[str]) -> None:
        """Drops the replies that a change may have outdated, also those of calls under way."""
        self.memory.drop(paths, tags)
        for key in self._by_path.keys(paths):
            self._outdate(self._fills[key])
        if tags:
            for fill in tuple(self._fills.values()):
                self._drop_tags(fill, tags)

    def purge(self, purge: Purge) -> int:
        """Drops what an operator drops, also of calls under way; returns the number of replies."""
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
            fill.code = Code.OK
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
        """Ends a call however it ended, and wakes those who wait."""
        self._running.discard(task)
        if fill.is_background:
            self._in_background -= 1
        if task.cancelled():
            fill.error = StatusError(Code.UNAVAILABLE, "the gateway is shutting down")
        if fill.is_stored:
            self.count_stored()
        self._forget(fill)
        call.end(fill.code)
        fill.done.set_result(None)

    def _keep(self, fill: Fill, rule: CacheRule, reply: Reply) -> None:
        keyed = fill.keyed
        times = times_of(reply.metadata, rule, fill.started_s, fill.wall_s)
        tags = fill.tags | tags_of_reply(reply.metadata)
        if (
            times is None
            or len(reply.message) > self.options.max_entry_bytes
            or not are_few_and_short(tags)
        ):
            self.memory.discard(keyed.key)  # a stale one must not outlive what the back end says
            self._note_uncacheable(keyed.key)
            return
        if not tags.isdisjoint(fill.dropped):
            return  # those who wait call for themselves: they may have come after the change
        fill.entry = Entry(
            keyed.key,
            reply.message,
            with_vary(self.consumed(kept_metadata(reply.metadata)), rule),
            kept_metadata(reply.trailers),
            times,
            keyed.owner,
            fill.paths,
            tags=tags,
            method=fill.storage.method,
        )
        if not fill.is_outdated:
            fill.is_stored = self.memory.put(fill.entry)

    def _keep_failure(self, fill: Fill, rule: CacheRule, error: StatusError) -> None:
        """Stores a failure, if its metadata does not forbid it."""
        metadata = [*error.metadata, *error.trailers]
        times = times_of(metadata, rule, fill.started_s, fill.wall_s)
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
            fill.is_stored = self.memory.put(entry)

    def _forget(self, fill: Fill) -> None:
        key = fill.keyed.key
        if self._fills.get(key) is fill:
            del self._fills[key]
            self._by_path.discard(fill.paths, key)

    def _note_uncacheable(self, key: bytes) -> None:
        self._uncacheable[key] = _now_s() + _UNCACHEABLE_S
        if len(self._uncacheable) > _MOST_UNCACHEABLE:
            self._uncacheable.popitem(last=False)


class Invalidate:
    """Drops what a successful call of a method with side effects has changed."""

    def __init__(self, cache: CallCache, tags: TagMaker, *, streams: bool) -> None:
        """`tags` makes those that a successful call drops."""
        self._cache = cache
        self._tags = tags
        self._streams = streams

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Proceeds with a call; a stream may have changed something however it ends."""
        if self._streams:
            call.on_end(lambda _: self._drop(call, ()))
            return proceed(call)
        if call.target[0] in ("GET", "HEAD"):  # RFC 9110 section 9.2.1: safe
            return proceed(call)
        return self._proceed(call, proceed)

    async def _proceed(self, call: Call, proceed: Handler) -> Reply:
        try:
            reply = await proceed(call)
        except StatusError as error:
            if error.code is Code.DEADLINE_EXCEEDED:  # it may have been done after all
                self._drop(call, ())
            raise
        except asyncio.CancelledError:
            self._drop(call, ())
            raise
        self._drop(call, reply.metadata)
        reply.metadata = self._cache.consumed(reply.metadata)
        return reply

    def _drop(self, call: Call, metadata: Collection[tuple[str, str | bytes]]) -> None:
        path = call.target[1]
        message = call.message_at_hand()
        tags = dropped_tags(metadata) | (
            self._tags.of(message) if message is not None else frozenset()
        )
        if path or tags:
            host = call.headers.get("Host", "")
            self._cache.changed(changed_paths(path, metadata, host), tags)


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

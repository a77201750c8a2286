"""Answers calls from the cache, and stores the replies to others.

Sources: RFC 9111 (caching), RFC 5861 (stale replies), RFC 9211 (Cache-Status).
"""

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from multidict import istr

from gateway.cache.confirmation import conditions
from gateway.cache.entries import Asked, Entry, KnownLine, Recalling
from gateway.cache.keys import KeyedCall, KeyMaker
from gateway.cache.paths import normal_path
from gateway.cache.requested import NO_WISHES, RequestControl, Wishes
from gateway.call import Call, Deadline, Handler, Metadata, Method, Reply, RequestLine
from gateway.config.cache import CacheRule, CacheScope
from gateway.interceptors.cache.failures import copied, is_for_all, unconfirmed
from gateway.interceptors.cache.fills import CallCache, Fill
from gateway.interceptors.cache.storage import Storage, negative_rules
from gateway.policy.reply_tags import TagMaker
from gateway.status import Code, StatusError

_now_s: Final = time.monotonic

FindReply = Callable[[bytes, str], Awaitable[tuple[Entry | None, int | None]]]
"""Looks a reply up by key and path; also returns the number of the last change."""
_FORWARDED: Final = ("x-request-id", "traceparent")
_MOST_TURNS: Final = 2
_SHOWN_BYTES: Final = 400
"""The memory of the headers that are kept with a stored reply."""
# An `istr` is already case-folded, so a look-up does not fold the name again.
_AUTHORIZATION: Final = istr("Authorization")
_IF_MATCH: Final = istr("If-Match")
_IF_UNMODIFIED_SINCE: Final = istr("If-Unmodified-Since")


@dataclass(frozen=True, slots=True)
class _Lookup:
    """A call that the cache may answer."""

    call: Call
    proceed: Handler
    keyed: KeyedCall
    path: str
    reads: bool
    """True for GET and HEAD, whose responses have an age (RFC 9110 section 9.3.3)."""
    wanted: Wishes
    asked: Asked | None = None
    """The call before it was decoded, if that decides its key."""
    number: int | None = None
    """The number of the last change in the store that several gateways share, if it answered."""
    stale: Entry | None = None
    """The stored reply that the back end is asked to confirm."""


class CachedCalls(Recalling):
    """Answers the calls of one method from the cache.

    It stands behind all stages that may reject a call, and before those that forward it.
    """

    def __init__(
        self, cache: CallCache, method: Method, rule: CacheRule, *, timeout_s: float
    ) -> None:
        """`timeout_s` is the time for one call to the back end, however many requests wait."""
        self._cache = cache
        self._method = method
        self._rule = rule
        tags = TagMaker(method, "cache.tags", rule.tags)
        self._storage = Storage(method.full_name, rule, tags, negative_rules(rule))
        self._control = RequestControl(is_on=rule.request_control, scope=cache.options.admin_scope)
        self._keys = KeyMaker(method, rule, for_store=cache.shared is not None)
        self._count_hit: Callable[[float], None] | None = None
        self._memory = cache.memory
        self._shared_replies = cache.shared
        self._states = cache.options.status
        self._timeout_s = timeout_s
        self._varies, self._is_controlled = bool(rule.vary), rule.request_control
        self._is_shared = rule.scope is CacheScope.SHARED
        self._admits_principals = rule.scope is not CacheScope.ANONYMOUS
        self._reads_authorization = self._is_shared or "authorization" in rule.vary

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Returns a stored reply, or that of the back end.

        Raises:
            StatusError: UNAVAILABLE with HTTP status 504 if only a stored reply is wanted and there
                is none (RFC 9111 section 5.2.1.7); and what the back end fails with.
        """
        asked = self._asked(call)
        if asked is not None:
            reply = self._known(call, asked)
            if reply is not None:
                return reply
        if call.message_at_hand() is None:
            return self._read(call, proceed, asked)
        return self._look_up(call, proceed, asked)

    async def _read(self, call: Call, proceed: Handler, asked: Asked | None) -> Reply:
        await call.message()
        return await self._look_up(call, proceed, asked)

    def _asked(self, call: Call) -> Asked | None:
        """Returns what decides the key of a call that is not decoded; None if more does."""
        line = call.deciding_line
        if line is None or not self._may_answer(call):
            return None
        metadata = self._keys.varying(call.metadata) if self._varies else []
        principal = None if self._is_shared else call.principal
        name = "" if principal is None else principal.name
        return self._method.path, line, name, tuple(metadata)

    def _known(self, call: Call, asked: Asked) -> Reply | None:
        """Answers with the fresh reply that an equal call has got; None if it is not known."""
        if self._is_controlled and self._control.decides(call):
            return None
        now_s = _now_s()
        principal = None if self._is_shared else call.principal
        line = self._memory.find(asked, principal)
        entry = None if line is None else self.recall(line, asked[1][1], now_s)
        if entry is None:
            return None
        call.response_headers += self.count_hit(entry, now_s)
        call.cache_result = "hit"
        metadata = entry.metadata + entry.for_clients
        reply = Reply(entry.message, metadata=metadata, trailers=entry.trailers.copy())
        reply.forms = entry.forms
        return reply

    def find(self, line: RequestLine) -> KnownLine | None:
        """Returns the line of a GET, if an equal one has got a reply; see `Recalling.find`."""
        if self._varies or self._is_controlled:
            return None
        return self._memory.find((self._method.path, line, "", ()), None)

    def recall(self, known: KnownLine, path: str, now_s: float) -> Entry | None:
        """Returns the fresh reply to a line that was found; see `Recalling.recall`."""
        entry = self._memory.fresh(known, now_s)
        if entry is None or entry.error is not None:
            return None
        shared = self._shared_replies
        if shared is not None and not shared.is_recent(entry, normal_path(path), now_s):
            return None
        return entry

    def count_hit(self, entry: Entry, now_s: float) -> list[tuple[str, str]]:
        """Does what `_reply` does for a fresh reply to a GET or HEAD, in the fewest steps."""
        cache, age_s = self._cache, max(0.0, now_s - entry.born_s)
        age, ttl = int(age_s), int(entry.fresh_until_s - now_s)
        if age != entry.shown_age or ttl != entry.shown_ttl:  # once in a second or so
            if not entry.shown:
                self._memory.grow(entry, _SHOWN_BYTES)
            entry.show(age, ttl, with_status=self._states)
        if self._count_hit is None and cache.hits is not None:
            self._count_hit = cache.hits((self._method.path[1:], "hit"))
        if self._count_hit is not None:
            self._count_hit(age_s)
        return entry.shown

    def _look_up(self, call: Call, proceed: Handler, asked: Asked | None) -> Awaitable[Reply]:
        wanted = self._control.wishes(call)
        keyed = self._keyed(call)
        if keyed is None:
            return self._pass(call, proceed, "bypass", wanted)
        http_method, raw_path = call.target
        path = normal_path(raw_path)
        is_read = http_method in ("GET", "HEAD")
        look = _Lookup(call, proceed, keyed, path, is_read, wanted, asked)
        now_s = _now_s()
        entry = self._cache.memory.get(keyed.key, now_s)
        shared = self._cache.shared
        if shared is not None and not (entry and shared.is_recent(entry, path, now_s)):
            return self._ask_store(look, shared.find)
        return self._answer(look, entry, now_s)

    async def _ask_store(self, look: _Lookup, find: FindReply) -> Reply:
        """Answers with the reply in the store, if there is one."""
        key = look.keyed.key
        fill = self._cache.under_way(key, look.path)
        if fill is not None and not fill.is_background:
            return await self._answer(look, None, _now_s())  # it had none when that call began
        entry, number = await find(key, look.path)
        memory = self._cache.memory
        if entry is None:
            memory.discard(key)  # it has been changed, or nobody knows
        elif memory.get(key, 0.0) is not entry:
            entry = self._cache.store(entry) or entry
        now_s = _now_s()
        if entry is not None and now_s > entry.times.kept_until_s:
            entry = None
        return await self._answer(replace(look, number=number), entry, now_s)

    def _answer(self, look: _Lookup, entry: Entry | None, now_s: float) -> Awaitable[Reply]:
        """Answers with a stored reply, or with that of the back end."""
        call, proceed, keyed, path = look.call, look.proceed, look.keyed, look.path
        wanted = look.wanted
        if entry is not None and not self._cache.memory.add_path(entry, path):
            return self._pass(call, proceed, "bypass", wanted)
        if entry is not None and wanted.allow(entry.times, now_s):
            if now_s <= entry.times.fresh_until_s:
                if look.asked is not None:
                    principal = None if self._is_shared else call.principal
                    self._cache.memory.note(entry, look.asked, principal)
            elif now_s <= entry.times.swr_until_s:
                stale = replace(look, number=entry.number, stale=entry)
                self._cache.refresh(keyed.key, partial(self._begin, stale))
            return self._hit(call, entry, now_s, reads=look.reads)
        if wanted.no_store:
            return self._pass(call, proceed, "request", wanted)
        if wanted.only_if_cached or self._cache.is_uncacheable(keyed.key):
            return self._pass(call, proceed, "bypass", wanted)
        why = "uri-miss"
        if entry is not None:
            why = "request" if now_s <= entry.times.fresh_until_s else "stale"
            look = replace(look, number=entry.number, stale=entry)
        return self._fetch(look, why)

    def _keyed(self, call: Call) -> KeyedCall | None:
        """Returns the key of a call; None if the cache must not answer it."""
        if not self._may_answer(call):
            return None
        metadata = call.metadata if self._rule.vary else []
        return self._keys.keyed(call.decoded, call.principal, metadata)

    def _may_answer(self, call: Call) -> bool:
        """True if the cache may answer a call, whatever is stored."""
        if call.principal is not None and not self._admits_principals:
            return False
        if call.kept_head is not None and call.kept_head.is_plain:
            return True
        headers = call.headers
        if call.principal is None and not self._reads_authorization and _AUTHORIZATION in headers:
            return False  # RFC 9111 section 3.5: the back end may know who calls
        # The back end evaluates these (RFC 9111 section 4.3.2).
        return _IF_MATCH not in headers and _IF_UNMODIFIED_SINCE not in headers

    async def _hit(self, call: Call, entry: Entry, now_s: float, *, reads: bool = True) -> Reply:
        return self._reply(call, entry, now_s, "hit", reads=reads)

    async def _pass(self, call: Call, proceed: Handler, why: str, wanted: Wishes) -> Reply:
        """Forwards a call as it is, and stores nothing."""
        if wanted.only_if_cached:
            raise StatusError(
                Code.UNAVAILABLE,
                "there is no stored reply, and the request has Cache-Control: only-if-cached",
                http_status=504,
            )
        reply = await proceed(call)
        self._state(call, reply.metadata, f"fwd={why}")
        reply.metadata = self._cache.consumed(reply.metadata)
        return reply

    async def _fetch(self, look: _Lookup, why: str) -> Reply:
        """Returns the reply of the back end, by a call of its own or one that is under way."""
        for _ in range(_MOST_TURNS):
            fill = self._cache.under_way(look.keyed.key, look.path)
            leads = fill is None
            if fill is None:
                fill = self._begin(look)
            if not await self._cache.wait(fill, self._most_s(look, leads=leads)):
                stale = self._stale(look)
                if stale is not None:
                    return stale
                break
            reply = self._outcome(look, fill, why, leads=leads)
            if reply is not None:
                return reply
            if fill.error is None:  # the reply is for one caller: all others go at once
                break
        return await self._pass(look.call, look.proceed, why, NO_WISHES)

    def _outcome(self, look: _Lookup, fill: Fill, why: str, *, leads: bool) -> Reply | None:
        """Returns the reply of a call that has ended; None if it is not for this caller.

        Raises:
            StatusError: the call has failed, and there is no stale reply.
        """
        note = (
            f"fwd={why}{'; fwd-status=304' if fill.is_confirmed else ''}"
            f"{'; stored' if fill.is_stored else ''}{'' if leads else '; collapsed'}"
        )
        if fill.entry is not None:
            # To the first caller it is as old as the back end says: it has not been stored.
            now_s = fill.started_s if leads else _now_s()
            reply = self._reply(look.call, fill.entry, now_s, note, reads=look.reads)
            if leads and fill.reply is not None:
                reply.attempts = fill.reply.attempts
            return reply
        error = fill.error
        if fill.has_failed:
            stale = self._stale(look)
            if stale is not None:
                return stale
        if error is None:
            if leads and fill.reply is not None:
                self._state(look.call, fill.reply.metadata, note)
                fill.reply.metadata = self._cache.consumed(fill.reply.metadata)
                return fill.reply
            return None
        if isinstance(error, StatusError):
            if not leads and not is_for_all(error):
                return None
            if look.stale is not None and not look.stale.times.may_be_stale:
                error = unconfirmed(error)
        if fill.is_stored:
            self._state(look.call, [], note)
        raise error.with_traceback(None)

    def _most_s(self, look: _Lookup, *, leads: bool) -> float | None:
        """Returns the time to wait for a call; None to wait until it ends, or the client leaves."""
        most_s = None if leads else self._cache.options.collapse_wait_s
        deadline, stale = look.call.deadline, look.stale
        if deadline is None or stale is None or stale.times.sie_until_s < deadline.at_s:
            return most_s
        left_s = deadline.remaining_s(_now_s())  # then the stale reply is sent
        return left_s if most_s is None else min(left_s, most_s)

    def _stale(self, look: _Lookup) -> Reply | None:
        """Returns the stale reply for a call whose back end fails; None without one."""
        now_s = _now_s()
        stale = self._cache.memory.get(look.keyed.key, now_s)
        if stale is None or now_s > stale.times.sie_until_s:
            return None
        return self._reply(look.call, stale, now_s, "hit", reads=look.reads)

    def _begin(self, look: _Lookup) -> Fill:
        """Begins the call to the back end for all that wait for this reply."""
        parts = look.keyed, look.path, self._storage, partial(self._start, look), look.number
        return self._cache.begin(*parts, stale=look.stale)

    def _start(self, look: _Lookup) -> tuple[Call, Handler]:
        """Makes the call to the back end: with what the key contains, and no more."""
        call, keyed = look.call, look.keyed
        traced = [one for one in call.metadata if one[0] in _FORWARDED]
        asked = [] if look.stale is None else conditions(look.stale)
        own = Call(
            self._method,
            message=keyed.message,
            metadata=[*keyed.metadata, *asked, *traced],
            headers={},
            deadline=Deadline(_now_s() + self._timeout_s),
            peer=call.peer,
        )
        if not self._is_shared:
            own.principal = call.principal
        return own, look.proceed

    def _reply(self, call: Call, entry: Entry, now_s: float, note: str, *, reads: bool) -> Reply:
        """Makes a reply of an entry, with copies of its lists: later stages may change them.

        Raises:
            StatusError: the entry is a failure.
        """
        metadata = list(entry.metadata)
        age_s = max(0.0, now_s - entry.times.born_s)
        is_hit = note == "hit"
        if is_hit:
            # Rounded down: a reply that is stale by half a second has a negative time (RFC 9211).
            note = f"hit; ttl={math.floor(entry.times.fresh_until_s - now_s)}"
            if self._cache.note_age is not None:
                self._cache.note_age(age_s)
        if reads and (is_hit or age_s >= 1):
            call.response_headers.append(("Age", str(int(age_s))))
        date = entry.date
        if date:  # RFC 9110 section 6.6.1: it is that of the message, not of its transfer
            call.response_headers.append(("Date", date))
        self._state(call, metadata, note)
        if entry.error is not None:
            raise copied(entry.error)
        if reads:
            metadata += entry.for_clients
        reply = Reply(entry.message, metadata=metadata, trailers=list(entry.trailers))
        reply.forms = entry.forms
        return reply

    def _state(self, call: Call, metadata: Metadata, note: str) -> None:
        """Adds Cache-Status, behind those of caches that are nearer to the back end; counts it."""
        call.cache_result = _result(note)
        if self._cache.count is not None:
            self._cache.count((self._method.path[1:], call.cache_result))
        if self._cache.options.status:
            nearer = [str(value) for name, value in metadata if name == "cache-status"]
            call.response_headers.append(("Cache-Status", ", ".join([*nearer, f"gateway; {note}"])))


def _result(note: str) -> str:
    """Returns the kind of a result, of which metrics have few."""
    if note.startswith("hit"):
        return "stale" if "ttl=-" in note else "hit"
    if note.endswith("collapsed"):
        return "collapsed"
    if "fwd-status=304" in note:
        return "revalidated"
    return "bypass" if note in ("fwd=bypass", "fwd=request") else "miss"

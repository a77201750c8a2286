"""Whatever a back end says, the cache answers as another implementation of RFC 9111 would.

The other one is the state machine of `hishel`, as a shared cache. This cache never sends what the
other would not send. Where it is stricter on purpose, `why_stricter` has the reason.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import hishel
import pytest
from hishel._core import _spec
from hypothesis import event, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.cache.freshness import Times
from gateway.call import Call, Metadata, Reply
from gateway.config.cache import CacheOptions, CacheRule
from gateway.interceptors.cache.fills import CallCache
from gateway.interceptors.cache.stage import CachedCalls
from gateway.schema.catalog import build_schema
from tests.support.counting_backend import FILES

METHOD = build_schema(FILES).methods["shop.v1.Shop.GetItem"]
RULE = CacheRule(vary=("accept-language", "x-tenant"), request_control=True)
SHARED = hishel.CacheOptions(shared=True, supported_methods=["GET"], allow_stale=False)
DIRECTIVES = (
    *("max-age=0", "max-age=60", "Max-Age=60", "max-age=600", "max-age=x"),
    *("s-maxage=0", "s-maxage=60", "S-MaxAge=600", "public", "private", 'private="x-info"'),
    *("no-store", "No-Store", "no-cache", 'no-cache="x-info"', "must-revalidate"),
    *("proxy-revalidate", "must-understand", "immutable", "unheard-of=1"),
)
LANGUAGES = st.fixed_dictionaries(
    {}, optional={"accept-language": st.sampled_from(["de", "en"]), "x-tenant": st.just("t")}
)
REQUESTS = LANGUAGES | st.fixed_dictionaries(
    {"accept-language": st.just("de")},
    optional={
        "cache-control": st.sampled_from(["no-cache", "No-Cache"]),
        "authorization": st.just("Bearer x"),
    },
)
SOME_STATUSES = (*([200] * 9), 203, 206, 301, 302, 308, 404, 500)
SOME_VARY = (*([""] * 4), *["Accept-Language", "accept-language, X-Tenant"] * 2, "*", "x-other")


@dataclass(frozen=True)
class Case:
    """A reply, the requests before and after it, and the time between them."""

    directives: Sequence[str]
    status: int
    age_s: int
    expires: int | str | None
    """Seconds after Date, or a text; None if there is no Expires."""
    modified: bool
    tag: str
    vary: str
    cookie: bool
    requests: tuple[dict[str, str], dict[str, str]]
    elapsed_s: int

    def fields(self, now_s: int) -> dict[str, str]:
        """The header fields of the reply, made at `now_s` or as long before as its age."""
        made_s = now_s - self.age_s
        expires = self.expires
        if isinstance(expires, int):
            expires = formatdate(made_s + expires, usegmt=True)
        return {
            name: value
            for name, value in (
                ("date", formatdate(made_s, usegmt=True)),
                ("age", str(self.age_s) if self.age_s else ""),
                ("cache-control", ", ".join(self.directives)),
                ("expires", expires),
                ("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT" if self.modified else ""),
                ("etag", self.tag),
                ("vary", self.vary),
                ("set-cookie", "a=b" if self.cookie else ""),
                ("x-info", "old"),
            )
            if value
        }

    def why_stricter(self) -> str:
        """The reason for which this cache may ask the back end where the other does not."""
        said = self.directives
        times = [one.lower() for one in said if "age=" in one.lower()]
        stored = {200, 203, 204, 300, 301, 308}
        reasons = {
            "a cookie is meant for one client": self.cookie,
            "a field that is private makes the whole reply so": 'private="x-info"' in said,
            "no-cache of a field counts for the reply": 'no-cache="x-info"' in said,
            "only these statuses are common to all callers": self.status not in stored,
            "the policy names what replies may vary by": self.vary == "x-other",
            "what the policy names is in the key of all replies": any(
                self.requests[0].get(name) != self.requests[1].get(name)
                for name in RULE.vary
                if name not in self.vary.lower()
            ),
            "no time is guessed from Last-Modified": not times and self.expires is None,
            "of times that contradict or are no numbers, the strictest counts": "max-age=x" in times
            or len({one.split("=")[0] for one in times}) < len(set(times)),
            "the back end may know who calls": any("authorization" in one for one in self.requests),
        }
        return next((reason for reason, holds in reasons.items() if holds), "")


CASES = st.builds(
    Case,
    st.lists(st.sampled_from(DIRECTIVES), max_size=3)
    | st.tuples(st.sampled_from(["max-age=60", "s-maxage=60", "S-MaxAge=600"]))
    | st.tuples(st.just("max-age=600"), st.sampled_from(["public", "no-cache", "must-revalidate"])),
    st.sampled_from(SOME_STATUSES),
    st.sampled_from([0, 0, 10, 50]),
    st.sampled_from([None, None, -10, 0, 60, 600, "0"]),
    st.booleans(),
    st.sampled_from(["", '"v1"', 'W/"v1"']),
    st.sampled_from(SOME_VARY),
    st.sampled_from([*([False] * 9), True]),
    LANGUAGES.map(lambda one: (one, one)) | st.tuples(REQUESTS, REQUESTS),
    st.sampled_from([0, 20, 70, 1000]),
)


@dataclass
class Answer:
    """The answer to the second request."""

    is_stored: bool
    """True if it is the stored reply, without a call to the back end."""
    conditions: dict[str, str]
    """The conditions of the call to the back end."""
    confirmed: dict[str, str] | None = None
    """The header fields after the back end has confirmed the stored reply."""


CONFIRMATION = {"cache-control": "max-age=5", "x-info": "new", "x-more": "1"}


class Back:
    """A back end that gives one reply, and confirms it to whoever asks with a condition."""

    def __init__(self, metadata: Metadata, tag: str) -> None:
        self.seen: list[dict[str, Any]] = []
        self._metadata = metadata
        self._tag = tag

    async def __call__(self, call: Call) -> Reply:
        """Answers a call."""
        self.seen.append(dict(call.metadata))
        if not any(name.startswith("if-") for name, _ in call.metadata):
            return Reply(b"", metadata=[*self._metadata])
        told = [("etag", self._tag)] if self._tag else []
        return Reply(b"", metadata=[("x-http-code", "304"), *told, *CONFIRMATION.items()])


async def answer_here(case: Case, now_s: int) -> Answer:
    """The answer of this cache; the time passes by making what is stored older."""
    cache = CallCache(CacheOptions())
    stage = CachedCalls(cache, METHOD, RULE, timeout_s=60.0)
    status = [] if case.status == 200 else [("x-http-code", str(case.status))]
    back = Back([*case.fields(now_s).items(), *status], case.tag)

    async def ask(headers: dict[str, str]) -> Reply:
        kept: Metadata = [one for one in headers.items() if one[0] in RULE.vary]
        call = Call(METHOD, message=b"", metadata=kept, headers=CIMultiDict(headers))
        return await stage(call, back)

    await ask(case.requests[0])
    for entry in cache.memory._entries.values():
        entry.times = earlier(entry.times, case.elapsed_s + 0.5)
    reply = await ask(case.requests[1])
    if len(back.seen) == 1:
        return Answer(is_stored=True, conditions={})
    asked = {name: value for name, value in back.seen[1].items() if name.startswith("if-")}
    fields: dict[str, str] = {}
    for name, value in reply.metadata:
        fields[name] = f"{fields[name]}, {value!s}" if name in fields else str(value)
    return Answer(False, asked, fields if asked else None)


def earlier(times: Times, by_s: float) -> Times:
    """A life that began, and ends, so much earlier."""
    confirm_until_s = times.confirm_until_s
    return Times(
        times.born_s - by_s,
        times.fresh_until_s - by_s,
        times.swr_until_s - by_s,
        times.sie_until_s - by_s,
        None if confirm_until_s is None else confirm_until_s - by_s,
    )


def answer_there(case: Case, now_s: int) -> Answer:
    """The answer of the other cache."""
    first, second = (
        hishel.Request("GET", "https://shop.example/v1/items/a", hishel.Headers(dict(one)))
        for one in case.requests
    )
    response = hishel.Response(case.status, hishel.Headers(dict(case.fields(now_s))))
    entries = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_spec, "time", SimpleNamespace(time=lambda: now_s))
        miss = hishel.IdleClient(SHARED).next(first, [])
        assert isinstance(miss, hishel.CacheMiss)
        stored = miss.next(response)
        if isinstance(stored, hishel.StoreAndUse):
            entries.append(hishel.Entry(uuid4(), first, stored.response))
        patch.setattr(_spec, "time", SimpleNamespace(time=lambda: now_s + case.elapsed_s))
        state = hishel.IdleClient(SHARED).next(second, entries)
        if not isinstance(state, hishel.NeedRevalidation):
            return Answer(isinstance(state, hishel.FromCache), {})
        told = CONFIRMATION | ({"etag": case.tag} if case.tag else {})
        after = state.next(hishel.Response(304, hishel.Headers(dict(told))))
    asked = {n: v for n, v in dict(state.request.headers).items() if n.startswith("if-")}
    if not isinstance(after, hishel.NeedToBeUpdated):
        return Answer(False, asked)
    return Answer(False, asked, dict(after.updating_entries[-1].response.headers))


@settings(max_examples=300, derandomize=True)
@given(CASES)
def test_replies_are_stored_sent_and_confirmed_as_another_cache_does(case: Case) -> None:
    now_s = int(time.time())
    ours = asyncio.run(answer_here(case, now_s))
    other = answer_there(case, now_s)
    if ours.is_stored:
        event("a hit")
        assert other.is_stored
    elif other.is_stored:
        reason = case.why_stricter()
        event(f"stricter: {reason}")
        assert reason
    elif ours.conditions:
        event("confirmed")
        assert other.conditions == ours.conditions
        assert compared(ours.confirmed) == compared(other.confirmed)


def compared(fields: dict[str, str] | None) -> dict[str, str] | None:
    """The fields that both keep: this cache has no Age among them, and completes Vary."""
    if fields is None:
        return None
    ours = {"age", "vary", "date", "x-http-code"}
    return {name: re.sub(r"\s+", " ", fields[name]) for name in fields if name not in ours}

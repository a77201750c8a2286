"""Reads what a request asks of the cache, and obeys it as far as the policy lets clients.

Source: RFC 9111 sections 5.2.1 (Cache-Control of requests) and 5.4 (Pragma).
"""

import math
from dataclasses import dataclass
from typing import Final

from multidict import istr

from gateway.cache.directives import MOST_S, parse_directives, seconds
from gateway.cache.freshness import Times
from gateway.call import Call

# An `istr` is already case-folded, so a look-up does not fold the name again.
_CACHE_CONTROL: Final = istr("Cache-Control")
_PRAGMA: Final = istr("Pragma")


@dataclass(frozen=True, slots=True)
class Wishes:
    """The directives of a request that are obeyed."""

    no_store: bool = False
    only_if_cached: bool = False
    no_cache: bool = False
    most_age_s: float = math.inf
    least_fresh_s: float = -math.inf
    most_stale_s: float = 0.0

    def allow(self, times: Times, now_s: float) -> bool:
        """True if a stored reply with these times may be sent without the back end."""
        left_s = times.fresh_until_s - now_s
        if self.no_cache or left_s < self.least_fresh_s or now_s - times.born_s > self.most_age_s:
            return False
        until_s = max(times.fresh_until_s, times.swr_until_s)
        if times.may_be_stale:
            until_s = max(until_s, times.fresh_until_s + self.most_stale_s)
        return now_s <= until_s


NO_WISHES: Final = Wishes()


class RequestControl:
    """Decides which directives of requests for one method are obeyed."""

    def __init__(self, *, is_on: bool, scope: str | None) -> None:
        """With `is_on`, also those that can load a back end, from callers who have `scope`."""
        self._is_on = is_on
        self._scope = scope

    def decides(self, call: Call) -> bool:
        """True if a request may ask for more than any fresh reply."""
        return self._is_on and (_CACHE_CONTROL in call.headers or _PRAGMA in call.headers)

    def wishes(self, call: Call) -> Wishes:
        """Returns the directives of a request that are obeyed."""
        stated = call.headers.get(_CACHE_CONTROL)
        if stated is None:
            # RFC 9111 section 5.4: Pragma counts only without Cache-Control.
            if not self.decides(call) or not self._admits(call):
                return NO_WISHES
            return Wishes(no_cache="no-cache" in parse_directives((call.headers[_PRAGMA],)))
        found = parse_directives((stated,))
        always = Wishes("no-store" in found, "only-if-cached" in found)
        if not self._is_on or not self._admits(call):
            return always
        most_age_s, most_stale_s = seconds(found, "max-age"), 0
        if "max-stale" in found:  # without a number: however stale
            most_stale_s = (seconds(found, "max-stale") or 0) if found["max-stale"] else MOST_S
        return Wishes(
            always.no_store,
            always.only_if_cached,
            "no-cache" in found,
            math.inf if most_age_s is None else most_age_s,
            seconds(found, "min-fresh") or -math.inf,
            most_stale_s,
        )

    def _admits(self, call: Call) -> bool:
        if self._scope is None:
            return True
        return call.principal is not None and self._scope in call.principal.scopes

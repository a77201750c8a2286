"""Decides if a reply may be stored, and until when it may be sent again.

Sources: RFC 9111 sections 3 (storing), 4.2 (freshness), 4.2.4 (stale replies); RFC 5861
(stale-while-revalidate, stale-if-error). A cache of a gateway is a shared cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final

from gateway.cache.directives import (
    MOST_S,
    Directives,
    delta_seconds,
    parse_directives,
    parse_targeted,
    seconds,
)
from gateway.call import Metadata
from gateway.config.cache import CacheRule, CacheScope
from gateway.config.grammar import http_date_s
from gateway.transcoding.metadata import HOP_BY_HOP, HTTP_CODE

# RFC 9110 section 15.1, those that a success can have and that speak of the whole reply.
_STORED_STATUSES: Final = frozenset({"200", "203", "204", "300", "301", "308"})
_NOT_STORED: Final = HOP_BY_HOP | {"content-length", "x-request-id", "age"}
_FORBIDS_STALE: Final = ("must-revalidate", "proxy-revalidate", "s-maxage", "no-cache")
_CONFIRMED_FOR_S: Final = 3600.0
"""The time for which a stale reply is kept, so that the back end can confirm it."""


@dataclass(frozen=True, slots=True)
class Times:
    """The life of a reply, in seconds on the monotonic clock."""

    born_s: float
    """The instant at which its age was 0."""
    fresh_until_s: float
    swr_until_s: float
    """It may be sent until then while it is fetched anew."""
    sie_until_s: float
    """It may be sent until then if the back end fails."""
    confirm_until_s: float | None = None
    """The back end is asked to confirm it until then; None if it has no validator."""
    may_be_stale: bool = True
    """False if it must be confirmed once it is stale, whatever clients and policies say."""

    @property
    def kept_until_s(self) -> float:
        """The instant after which it is of no use."""
        until_s = max(self.swr_until_s, self.sie_until_s)
        return until_s if self.confirm_until_s is None else max(until_s, self.confirm_until_s)

    def stale_from(self, now_s: float) -> "Times":
        """Returns the life of a reply that becomes stale now, if it is not stale already."""
        early_s = max(0.0, self.fresh_until_s - now_s)
        return Times(
            self.born_s,
            self.fresh_until_s - early_s,
            self.swr_until_s - early_s,
            self.sie_until_s - early_s,
            None if self.confirm_until_s is None else self.confirm_until_s - early_s,
            may_be_stale=self.may_be_stale,
        )


def times_of(
    metadata: Metadata,
    rule: CacheRule,
    started_s: float,
    wall_s: float,
    targets: Sequence[str] = (),
) -> Times | None:
    """Returns the life of a reply to a call sent at `started_s`; None if it must not be stored.

    `wall_s` is the same instant as seconds since 1970, which `expires` is compared with if the back
    end sends no `date`.

    `targets` has the names of the fields that stand for `cache-control` and `expires`, the first
    that is there and right (RFC 9213 section 2.2).

    The age begins when the call was sent, not when the reply came: the back end may have made it
    at any time between (RFC 9111 section 4.2.3).
    """
    if not _may_be_stored(metadata, rule):
        return None
    directives, is_targeted = _directives(metadata, targets)
    # RFC 9111 section 5.2.2.3: the status is one whose meaning this cache knows.
    forbids = ("private",) if "must-understand" in directives else ("private", "no-store")
    if not directives.keys().isdisjoint(forbids):
        return None
    about_time = [] if is_targeted else metadata
    lifetime_s = _lifetime_s(directives, about_time, rule, wall_s)
    age_s = _age_s(metadata)
    if "no-cache" in directives:  # RFC 9111 section 5.2.2.4: to be confirmed before each use
        lifetime_s = 0.0
    if lifetime_s is None:
        return None
    born_s = started_s - age_s
    fresh_until_s = born_s + lifetime_s
    swr_s, sie_s = 0.0, 0.0
    may_be_stale = directives.keys().isdisjoint(_FORBIDS_STALE)
    if may_be_stale:
        swr_s = _window_s(directives, "stale-while-revalidate", rule.swr_s)
        sie_s = _window_s(directives, "stale-if-error", rule.sie_s)
    confirm_until_s = None
    if any(name in ("etag", "last-modified") for name, _ in metadata):
        confirm_until_s = max(fresh_until_s, started_s) + _CONFIRMED_FOR_S
    times = Times(
        *(born_s, fresh_until_s, fresh_until_s + swr_s, fresh_until_s + sie_s),
        confirm_until_s,
        may_be_stale=may_be_stale,
    )
    return times if times.kept_until_s > started_s else None


def client_cache_control(metadata: Metadata, rule: CacheRule, targets: Sequence[str]) -> Metadata:
    """Returns the Cache-Control for clients of a stored reply whose back end states none.

    It states the whole life, of which clients subtract Age (RFC 9111 section 4.2.3).
    """
    if not rule.downstream or rule.ttl_s is None:
        return []
    if any(name in ("cache-control", "expires", *targets) for name, _ in metadata):
        return []  # what is meant for this cache alone is not for clients
    audience = "" if rule.scope is CacheScope.SHARED else "private, "
    return [("cache-control", f"{audience}max-age={int(rule.ttl_s)}")]


def dated(metadata: Metadata, wall_s: float) -> Metadata:
    """Adds the date to a reply that has no right one (RFC 9110 section 6.6.1)."""
    if any(http_date_s(one) is not None for one in _texts(metadata, "date")[:1]):
        return metadata
    date = formatdate(wall_s, usegmt=True)
    return [*[one for one in metadata if one[0] != "date"], ("date", date)]


def kept_metadata(metadata: Metadata) -> Metadata:
    """Returns the metadata that is stored: none of one connection or of one request."""
    dropped = set(_NOT_STORED)
    for text in _texts(metadata, "connection"):  # RFC 9111 section 3.1
        dropped.update(name.strip().lower() for name in text.split(","))
    return [one for one in metadata if one[0] not in dropped and not one[0].startswith("grpc-")]


def with_vary(metadata: Metadata, rule: CacheRule) -> Metadata:
    """Adds the names that a rule varies by to a reply's own (RFC 9110 section 12.5.5)."""
    stated = ",".join(_texts(metadata, "vary")).lower().replace(" ", "").split(",")
    missing = [name for name in rule.vary if name not in stated]
    return [*metadata, ("vary", ", ".join(missing))] if missing else metadata


def unlisted_vary(metadata: Metadata, rule: CacheRule) -> frozenset[str]:
    """Returns the names by which a reply varies, and its rule does not: it must not be stored.

    RFC 9111 section 4.1: `*` is never matched, in whatever place.
    """
    names = {one.strip().lower() for text in _texts(metadata, "vary") for one in text.split(",")}
    return frozenset(names - {"", "accept", "accept-encoding", *rule.vary})


def _may_be_stored(metadata: Metadata, rule: CacheRule) -> bool:
    for name, value in metadata:
        if name == HTTP_CODE:
            if value not in _STORED_STATUSES:
                return False
        elif name == "set-cookie":  # a cookie is meant for one client
            return False
    return not unlisted_vary(metadata, rule)


def _directives(metadata: Metadata, targets: Sequence[str]) -> tuple[Directives, bool]:
    """Returns the directives of a reply, and if they are meant for caches like this one."""
    for name in targets:
        stated = _texts(metadata, name)
        directives = parse_targeted(stated) if stated else None
        if directives:
            return directives, True
    return parse_directives(_texts(metadata, "cache-control")), False


def _lifetime_s(
    directives: Directives, metadata: Metadata, rule: CacheRule, wall_s: float
) -> float | None:
    """RFC 9111 section 4.2.1; without heuristics."""
    if rule.ttl_overrides and rule.ttl_s is not None:
        return rule.ttl_s
    for name in ("s-maxage", "max-age"):
        stated = seconds(directives, name)
        if stated is not None:
            return stated
    expires = _texts(metadata, "expires")
    if expires:
        return _until_expiry_s(expires, _texts(metadata, "date"), wall_s)
    return rule.ttl_s


def _until_expiry_s(expires: Sequence[str], date: Sequence[str], wall_s: float) -> float:
    """Returns Expires less Date; 0 if Expires is doubled or malformed (RFC 9111 section 5.3)."""
    until_s = http_date_s(expires[0]) if len(expires) == 1 else None
    if until_s is None:
        return 0.0
    stated_s = http_date_s(date[0]) if date else None
    return min(max(0.0, until_s - (wall_s if stated_s is None else stated_s)), float(MOST_S))


def _age_s(metadata: Metadata) -> int:
    """Returns the age that a reply states; 0 if it states none, or no number.

    RFC 9111 section 5.1: of a list the first counts, and a malformed one is ignored.
    """
    stated = _texts(metadata, "age")
    return delta_seconds(stated[0].partition(",")[0].strip()) or 0 if stated else 0


def _window_s(directives: Directives, name: str, default_s: float | None) -> float:
    stated = seconds(directives, name)
    return float(default_s or 0.0) if stated is None else float(stated)


def _texts(metadata: Metadata, name: str) -> Sequence[str]:
    return [value for key, value in metadata if key == name and isinstance(value, str)]

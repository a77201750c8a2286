"""Decides if a reply may be stored, and until when it may be sent again.

Sources: RFC 9111 sections 3 (storing), 4.2 (freshness), 4.2.4 (stale replies); RFC 5861
(stale-while-revalidate, stale-if-error). A cache of a gateway is a shared cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from gateway.cache.directives import MOST_S, Directives, delta_seconds, parse_directives, seconds
from gateway.call import Metadata
from gateway.config.cache import CacheRule
from gateway.transcoding.metadata import HOP_BY_HOP, HTTP_CODE

# RFC 9110 section 15.1, those that a success can have and that speak of the whole reply.
_STORED_STATUSES: Final = frozenset({"200", "203", "204", "300", "301", "308"})
_NOT_STORED: Final = HOP_BY_HOP | {"content-length", "x-request-id", "age"}
_FORBIDS_STALE: Final = ("must-revalidate", "proxy-revalidate", "s-maxage")


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

    @property
    def kept_until_s(self) -> float:
        """The instant after which it is of no use."""
        return max(self.swr_until_s, self.sie_until_s)

    def stale_from(self, now_s: float) -> "Times":
        """Returns the life of a reply that becomes stale now, if it is not stale already."""
        early_s = max(0.0, self.fresh_until_s - now_s)
        return Times(
            self.born_s,
            self.fresh_until_s - early_s,
            self.swr_until_s - early_s,
            self.sie_until_s - early_s,
        )


def times_of(metadata: Metadata, rule: CacheRule, started_s: float, wall_s: float) -> Times | None:
    """Returns the life of a reply to a call sent at `started_s`; None if it must not be stored.

    `wall_s` is the same instant as seconds since 1970, which `expires` is compared with: the date
    of the reply is that of the HTTP/2 response of the back end, and is not metadata.

    The age begins when the call was sent, not when the reply came: the back end may have made it
    at any time between (RFC 9111 section 4.2.3).
    """
    if not _may_be_stored(metadata, rule):
        return None
    directives = parse_directives(_texts(metadata, "cache-control"))
    if not directives.keys().isdisjoint(("no-store", "private", "no-cache")):
        return None
    lifetime_s = _lifetime_s(directives, metadata, rule, wall_s)
    age_s = _age_s(metadata)
    if lifetime_s is None or age_s is None:
        return None
    born_s = started_s - age_s
    fresh_until_s = born_s + lifetime_s
    swr_s, sie_s = 0.0, 0.0
    if directives.keys().isdisjoint(_FORBIDS_STALE):
        swr_s = _window_s(directives, "stale-while-revalidate", rule.swr_s)
        sie_s = _window_s(directives, "stale-if-error", rule.sie_s)
    times = Times(born_s, fresh_until_s, fresh_until_s + swr_s, fresh_until_s + sie_s)
    return times if times.kept_until_s > started_s else None


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


def _may_be_stored(metadata: Metadata, rule: CacheRule) -> bool:
    for name, value in metadata:
        if name == HTTP_CODE:
            if value not in _STORED_STATUSES:
                return False
        elif name == "set-cookie":  # a cookie is meant for one client
            return False
        elif name == "vary":
            # RFC 9111 section 4.1: `*` is never matched, in whatever place.
            names = {one.strip().lower() for one in str(value).split(",")} - {""}
            if not names <= {*rule.vary, "accept", "accept-encoding"}:
                return False
    return True


def _lifetime_s(
    directives: Directives, metadata: Metadata, rule: CacheRule, wall_s: float
) -> float | None:
    """RFC 9111 section 4.2.1; without heuristics."""
    for name in ("s-maxage", "max-age"):
        stated = seconds(directives, name)
        if stated is not None:
            return stated
    expires = _texts(metadata, "expires")
    if expires:
        return _until_expiry_s(expires, wall_s)
    return rule.ttl_s


def _until_expiry_s(expires: Sequence[str], wall_s: float) -> float:
    """Returns the seconds to Expires; 0 if it is doubled or malformed (RFC 9111 section 5.3)."""
    if len(expires) != 1:
        return 0.0
    try:
        until_s = parsedate_to_datetime(expires[0]).timestamp() - wall_s
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(0.0, until_s), float(MOST_S))


def _age_s(metadata: Metadata) -> int | None:
    """Returns the age that a reply states; 0 without one, None if it is not a number."""
    stated = _texts(metadata, "age")
    if not stated:
        return 0
    return delta_seconds(stated[0].partition(",")[0].strip())


def _window_s(directives: Directives, name: str, default_s: float | None) -> float:
    stated = seconds(directives, name)
    return float(default_s or 0.0) if stated is None else float(stated)


def _texts(metadata: Metadata, name: str) -> Sequence[str]:
    return [value for key, value in metadata if key == name and isinstance(value, str)]

"""The requests that operators follow: kept from one question of theirs to the next.

Nothing is kept while nobody asks, and who asks too rarely learns how many were dropped.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.telemetry.shown_request import ShownRequest

__all__ = ["ShownRequest"]
__all__ += ["MOST_A_SECOND", "MOST_FOLLOWERS", "MOST_KEPT", "Follow", "Followed", "Following"]

if TYPE_CHECKING:
    from gateway.telemetry.record import Record

MOST_KEPT: Final = 300
"""The most requests that are kept for one follower."""
MOST_A_SECOND: Final = 100
"""The most requests that are kept for one follower in a second: nobody reads more, and each costs
time to mask."""
MOST_FOLLOWERS: Final = 8
"""The most followers at once."""
_LEASE_S: Final = 5.0
"""A follower that has not asked for so long has left."""


@dataclass(frozen=True, slots=True)
class Follow:
    """A question of one follower: the requests since its last question."""

    follower: str
    """The name that the follower has chosen; others must not guess it."""
    statuses: tuple[int, int] = (0, 999)
    """The least and the greatest status."""
    route: str = ""
    """The beginning of the path template."""
    slow_s: float = 0.0
    """The least duration."""
    only_failures: bool = False
    """True for those that failed, as `RecentFailures` defines it."""

    def wants(self, status: int, route: str, duration_s: float, kind: str) -> bool:
        """True for a request that the follower wants; `kind` is its `error.type`."""
        return (
            self.statuses[0] <= status <= self.statuses[1]
            and duration_s >= self.slow_s
            and (not self.only_failures or bool(kind))
            and route.startswith(self.route)
        )


class Followed(NamedTuple):
    """The answer: requests in the order in which they ended, and the number of lost ones."""

    requests: tuple[ShownRequest, ...]
    dropped: int
    """The number of further ones, which ended while no more could be kept."""
    is_refused: bool = False
    """True if too many follow already."""


class _Follower:
    def __init__(self) -> None:
        self.follow = Follow("")
        self.kept: deque[ShownRequest] = deque(maxlen=MOST_KEPT)
        self.dropped = 0
        self.until_s = 0.0
        self._second = 0
        self._in_second = 0

    def may_keep(self, now_s: float) -> bool:
        """Counts one more request; False if there were enough in this second."""
        if int(now_s) != self._second:
            self._second, self._in_second = int(now_s), 0
        self._in_second += 1
        return self._in_second <= MOST_A_SECOND


class Following:
    """Keeps requests for followers of one process."""

    def __init__(self, show: Callable[["Record", str], ShownRequest]) -> None:
        """`show` masks a record with its `error.type`."""
        self.followers: dict[str, _Follower] = {}
        """Those that have asked lately; empty while nobody follows."""
        self._show = show

    def ended(self, record: "Record", kind: str) -> None:
        """Keeps a request for those who want it."""
        route = "" if record.binding is None else record.binding.rule.template
        now_s = time.monotonic()
        for name, one in list(self.followers.items()):
            if now_s > one.until_s:
                del self.followers[name]
            elif one.follow.wants(record.status, route, record.duration_s, kind):
                may_keep = one.may_keep(now_s)
                one.dropped += not may_keep or len(one.kept) == MOST_KEPT
                if may_keep:
                    one.kept.append(self._show(record, kind))

    def take(self, follow: Follow) -> Followed:
        """Returns what was kept since the last question; the first one begins to follow."""
        now_s = time.monotonic()
        self.followers = {name: one for name, one in self.followers.items() if now_s < one.until_s}
        one = self.followers.get(follow.follower)
        if one is None:
            if len(self.followers) >= MOST_FOLLOWERS:
                return Followed((), 0, is_refused=True)
            one = self.followers[follow.follower] = _Follower()
        found = Followed(tuple(one.kept), one.dropped)
        one.kept.clear()
        one.dropped, one.follow, one.until_s = 0, follow, now_s + _LEASE_S
        return found

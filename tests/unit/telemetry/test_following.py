"""The requests that are kept for those who follow them."""

import time

from gateway.telemetry.following import MOST_A_SECOND, MOST_KEPT, Follow
from gateway.telemetry.recent_failures import RecentFailures
from tests.support.entries import entry


def test_a_flood_is_not_kept() -> None:
    following = RecentFailures().following
    follow = Follow("a" * 16)
    assert following.take(follow).requests == ()
    sent, begun_s = 10 * MOST_KEPT, int(time.monotonic())
    for _ in range(sent):
        following.ended(entry(), "")
    kept, dropped, _ = following.take(follow)
    seconds = int(time.monotonic()) - begun_s + 1
    assert MOST_A_SECOND <= len(kept) <= seconds * MOST_A_SECOND
    assert len(kept) + dropped == sent

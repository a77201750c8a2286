"""Examines a Redis: its clock, and whether it drops what it should keep."""

from collections.abc import Iterator
from typing import Final

from gateway.cli.doctor.finding import Finding, ok, warn
from gateway.stores.redis.facts import RedisFacts, read_facts

_APART_S: Final = 1.0
"""The difference of clocks from which on tokens and counters end noticeably early or late."""
_KEEPS_ALL: Final = "noeviction"


async def examine_redis(setting: str, url: str, timeout_s: float) -> list[Finding]:
    """Returns the findings about the Redis at a URL, which is not shown; none for a cluster."""
    try:
        facts = await read_facts(url, timeout_s)
    except (OSError, TimeoutError):
        return []  # that it does not answer is a finding of its own
    return [] if facts is None else list(of_facts(setting, facts))


def of_facts(setting: str, facts: RedisFacts) -> Iterator[Finding]:
    """Yields the findings about what a Redis says of itself."""
    subject = f"{setting} clock"
    apart_s = abs(facts.clock_ahead_s)
    where = "ahead of" if facts.clock_ahead_s > 0 else "behind"
    if apart_s > _APART_S + facts.inexact_s:
        yield warn(
            subject,
            f"the clock of Redis is {apart_s:.1f} s {where} that of this machine",
            "run an NTP client such as chrony on both: tokens end by these clocks",
        )
    else:
        yield ok(subject, f"the clocks of Redis and of this machine differ by {apart_s:.1f} s")
    subject = f"{setting} memory"
    if facts.eviction and facts.eviction != _KEEPS_ALL:
        yield warn(
            subject,
            f"Redis {facts.version} drops keys when its memory is full ({facts.eviction})",
            f"set maxmemory-policy {_KEEPS_ALL}: it would drop tokens, keys and counters",
        )
    elif facts.eviction:
        yield ok(subject, f"Redis {facts.version} drops no keys ({facts.eviction})")

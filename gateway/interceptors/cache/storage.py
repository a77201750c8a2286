"""The storage of the replies of one method: its rule, tags, and the failures that are stored."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.cache.freshness import unlisted_vary
from gateway.call import Code, Metadata
from gateway.config.cache import CacheRule
from gateway.policy.reply_tags import TagMaker
from gateway.telemetry.event import about

logger = logging.getLogger("gateway")

_LONGEST_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Storage:
    """The storage of the replies of one method, decided at start."""

    method: str
    """The full name of the method."""
    rule: CacheRule
    tags: TagMaker
    negative: Mapping[Code, CacheRule]
    """The rule for each failure that is stored."""


def negative_rules(rule: CacheRule) -> dict[Code, CacheRule]:
    """Returns the rule for each failure that is stored; a stale failure is never sent."""
    if rule.negative is None:
        return {}
    times = {
        Code.NOT_FOUND: rule.negative.not_found_s,
        Code.UNIMPLEMENTED: rule.negative.unimplemented_s,
        Code.OUT_OF_RANGE: rule.negative.out_of_range_s,
    }
    never = {"swr_s": None, "sie_s": None}
    return {
        code: rule.model_copy(update=never | {"ttl_s": ttl_s})
        for code, ttl_s in times.items()
        if ttl_s is not None
    }


def log_unlisted_vary(storage: Storage, metadata: Metadata, logged: set[str]) -> None:
    """Logs that replies of a method vary by more than its rule has, unless `logged` has its name.

    Without this line an operator would not see why such replies are not stored.
    """
    names = unlisted_vary(metadata, storage.rule)
    if names and storage.method not in logged:
        logged.add(storage.method)
        logger.warning(
            "replies of %s are not stored: their vary has names that are not in cache.vary of the "
            "policy: %s",
            *(storage.method, ", ".join(sorted(names))[:_LONGEST_SHOWN]),
            extra=about("gateway.cache.unlisted_vary", rpc__method=storage.method),
        )

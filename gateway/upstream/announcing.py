"""Logs what becomes of the endpoints of an upstream."""

import logging

from gateway.telemetry.event import about

logger = logging.getLogger("gateway.upstream")


def say_resolved(upstream: str, count: int) -> None:
    """Logs that so many endpoints were found, after lookups that failed."""
    logger.info(
        "upstream %s: its endpoints are resolved again: %d",
        upstream,
        count,
        extra=about("gateway.upstream.lookup_restored", gateway__upstream=upstream),
    )


def say_panic(upstream: str, *, is_over: bool) -> None:
    """Logs that endpoints that are left out get calls too, or no more."""
    if is_over:
        logger.info(
            "upstream %s: enough endpoints are well again",
            upstream,
            extra=about("gateway.upstream.panic_over", gateway__upstream=upstream),
        )
        return
    logger.warning(
        "upstream %s: few endpoints are left, so those that are left out get calls too",
        upstream,
        extra=about("gateway.upstream.panic", gateway__upstream=upstream),
    )

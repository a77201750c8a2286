"""A site that is open: the result of its composition."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gateway.exchange.site import Site
from gateway.interceptors.cache.fills import CallCache
from gateway.transcoding.transcoder import Schema, Transcoder
from gateway.upstream.pool import Pool


@dataclass(frozen=True, slots=True)
class OpenSite:
    """A site, and the parts it was made from."""

    site: Site
    pool: Pool
    schema: Schema
    transcoder: Transcoder
    warnings: Sequence[str]
    """Warnings for the operator, one per line."""
    reset_limits: Callable[[str, str], Awaitable[None]]
    """Makes counters of rate limits new; see `RateLimits.reset`."""
    cache: CallCache | None = None
    """The stored replies; None if no method has its replies stored."""
    schema_hash: str = ""
    """The hash of the schema, for the metrics; empty if they are off."""

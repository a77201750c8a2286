"""Settings of rate limits: where calls are counted, and what happens while nobody can count.

The limits themselves belong to methods: see `policy`.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from gateway.config.auth import StoreUrl
from gateway.config.sections import Seconds, Section


class OnStoreFailure(StrEnum):
    """What becomes of calls that cannot be counted."""

    OPEN = "open"
    CLOSED = "closed"


class RateLimitOptions(Section):
    """How calls are counted; what they are counted against, policies say."""

    store: Annotated[StoreUrl | None, Field(repr=False)] = None
    """A URL as in `auth.store`; unset for that one if processes share it, else for memory:."""
    timeout_s: Seconds = 0.5
    """How long a call waits for that store; it has failed then."""
    on_store_failure: OnStoreFailure = OnStoreFailure.OPEN
    """While it fails: open lets calls through, closed answers them with 503."""
    headers: bool = True
    """Tell callers by `RateLimit` and `RateLimit-Policy` what they have left."""

"""Settings of rate limits: the store that counts calls, and the behaviour while it is unavailable.

The limits themselves are part of policies: see `policy`.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from gateway.config.auth import StoreUrl
from gateway.config.sections import Seconds, Section


class OnStoreFailure(StrEnum):
    """The treatment of calls that cannot be counted."""

    OPEN = "open"
    CLOSED = "closed"


class RateLimitOptions(Section):
    """The counting of calls. The limits themselves are part of policies."""

    store: Annotated[StoreUrl | None, Field(repr=False)] = None
    """A URL as in `auth.store`; if unset, that store if processes share it, else memory:."""
    timeout_s: Seconds = 0.5
    """The time that a call waits for that store; after it the store has failed."""
    on_store_failure: OnStoreFailure = OnStoreFailure.OPEN
    """While the store fails: open lets calls through, closed answers them with 503."""
    headers: bool = True
    """Send `RateLimit` and `RateLimit-Policy` headers, which state the rest of each limit."""

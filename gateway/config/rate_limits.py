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
    LOCAL = "local"


class RateLimitOptions(Section):
    """The counting of calls. The limits themselves are part of policies."""

    store: Annotated[StoreUrl | None, Field(repr=False)] = None
    """A URL as in `auth.store`; if unset, that store if processes share it, else memory:."""
    timeout_s: Seconds | None = None
    """The time that a call waits for that store; unset for `store.timeout_s`."""
    on_store_failure: OnStoreFailure = OnStoreFailure.OPEN
    """While the store fails: open lets calls through, closed answers them with 503, local lets each
    process count alone, and grant its part of each limit."""
    processes: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """The number of processes that share the store, on all nodes together; with local, each grants
    its part of each limit. Unset for `workers`: one node."""
    headers: bool = True
    """Send `RateLimit` and `RateLimit-Policy` headers, which state the rest of each limit."""

"""The interface of stores that remember idempotency keys, each claimed by one call.

A claim is `claimed` before its call leaves the gateway, `sent` from then on, and at the end
`settled` with a record of the outcome, or `unknown` without one. The owner of a claim has to renew
its lease. If the lease ends, a `claimed` key is free, because nothing was sent; a `sent` one is
unknown.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class Claim:
    """An attempt to be the one call of a key."""

    token: str
    """Names the owner; unpredictable."""
    fingerprint: bytes
    """The digest of the request: another request must not use the same key."""
    lease_s: float
    ttl_s: float
    """The time for which the key is remembered, from its first claim on."""
    takes_over: bool
    """True to claim a key whose outcome is unknown."""


class ClaimState(StrEnum):
    """The result of an attempt."""

    GRANTED = "granted"
    RUNNING = "running"
    """Another call of this key is in progress."""
    SETTLED = "settled"
    UNKNOWN = "unknown"
    """Another call of this key was sent, and its outcome is not known."""
    REUSED = "reused"
    """The key belongs to a request with another fingerprint."""


class Claimed(NamedTuple):
    """The state of a key after an attempt to claim it."""

    state: ClaimState
    record: bytes = b""
    """The record of a settled one."""


class ClaimStore(Protocol):
    """Remembers claims by key; each operation is atomic, also between processes.

    Every operation raises `StoreUnavailableError` if the store is unavailable.
    """

    async def claim(self, key: str, claim: Claim) -> Claimed:
        """Claims a key; of concurrent attempts one is granted."""
        ...

    async def hold(self, key: str, token: str, lease_s: float) -> bool:
        """States that the call of a claim is sent, and renews its lease; False if it is lost."""
        ...

    async def settle(self, key: str, token: str, record: bytes | None) -> bool:
        """Ends a claim with the record of its outcome, or None if it is unknown; False if lost."""
        ...

    async def release(self, key: str, token: str) -> bool:
        """Frees a key whose call was not processed; False if the claim is lost."""
        ...

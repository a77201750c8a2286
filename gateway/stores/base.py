"""The interface of stores, and the guarantees that every database gives.

Times are seconds since 1970. Of a secret only the digest is kept, so a copy of the store reveals
none. Every operation is atomic, also between processes. An expired record counts as missing, and
is deleted by the store.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from gateway.stores import taken
from gateway.stores.claims import Claim, Claimed, ClaimState, ClaimStore
from gateway.stores.nodes import NodeStore
from gateway.stores.replies import ReplyStore

__all__ = ["Claim", "ClaimState", "ClaimStore", "Claimed", "NodeStore", "ReplyStore"]
__all__ += ["EXPIRED_KEYS_KEPT_S", "CounterStore", "Demand", "KeyRecord", "KeyStore", "Limit"]
__all__ += ["Rotation", "SlidingWindow", "Store", "StoreUnavailableError", "Taken", "TokenBucket"]
__all__ += ["TokenKind", "TokenRecord", "TokenStore", "instant"]


class StoreUnavailableError(Exception):
    """The store is unavailable; the message says which and why, and holds no secret."""


def instant(at_s: float | None) -> str | None:
    """A time of a record in the format of RFC 3339, in UTC."""
    if at_s is None:
        return None
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class TokenKind(StrEnum):
    """The use of a token: to call APIs, or to get the next pair of tokens."""

    ACCESS = "access"
    REFRESH = "refresh"


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A stored token."""

    digest: bytes
    """SHA-256 of the token."""
    kind: TokenKind
    family: str
    """The id shared by all tokens of one login, which are revoked together."""
    principal: str
    client: str
    """The OAuth client it was issued to."""
    scopes: frozenset[str]
    issued_at_s: float
    expires_at_s: float
    claims: Mapping[str, str] = field(default_factory=dict)


class Rotation(StrEnum):
    """The result of an attempt to use up a refresh token."""

    DONE = "done"
    REUSED = "reused"
    """It was used before, so it may be stolen: its family is revoked."""
    UNKNOWN = "unknown"
    """It never existed, has expired, or was revoked."""


class TokenStore(Protocol):
    """Stores tokens."""

    async def add_tokens(self, records: Sequence[TokenRecord]) -> None:
        """Stores new tokens, all or none."""
        ...

    async def find_token(self, digest: bytes) -> TokenRecord | None:
        """The token with this digest, if it is not expired, revoked, or used up."""
        ...

    async def rotate_token(self, digest: bytes, successors: Sequence[TokenRecord]) -> Rotation:
        """Uses up a refresh token and stores its successors, or does neither.

        Of concurrent attempts one succeeds; the others count as reuse (RFC 9700 section 4.14.2).
        """
        ...

    async def find_used(self, digest: bytes) -> str | None:
        """The login of a refresh token that was used up."""
        ...

    async def revoke_family(self, family: str) -> int:
        """Revokes all tokens of a login; returns how many were valid until now."""
        ...

    async def revoke_principal(self, principal: str) -> int:
        """Revokes all tokens of a principal; returns how many were valid until now."""
        ...

    def list_tokens(self, principal: str | None = None) -> AsyncIterator[TokenRecord]:
        """The valid tokens, of one principal or all, in no order."""
        ...


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A stored API key."""

    digest: bytes
    """SHA-256 of the key."""
    id: str
    """Identifies the key in commands and logs, which must not show its secret."""
    owner: str
    scopes: frozenset[str]
    created_at_s: float
    expires_at_s: float | None = None
    networks: tuple[str, ...] = ()
    """The networks it may be used from; empty for all."""
    last_used_at_s: float | None = None


EXPIRED_KEYS_KEPT_S = 30 * 86400.0
"""Seconds for which an expired key is still listed, so that operators see why it fails."""


class KeyStore(Protocol):
    """Stores API keys."""

    async def add_key(self, record: KeyRecord) -> KeyRecord | None:
        """Stores a new key, and returns it as it is stored; None if its id is taken.

        It lives as long as the record says. A store that is shared by nodes counts that from now by
        its own clock, so its times are others if the clock of the node is wrong.
        """
        ...

    async def find_key(self, digest: bytes) -> KeyRecord | None:
        """The key with this digest, if it is not expired or revoked."""
        ...

    async def replace_key(
        self, key_id: str, digest: bytes, overlap_s: float = 0.0
    ) -> KeyRecord | None:
        """Replaces the secret of a key; None if there is no such key.

        The old secret stays valid for `overlap_s` from now; any older one ends now.
        """
        ...

    async def revoke_key(self, key_id: str) -> KeyRecord | None:
        """Revokes a key and returns its record; None if no key has this id."""
        ...

    async def touch_key(self, key_id: str) -> None:
        """Records that a key was used now."""
        ...

    def list_keys(self) -> AsyncIterator[KeyRecord]:
        """All keys by id, including those that expired in the last `EXPIRED_KEYS_KEPT_S`."""
        ...


@dataclass(frozen=True, slots=True)
class _Limit:
    """The most that may be taken in a time; its class says how that is counted."""

    limit: int
    window_s: float


class TokenBucket(_Limit):
    """Allows `limit` at once, and refills evenly, by `limit` in each `window_s`."""

    __slots__ = ()


class SlidingWindow(_Limit):
    """Allows `limit` in any `window_s`, estimated from this window and the one before it."""

    __slots__ = ()


Limit = TokenBucket | SlidingWindow


Demand = tuple[str, Limit, int]
"""A request to one counter: its key; its limit, always the same; the cost to take."""

Taken = taken.Taken
"""The result of taking from a counter."""


class CounterStore(Protocol):
    """Counts what was taken from limits, by the store's own clock, so that nodes agree."""

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Taken:
        """Takes `cost` from the counter `key` if enough is left, else nothing; in one round trip.

        `limit` belongs to the key: it must be the same each time.
        """
        ...

    async def take_all(self, demands: Sequence[Demand]) -> Sequence[Taken]:
        """Takes from several counters, with different keys, if all have enough, else from none.

        Needs one round trip. If one refuses, the results of the others state what they have left.
        A negative cost returns to a `TokenBucket` what was taken.
        """
        ...

    async def forget(self, keys: Sequence[str]) -> None:
        """Makes these counters new again, so that their limits can be taken whole."""
        ...

    async def forget_all(self, prefix: str) -> None:
        """Makes all counters new again whose keys begin with `prefix`."""
        ...


class Store(TokenStore, KeyStore, CounterStore, Protocol):
    """A store for tokens, keys and counters."""

    @property
    def claims(self) -> ClaimStore | None:
        """The idempotency keys; None if this kind of store keeps none."""
        ...

    @property
    def nodes(self) -> NodeStore | None:
        """The nodes that share it; None if this kind of store lists none."""
        ...

    @property
    def replies(self) -> ReplyStore | None:
        """The replies of back ends; None if this kind of store keeps none."""
        ...

    @property
    def is_available(self) -> bool:
        """False while the store is not asked because it has failed; asks nothing."""
        ...

    async def ping(self) -> None:
        """Returns once the store has answered.

        Raises:
            StoreUnavailableError: it does not; every other operation raises this, too.
        """
        ...

    async def close(self) -> None:
        """Closes connections and files."""
        ...

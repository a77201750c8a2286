"""What a store keeps, and what it promises, whichever database is behind it.

Times are seconds since 1970. A secret is kept as its digest only, so that a copied store opens
nothing. Every operation is atomic, also between processes; what has expired is as if it were not
there, and goes by itself.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol


class StoreUnavailableError(Exception):
    """The store cannot be asked now; the text says which and why, and holds no secret."""


class TokenKind(StrEnum):
    """What a token opens: the APIs, or the next pair of tokens."""

    ACCESS = "access"
    REFRESH = "refresh"


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token as it is kept."""

    digest: bytes
    """SHA-256 of the token."""
    kind: TokenKind
    family: str
    """What all tokens of one login share, and are revoked by."""
    principal: str
    client: str
    """The OAuth client it was issued to."""
    scopes: frozenset[str]
    issued_at_s: float
    expires_at_s: float
    claims: Mapping[str, str] = field(default_factory=dict)


class Rotation(StrEnum):
    """What became of the attempt to use a refresh token up."""

    DONE = "done"
    REUSED = "reused"
    """It had been used before, so it may be stolen: its family is revoked."""
    UNKNOWN = "unknown"
    """It was never there, has expired, or was revoked."""


class TokenStore(Protocol):
    """Keeps tokens."""

    async def add_tokens(self, records: Sequence[TokenRecord]) -> None:
        """Keeps new tokens, all or none."""
        ...

    async def find_token(self, digest: bytes) -> TokenRecord | None:
        """The token with this digest, if it is neither expired, revoked, nor used up."""
        ...

    async def rotate_token(self, digest: bytes, successors: Sequence[TokenRecord]) -> Rotation:
        """Uses a refresh token up and keeps its successors, or does neither.

        Of many at once one wins; for the others it has been used before (RFC 9700 section 4.14.2).
        """
        ...

    async def find_used(self, digest: bytes) -> str | None:
        """The login whose refresh token this was, before it was used up."""
        ...

    async def revoke_family(self, family: str) -> int:
        """Revokes all tokens of a login; tells how many were good until now."""
        ...

    async def revoke_principal(self, principal: str) -> int:
        """Revokes all tokens of a principal; tells how many were good until now."""
        ...

    def list_tokens(self, principal: str | None = None) -> AsyncIterator[TokenRecord]:
        """The good tokens, of one principal or all, in no order."""
        ...


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An API key as it is kept."""

    digest: bytes
    """SHA-256 of the key."""
    id: str
    """What it is called where the key itself must not be seen."""
    owner: str
    scopes: frozenset[str]
    created_at_s: float
    expires_at_s: float | None = None
    networks: tuple[str, ...] = ()
    """Where it may be used from; empty for anywhere."""
    last_used_at_s: float | None = None


EXPIRED_KEYS_KEPT_S = 30 * 86400.0
"""How long a key that has expired is still listed, for who wonders why it is no good any more."""


class KeyStore(Protocol):
    """Keeps API keys."""

    async def add_key(self, record: KeyRecord) -> bool:
        """Keeps a new key; False if its id is taken."""
        ...

    async def find_key(self, digest: bytes) -> KeyRecord | None:
        """The key with this digest, if it is neither expired nor revoked."""
        ...

    async def replace_key(
        self, key_id: str, digest: bytes, old_until_s: float | None = None
    ) -> KeyRecord | None:
        """Gives a key another secret; None if there is no such key.

        The old one is good until `old_until_s`, or no more; the one before it is good no more.
        """
        ...

    async def revoke_key(self, key_id: str) -> KeyRecord | None:
        """Revokes a key and tells what it was; None if there is none of this id."""
        ...

    async def touch_key(self, key_id: str, at_s: float) -> None:
        """Notes when a key was last used."""
        ...

    def list_keys(self) -> AsyncIterator[KeyRecord]:
        """All keys by id, those too that have expired in the last `EXPIRED_KEYS_KEPT_S`."""
        ...


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """Allows `limit` at once, and as many again in each `window_s`, evenly."""

    limit: int
    window_s: float


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """Allows `limit` in any `window_s`, estimated from this window and the one before it."""

    limit: int
    window_s: float


Limit = TokenBucket | SlidingWindow


Demand = tuple[str, Limit, int]
"""What is asked of one counter: its key; its limit, the same each time; how much to take."""


class Taken(NamedTuple):
    """What came of asking a counter."""

    allowed: bool
    remaining: int
    """How much more could be taken now."""
    retry_after_s: float
    """When as much could be taken as was asked for; 0 if it was allowed."""
    reset_after_s: float
    """When all that there is can be taken again."""


class CounterStore(Protocol):
    """Counts what was taken from limits; the store's own clock counts, so that nodes agree."""

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Taken:
        """Takes `cost` from the counter `key` if it has as much, else nothing; in one round trip.

        `limit` belongs to the key: it must be the same each time.
        """
        ...

    async def take_all(self, demands: Sequence[Demand]) -> Sequence[Taken]:
        """Takes from several counters, of different keys, if all have as much, else from none.

        In one round trip. Where one refuses, the others tell what is there untouched. A cost below
        zero gives back to a `TokenBucket` what was taken.
        """
        ...


class Store(TokenStore, KeyStore, CounterStore, Protocol):
    """A whole store."""

    async def ping(self) -> None:
        """Returns if the store answers.

        Raises:
            StoreUnavailableError: it does not; any operation raises this then.
        """
        ...

    async def close(self) -> None:
        """Gives up connections and files."""
        ...

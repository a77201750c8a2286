"""A store whose operations are timed, for those who operate the gateway."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from gateway.stores.base import (
    Claim,
    Claimed,
    ClaimStore,
    Demand,
    KeyRecord,
    Limit,
    NodeStore,
    ReplyStore,
    Rotation,
    Store,
    StoreUnavailableError,
    Taken,
    TokenRecord,
)

T = TypeVar("T")

Observe = Callable[[str, str, float], None]
"""Takes the name of an operation, its outcome (`ok`, `unavailable`, `error`) and its seconds."""


async def _timed(observe: Observe, operation: str, answer: Awaitable[T]) -> T:
    """Awaits an answer of a store, and reports its time; nothing if its caller leaves."""
    started_s = time.monotonic()
    try:
        found = await answer
    except StoreUnavailableError:
        observe(operation, "unavailable", time.monotonic() - started_s)
        raise
    except Exception:
        observe(operation, "error", time.monotonic() - started_s)
        raise
    observe(operation, "ok", time.monotonic() - started_s)
    return found


class MeasuredStore:
    """Passes every operation on to a store, and reports its outcome and time; see `Store`.

    Lists, which only commands ask for, and the records of nodes are not timed; stored replies have
    metrics of their own.
    """

    def __init__(self, store: Store, observe: Observe) -> None:
        self._store = store
        self._observe = observe
        claims = store.claims
        self._claims = None if claims is None else MeasuredClaims(claims, observe)

    @property
    def is_available(self) -> bool:
        """False while the store is not asked because it has failed."""
        return self._store.is_available

    @property
    def claims(self) -> ClaimStore | None:
        """The idempotency keys; None if this kind of store keeps none."""
        return self._claims

    @property
    def nodes(self) -> NodeStore | None:
        """The nodes that share it; None if this kind of store lists none."""
        return self._store.nodes

    @property
    def replies(self) -> ReplyStore | None:
        """The replies of back ends; None if this kind of store keeps none."""
        return self._store.replies

    async def add_tokens(self, records: Sequence[TokenRecord]) -> None:
        """Stores new tokens, all or none."""
        await _timed(self._observe, "add_tokens", self._store.add_tokens(records))

    async def find_token(self, digest: bytes) -> TokenRecord | None:
        """The token with this digest."""
        return await _timed(self._observe, "find_token", self._store.find_token(digest))

    async def rotate_token(self, digest: bytes, successors: Sequence[TokenRecord]) -> Rotation:
        """Uses up a refresh token and stores its successors."""
        answer = self._store.rotate_token(digest, successors)
        return await _timed(self._observe, "rotate_token", answer)

    async def find_used(self, digest: bytes) -> str | None:
        """The login of a refresh token that was used up."""
        return await _timed(self._observe, "find_used", self._store.find_used(digest))

    async def revoke_family(self, family: str) -> int:
        """Revokes all tokens of a login."""
        return await _timed(self._observe, "revoke_family", self._store.revoke_family(family))

    async def revoke_principal(self, principal: str) -> int:
        """Revokes all tokens of a principal."""
        answer = self._store.revoke_principal(principal)
        return await _timed(self._observe, "revoke_principal", answer)

    def list_tokens(self, principal: str | None = None) -> AsyncIterator[TokenRecord]:
        """The valid tokens."""
        return self._store.list_tokens(principal)

    async def add_key(self, record: KeyRecord) -> KeyRecord | None:
        """Stores a new key."""
        return await _timed(self._observe, "add_key", self._store.add_key(record))

    async def find_key(self, digest: bytes) -> KeyRecord | None:
        """The key with this digest."""
        return await _timed(self._observe, "find_key", self._store.find_key(digest))

    async def replace_key(
        self, key_id: str, digest: bytes, overlap_s: float = 0.0
    ) -> KeyRecord | None:
        """Replaces the secret of a key."""
        answer = self._store.replace_key(key_id, digest, overlap_s)
        return await _timed(self._observe, "replace_key", answer)

    async def revoke_key(self, key_id: str) -> KeyRecord | None:
        """Revokes a key."""
        return await _timed(self._observe, "revoke_key", self._store.revoke_key(key_id))

    async def touch_key(self, key_id: str) -> None:
        """Records that a key was used now."""
        await _timed(self._observe, "touch_key", self._store.touch_key(key_id))

    def list_keys(self) -> AsyncIterator[KeyRecord]:
        """All keys by id."""
        return self._store.list_keys()

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Taken:
        """Takes from a counter."""
        return await _timed(self._observe, "take", self._store.take(key, limit, cost))

    async def take_all(self, demands: Sequence[Demand]) -> Sequence[Taken]:
        """Takes from several counters."""
        return await _timed(self._observe, "take", self._store.take_all(demands))

    async def forget(self, keys: Sequence[str]) -> None:
        """Makes these counters new again."""
        await _timed(self._observe, "forget", self._store.forget(keys))

    async def forget_all(self, prefix: str) -> None:
        """Makes all counters new again whose keys begin with `prefix`."""
        await _timed(self._observe, "forget", self._store.forget_all(prefix))

    async def ping(self) -> None:
        """Returns once the store has answered; see `Store.ping`."""
        await _timed(self._observe, "ping", self._store.ping())

    async def close(self) -> None:
        """Closes connections and files."""
        await self._store.close()


class MeasuredClaims:
    """Passes every operation on to a store of claims, and reports it; see `ClaimStore`."""

    def __init__(self, store: ClaimStore, observe: Observe) -> None:
        self._store = store
        self._observe = observe

    async def claim(self, key: str, claim: Claim) -> Claimed:
        """Claims a key."""
        return await _timed(self._observe, "claim", self._store.claim(key, claim))

    async def hold(self, key: str, token: str, lease_s: float) -> bool:
        """Renews the lease of a claim."""
        return await _timed(self._observe, "hold", self._store.hold(key, token, lease_s))

    async def settle(self, key: str, token: str, record: bytes | None) -> bool:
        """Ends a claim with its outcome."""
        return await _timed(self._observe, "settle", self._store.settle(key, token, record))

    async def release(self, key: str, token: str) -> bool:
        """Frees a key."""
        return await _timed(self._observe, "release", self._store.release(key, token))

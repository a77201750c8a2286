"""The life cycle of API keys: created for an owner, rotated, revoked.

A key's id identifies it in commands and logs. Its secret is shown once, when the key is created,
and stored as a digest.
"""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import ip_network

from gateway.auth.names import MalformedError, check_name, check_scopes
from gateway.auth.secrets import API_KEY, digest, is_secret, new_secret
from gateway.auth.stored import Stored
from gateway.stores.base import KeyRecord, KeyStore, instant

_ID_BYTES = 6


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """The properties of a new key; raises `MalformedError` if one is invalid."""

    owner: str
    """The principal whose calls the key authenticates."""
    scopes: frozenset[str] = frozenset()
    ttl_s: float | None = None
    """Its lifetime; None for until it is revoked."""
    networks: tuple[str, ...] = ()
    """The networks it may be used from; empty for all."""

    def __post_init__(self) -> None:
        check_name("owner", self.owner)
        check_scopes(self.scopes)
        for network in self.networks:
            _check_network(network)


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A new key for its owner: the only time that its secret is shown."""

    secret: str = field(repr=False)
    record: KeyRecord


def shown_key(record: KeyRecord) -> dict[str, object]:
    """A key as operators see it in JSON; it has no secret."""
    return {
        "id": record.id,
        "owner": record.owner,
        "scopes": sorted(record.scopes),
        "networks": list(record.networks),
        "created_at": instant(record.created_at_s),
        "expires_at": instant(record.expires_at_s),
        "last_used_at": instant(record.last_used_at_s),
    }


class ApiKeys(Stored[KeyStore]):
    """Creates keys and keeps their digests in a store.

    Every method raises `StoreUnavailableError` while the store is unavailable.
    """

    async def create(self, request: KeyRequest) -> MadeKey:
        """Creates a key."""
        record = None
        while record is None:  # again if the id is taken: a chance of 1 in 2**48
            secret = new_secret(API_KEY)
            record = await self._store.add_key(self._make(request, secret))
        self._note("key.created", record)
        return MadeKey(secret, record)

    async def rotate(self, key_id: str, overlap_s: float = 0.0) -> MadeKey | None:
        """Gives a key a new secret; the old one stays valid for `overlap_s`. None if unknown."""
        secret = new_secret(API_KEY)
        record = await self._store.replace_key(key_id, digest(secret), overlap_s)
        if record is None:
            return None
        self._note("key.rotated", record)
        return MadeKey(secret, record)

    async def revoke(self, key_id: str) -> bool:
        """Revokes a key; False if no key has this id."""
        record = await self._store.revoke_key(key_id)
        if record is None:
            return False
        self._note("key.revoked", record)
        return True

    async def verify(self, text: str) -> KeyRecord | None:
        """The key with this secret, or None if it is invalid.

        Unknown, expired and revoked keys take the same time: one digest, one lookup in the store.
        """
        return await self._store.find_key(digest(text)) if is_secret(text, API_KEY) else None

    async def note_use(self, key_id: str) -> None:
        """Records that a key was used now."""
        await self._store.touch_key(key_id)

    def list_all(self) -> AsyncIterator[KeyRecord]:
        """All keys, including expired ones, by id."""
        return self._store.list_keys()

    def _make(self, request: KeyRequest, secret: str) -> KeyRecord:
        now_s = self._clock()
        return KeyRecord(
            digest(secret),
            f"key-{secrets.token_hex(_ID_BYTES)}",
            request.owner,
            request.scopes,
            now_s,
            None if request.ttl_s is None else now_s + request.ttl_s,
            request.networks,
        )

    def _note(self, event: str, record: KeyRecord) -> None:
        self._audit.record(
            event,
            credential=record.id,
            principal=record.owner,
            scopes=" ".join(sorted(record.scopes)),
        )


def _check_network(text: str) -> None:
    try:
        ip_network(text)
    except ValueError:
        raise MalformedError(
            "network: expected an address or a network such as 10.0.0.0/8, with no bits "
            "beyond its prefix"
        ) from None

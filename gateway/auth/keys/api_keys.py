"""The life of an API key: made for an owner, given a new secret, revoked.

Its id is what people call it by; its secret is seen once, by whoever makes it, and kept as a
digest.
"""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import ip_network

from gateway.auth.names import MalformedError, check_name, check_scopes
from gateway.auth.secrets import API_KEY, digest, is_secret, new_secret
from gateway.auth.stored import Stored
from gateway.stores.base import KeyRecord, KeyStore

_ID_BYTES = 6


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """What a key shall be; `MalformedError` if it cannot."""

    owner: str
    """The principal that it calls in the name of."""
    scopes: frozenset[str] = frozenset()
    ttl_s: float | None = None
    """How long it lives; None for until it is revoked."""
    networks: tuple[str, ...] = ()
    """Where it may be used from; empty for anywhere."""

    def __post_init__(self) -> None:
        check_name("owner", self.owner)
        check_scopes(self.scopes)
        for network in self.networks:
            _check_network(network)


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A key on its way to its owner: the only time that anyone sees its secret."""

    secret: str = field(repr=False)
    record: KeyRecord


class ApiKeys(Stored[KeyStore]):
    """Makes keys and keeps their digests in a store."""

    async def create(self, request: KeyRequest) -> MadeKey:
        """A new key."""
        made = self._make(request)
        while not await self._store.add_key(made.record):
            made = self._make(request)  # the id is another's, once in 2**48
        self._note("key.created", made.record)
        return made

    async def rotate(self, key_id: str, overlap_s: float = 0.0) -> MadeKey | None:
        """Another secret for a key; the old one is good for `overlap_s` more. None if unknown."""
        secret = new_secret(API_KEY)
        old_until_s = self._clock() + overlap_s if overlap_s > 0 else None
        record = await self._store.replace_key(key_id, digest(secret), old_until_s)
        if record is None:
            return None
        self._note("key.rotated", record)
        return MadeKey(secret, record)

    async def revoke(self, key_id: str) -> bool:
        """Ends a key; False if there is none of this id."""
        record = await self._store.revoke_key(key_id)
        if record is None:
            return False
        self._note("key.revoked", record)
        return True

    async def verify(self, text: str) -> KeyRecord | None:
        """What a secret stands for, or None if it is not good.

        Unknown, expired and revoked keys cost the same: one digest, one question to the store.
        """
        return await self._store.find_key(digest(text)) if is_secret(text, API_KEY) else None

    async def note_use(self, key_id: str) -> None:
        """Notes that a key is used now."""
        await self._store.touch_key(key_id, self._clock())

    def list_all(self) -> AsyncIterator[KeyRecord]:
        """All keys, expired ones too, by id."""
        return self._store.list_keys()

    def _make(self, request: KeyRequest) -> MadeKey:
        secret = new_secret(API_KEY)
        now_s = self._clock()
        record = KeyRecord(
            digest(secret),
            f"key-{secrets.token_hex(_ID_BYTES)}",
            request.owner,
            request.scopes,
            now_s,
            None if request.ttl_s is None else now_s + request.ttl_s,
            request.networks,
        )
        return MadeKey(secret, record)

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

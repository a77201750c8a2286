"""A store in memory: for one worker or for tests; its content ends with the process."""

import time
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from gateway.stores import counting
from gateway.stores.base import (
    EXPIRED_KEYS_KEPT_S,
    Demand,
    KeyRecord,
    Limit,
    Rotation,
    Taken,
    TokenKind,
    TokenRecord,
)
from gateway.stores.memory_claims import MemoryClaims

_MOST_COUNTERS = 100_000
_SWEEP_EVERY = 1024


class MemoryStore:
    """Keeps everything in dictionaries; each operation is atomic, because none waits."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._tokens: dict[bytes, TokenRecord] = {}
        self._used: dict[bytes, TokenRecord] = {}
        self._families: defaultdict[str, set[bytes]] = defaultdict(set)
        self._keys: dict[str, KeyRecord] = {}
        self._key_ids: dict[bytes, str] = {}
        self._old_secrets: dict[str, tuple[bytes, float]] = {}
        self._counters: OrderedDict[str, counting.State] = OrderedDict()
        self._added = 0
        self.claims = MemoryClaims(clock)
        self.nodes = None
        self.replies = None
        self.is_available = True

    def __repr__(self) -> str:
        return f"<MemoryStore, {len(self._tokens)} tokens, {len(self._keys)} keys>"

    async def add_tokens(self, records: Sequence[TokenRecord]) -> None:
        """Stores new tokens; see `TokenStore.add_tokens`."""
        for record in records:
            self._tokens[record.digest] = record
            self._families[record.family].add(record.digest)
        self._added += len(records)
        if self._added >= _SWEEP_EVERY:
            self._added = 0
            self._sweep()

    async def find_token(self, digest: bytes) -> TokenRecord | None:
        """The token with this digest, if it is valid."""
        record = self._tokens.get(digest)
        return record if record is not None and record.expires_at_s > self._clock() else None

    async def rotate_token(self, digest: bytes, successors: Sequence[TokenRecord]) -> Rotation:
        """Uses up a refresh token; see `TokenStore.rotate_token`."""
        used = self._used.get(digest)
        if used is not None and used.expires_at_s > self._clock():
            await self.revoke_family(used.family)
            return Rotation.REUSED
        record = await self.find_token(digest)
        if record is None or record.kind is not TokenKind.REFRESH:
            return Rotation.UNKNOWN
        self._used[digest] = self._tokens.pop(digest)
        await self.add_tokens(successors)
        return Rotation.DONE

    async def find_used(self, digest: bytes) -> str | None:
        """The login of a refresh token that was used up; see `TokenStore.find_used`."""
        used = self._used.get(digest)
        return None if used is None else used.family

    async def revoke_family(self, family: str) -> int:
        """Revokes all tokens of a login."""
        now_s = self._clock()
        digests = self._families.pop(family, set())
        gone = [self._tokens.pop(digest, None) for digest in digests]
        return sum(record is not None and record.expires_at_s > now_s for record in gone)

    async def revoke_principal(self, principal: str) -> int:
        """Revokes all tokens of a principal."""
        families = {r.family for r in self._tokens.values() if r.principal == principal}
        return sum([await self.revoke_family(family) for family in families])

    async def list_tokens(self, principal: str | None = None) -> AsyncIterator[TokenRecord]:
        """The valid tokens, of one principal or all."""
        now_s = self._clock()
        for record in list(self._tokens.values()):
            if record.expires_at_s > now_s and principal in (None, record.principal):
                yield record

    async def add_key(self, record: KeyRecord) -> KeyRecord | None:
        """Stores a new key; None if its id is taken."""
        if record.id in self._keys:
            return None
        self._keys[record.id] = record
        self._key_ids[record.digest] = record.id
        await self._sweep_keys()
        return record

    async def find_key(self, digest: bytes) -> KeyRecord | None:
        """The key with this digest, if it is valid."""
        record = self._keys.get(self._key_ids.get(digest, ""))
        if record is None or (record.expires_at_s or float("inf")) <= self._clock():
            return None
        if record.digest != digest and self._old_secrets[record.id][1] <= self._clock():
            return None
        return record

    async def replace_key(
        self, key_id: str, digest: bytes, overlap_s: float = 0.0
    ) -> KeyRecord | None:
        """Replaces the secret of a key; see `KeyStore.replace_key`."""
        old = self._keys.get(key_id)
        if old is None:
            return None
        self._forget_old_secret(key_id)
        if overlap_s > 0:
            self._old_secrets[key_id] = (old.digest, self._clock() + overlap_s)
        else:
            del self._key_ids[old.digest]
        self._key_ids[digest] = key_id
        self._keys[key_id] = replace(old, digest=digest)
        return self._keys[key_id]

    async def revoke_key(self, key_id: str) -> KeyRecord | None:
        """Revokes a key."""
        record = self._keys.pop(key_id, None)
        if record is not None:
            del self._key_ids[record.digest]
            self._forget_old_secret(key_id)
        return record

    async def touch_key(self, key_id: str) -> None:
        """Records that a key was used now."""
        if key_id in self._keys:
            self._keys[key_id] = replace(self._keys[key_id], last_used_at_s=self._clock())

    async def list_keys(self) -> AsyncIterator[KeyRecord]:
        """All keys, by id."""
        for key_id in sorted(self._keys):
            yield self._keys[key_id]

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Taken:
        """Takes from a counter; see `CounterStore.take`."""
        return self.take_now(key, limit, cost)

    def take_now(self, key: str, limit: Limit, cost: int = 1) -> Taken:
        """`take`, without waiting."""
        taken, state = counting.take(limit, self._counters.get(key), cost, self._clock())
        self._keep(key, state)
        return taken

    def taker(self, limit: Limit, cost: int) -> counting.Taker:
        """`take_now` with one limit: its constants are computed once, not at each call."""
        return counting.Taker(
            self._counters, _MOST_COUNTERS, self._clock, counting.arithmetic(limit), cost
        )

    async def take_all(self, demands: Sequence[Demand]) -> Sequence[Taken]:
        """Takes from several counters; see `CounterStore.take_all`."""
        return self.take_all_now(demands)

    def take_all_now(self, demands: Sequence[Demand]) -> Sequence[Taken]:
        """`take_all`, without waiting."""
        states = [self._counters.get(key) for key, _, _ in demands]
        outcomes = counting.take_all(demands, states, self._clock())
        for (key, _, _), (_, state) in zip(demands, outcomes, strict=True):
            self._keep(key, state)
        return [taken for taken, _ in outcomes]

    async def forget(self, keys: Sequence[str]) -> None:
        """Makes these counters new again."""
        for key in keys:
            self._counters.pop(key, None)

    async def forget_all(self, prefix: str) -> None:
        """Makes all counters new again whose keys begin with `prefix`."""
        await self.forget([key for key in self._counters if key.startswith(prefix)])

    async def ping(self) -> None:
        """Always succeeds."""

    async def close(self) -> None:
        """Does nothing: there is nothing to close."""

    def _keep(self, key: str, state: counting.State) -> None:
        counters = self._counters
        counters[key] = state
        counters.move_to_end(key)
        if len(counters) > _MOST_COUNTERS:
            # Invented keys push out the counters that were used least recently.
            counters.popitem(last=False)

    def _forget_old_secret(self, key_id: str) -> None:
        old = self._old_secrets.pop(key_id, None)
        if old is not None:
            del self._key_ids[old[0]]

    async def _sweep_keys(self) -> None:
        long_ago_s = self._clock() - EXPIRED_KEYS_KEPT_S
        for record in list(self._keys.values()):
            if record.expires_at_s is not None and record.expires_at_s <= long_ago_s:
                await self.revoke_key(record.id)

    def _sweep(self) -> None:
        now_s = self._clock()
        for tokens in (self._tokens, self._used):
            for digest in [d for d, record in tokens.items() if record.expires_at_s <= now_s]:
                family = tokens.pop(digest).family
                self._families[family].discard(digest)
                if not self._families[family]:
                    del self._families[family]

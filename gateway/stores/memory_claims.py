"""Idempotency keys in the memory of one process."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.stores.base import Claim, Claimed, ClaimState, StoreUnavailableError

_MOST_BYTES = 64 * 1024 * 1024
# The memory that a claim takes besides its record.
_CLAIM_BYTES = 512
_SWEEP_EVERY_S = 60.0


@dataclass(slots=True)
class _Kept:
    token: str
    fingerprint: bytes
    expires_at_s: float
    lease_until_s: float
    is_sent: bool = False
    is_unknown: bool = False
    record: bytes | None = None

    @property
    def size(self) -> int:
        return _CLAIM_BYTES + len(self.record or b"")


class MemoryClaims:
    """Keeps claims in a dictionary; each operation is atomic, because none waits.

    A key that is dropped early would allow a repetition, so new keys are refused if it is full.
    """

    def __init__(self, clock: Callable[[], float], most_bytes: int = _MOST_BYTES) -> None:
        self._clock = clock
        self._most_bytes = most_bytes
        self._kept: dict[str, _Kept] = {}
        self._bytes = 0
        self._swept_at_s = 0.0

    async def claim(self, key: str, claim: Claim) -> Claimed:
        """Claims a key; see `ClaimStore.claim`.

        Raises:
            StoreUnavailableError: no memory is left for new keys.
        """
        now_s = self._clock()
        kept = self._kept.get(key)
        if kept is not None and (kept.expires_at_s <= now_s or _is_free(kept, now_s)):
            self._drop(key)
            kept = None
        if kept is None:
            self._make_room(now_s)
            expires_at_s = now_s + claim.ttl_s
            self._kept[key] = _Kept(
                claim.token, claim.fingerprint, expires_at_s, now_s + claim.lease_s
            )
            self._bytes += _CLAIM_BYTES
            return Claimed(ClaimState.GRANTED)
        if kept.fingerprint != claim.fingerprint:
            return Claimed(ClaimState.REUSED)
        if kept.record is not None:
            return Claimed(ClaimState.SETTLED, kept.record)
        if not kept.is_unknown and kept.lease_until_s > now_s:
            return Claimed(ClaimState.RUNNING)
        if not claim.takes_over:
            return Claimed(ClaimState.UNKNOWN)
        kept.token, kept.lease_until_s = claim.token, now_s + claim.lease_s
        kept.is_unknown = False
        return Claimed(ClaimState.GRANTED)

    async def hold(self, key: str, token: str, lease_s: float) -> bool:
        """Renews a lease; see `ClaimStore.hold`."""
        kept = self._owned(key, token)
        if kept is None:
            return False
        kept.is_sent = True
        kept.lease_until_s = self._clock() + lease_s
        kept.expires_at_s = max(kept.expires_at_s, kept.lease_until_s)
        return True

    async def settle(self, key: str, token: str, record: bytes | None) -> bool:
        """Ends a claim; see `ClaimStore.settle`. Without memory for the record, it is unknown."""
        kept = self._owned(key, token)
        if kept is None:
            return False
        kept.token = ""
        if record is not None and self._bytes + len(record) > self._most_bytes:
            kept.is_unknown = True
            return False
        kept.record, kept.is_unknown = record, record is None
        self._bytes += len(record or b"")
        return True

    async def release(self, key: str, token: str) -> bool:
        """Frees a key; see `ClaimStore.release`."""
        if self._owned(key, token) is None:
            return False
        self._drop(key)
        return True

    def _owned(self, key: str, token: str) -> _Kept | None:
        kept = self._kept.get(key)
        return kept if kept is not None and token and kept.token == token else None

    def _drop(self, key: str) -> None:
        self._bytes -= self._kept.pop(key).size

    def _make_room(self, now_s: float) -> None:
        is_full = self._bytes + _CLAIM_BYTES > self._most_bytes
        if now_s - self._swept_at_s >= (1.0 if is_full else _SWEEP_EVERY_S):
            self._swept_at_s = now_s
            for key in [key for key, kept in self._kept.items() if kept.expires_at_s <= now_s]:
                self._drop(key)
            is_full = self._bytes + _CLAIM_BYTES > self._most_bytes
        if is_full:
            raise StoreUnavailableError("the memory for idempotency keys is full")


def _is_free(kept: _Kept, now_s: float) -> bool:
    """True if the owner has gone before it sent its call."""
    is_open = kept.record is None and not kept.is_unknown
    return is_open and not kept.is_sent and kept.lease_until_s <= now_s

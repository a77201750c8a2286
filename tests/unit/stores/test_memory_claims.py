"""The bound of idempotency keys in memory."""

import pytest

from gateway.stores.base import StoreUnavailableError
from gateway.stores.claims import Claim, ClaimState
from gateway.stores.memory_claims import MemoryClaims


async def test_full_memory_refuses_new_keys_and_keeps_the_old_ones() -> None:
    now_s = 1000.0
    claims = MemoryClaims(lambda: now_s, most_bytes=2000)
    claim = Claim("token", b"same", 1.0, 60.0, takes_over=False)
    for key in ("a", "b"):
        await claims.claim(key, claim)
        await claims.settle(key, "token", b"x" * 100)
    await claims.claim("large", claim)
    assert not await claims.settle("large", "token", b"x" * 1000)
    assert (await claims.claim("large", claim)).state is ClaimState.UNKNOWN
    with pytest.raises(StoreUnavailableError, match="full"):
        await claims.claim("c", claim)
    assert (await claims.claim("a", claim)).state is ClaimState.SETTLED
    now_s += 61.0
    assert (await claims.claim("c", claim)).state is ClaimState.GRANTED

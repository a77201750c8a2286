"""Idempotency keys in Redis: a hash for each, which expires by itself.

Leases are times of the clock of Redis, in milliseconds, so that nodes agree.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from gateway.stores.claims import Claim, Claimed, ClaimState

_KEY = """
local key = ARGV[1] .. 'claim:' .. ARGV[2]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
"""

CLAIM = f"""{_KEY}
local kept = redis.call('HMGET', key, 'state', 'fingerprint', 'lease', 'record')
local state, lapsed = kept[1], kept[3] and now >= tonumber(kept[3])
if state == 'claimed' and lapsed then
  redis.call('DEL', key)
  state = false
end
if not state then
  redis.call('HSET', key, 'state', 'claimed', 'fingerprint', ARGV[4], 'token', ARGV[3],
    'lease', now + ARGV[5])
  redis.call('PEXPIRE', key, ARGV[6])
  return {{'granted', ''}}
end
if kept[2] ~= ARGV[4] then return {{'reused', ''}} end
if state == 'settled' then return {{'settled', kept[4]}} end
if state ~= 'unknown' and not lapsed then return {{'running', ''}} end
if ARGV[7] ~= '1' then return {{'unknown', ''}} end
redis.call('HSET', key, 'state', 'sent', 'token', ARGV[3], 'lease', now + ARGV[5])
return {{'granted', ''}}
"""
"""ARGV[2..7]: key, token, fingerprint, lease and ttl in milliseconds, 1 to take over."""

_OWNED = f"""{_KEY}
if redis.call('HGET', key, 'token') ~= ARGV[3] then return 0 end
"""

HOLD = f"""{_OWNED}
redis.call('HSET', key, 'state', 'sent', 'lease', now + ARGV[4])
if redis.call('PTTL', key) < tonumber(ARGV[4]) then redis.call('PEXPIRE', key, ARGV[4]) end
return 1
"""
"""ARGV[2..4]: key, token, lease in milliseconds."""

SETTLE = f"""{_OWNED}
redis.call('HDEL', key, 'token')
redis.call('HSET', key, 'state', ARGV[4], 'record', ARGV[5])
return 1
"""
"""ARGV[2..5]: key, token, the state, the record."""

RELEASE = f"""{_OWNED}
return redis.call('DEL', key)
"""
"""ARGV[2..3]: key, token."""

SCRIPTS = (CLAIM, HOLD, SETTLE, RELEASE)


class RedisClaims:
    """Keeps claims in the Redis of a store, by one script for each operation."""

    def __init__(self, run: Callable[..., Awaitable[Any]]) -> None:
        """`run` runs one of `SCRIPTS` with arguments that follow the prefix of the names."""
        self._run = run

    async def claim(self, key: str, claim: Claim) -> Claimed:
        """Claims a key; see `ClaimStore.claim`."""
        times = (_milliseconds(claim.lease_s), _milliseconds(claim.ttl_s))
        found = await self._run(
            *(CLAIM, key, claim.token, claim.fingerprint, *times, int(claim.takes_over))
        )
        return Claimed(ClaimState(found[0].decode()), found[1])

    async def hold(self, key: str, token: str, lease_s: float) -> bool:
        """Renews a lease; see `ClaimStore.hold`."""
        return bool(await self._run(HOLD, key, token, _milliseconds(lease_s)))

    async def settle(self, key: str, token: str, record: bytes | None) -> bool:
        """Ends a claim; see `ClaimStore.settle`."""
        state = "unknown" if record is None else "settled"
        return bool(await self._run(SETTLE, key, token, state, record or b""))

    async def release(self, key: str, token: str) -> bool:
        """Frees a key; see `ClaimStore.release`."""
        return bool(await self._run(RELEASE, key, token))


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))

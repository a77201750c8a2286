"""The nodes that share a Redis: a sorted set of the ends of their lives, and a hash of records."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gateway.stores.nodes import MOST_NODES, Heartbeat

_NODES = """
local ends, records = ARGV[1] .. 'nodes', ARGV[1] .. 'node-records'
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
for _, gone in ipairs(redis.call('ZRANGE', ends, '-inf', now, 'BYSCORE')) do
  redis.call('HDEL', records, gone)
  redis.call('ZREM', ends, gone)
end
"""

BEAT = f"""{_NODES}
redis.call('ZADD', ends, now + ARGV[4], ARGV[2])
redis.call('HSET', records, ARGV[2], now .. ' ' .. ARGV[3])
redis.call('PEXPIRE', ends, 2 * ARGV[4])
redis.call('PEXPIRE', records, 2 * ARGV[4])
return 1
"""
"""ARGV[2..4]: node, record, time to live in milliseconds."""

LEAVE = f"""{_NODES}
redis.call('ZREM', ends, ARGV[2])
return redis.call('HDEL', records, ARGV[2])
"""
"""ARGV[2]: node."""

LIST = f"""{_NODES}
local found = {{tostring(now)}}
for _, node in ipairs(redis.call('ZRANGE', ends, 0, ARGV[2] - 1)) do
  local record = redis.call('HGET', records, node)
  if record then found[#found + 1] = record end
end
return found
"""
"""ARGV[2]: the most nodes. Returns the time, and records after the time of their heartbeat."""

SCRIPTS = (BEAT, LEAVE, LIST)


class RedisNodes:
    """Lists nodes in the Redis of a store, by one script for each operation."""

    def __init__(self, run: Callable[..., Awaitable[Any]]) -> None:
        """`run` runs one of `SCRIPTS` with arguments that follow the prefix of the names."""
        self._run = run

    async def beat(self, node: str, record: bytes, ttl_s: float) -> None:
        """Stores the record of a node; see `NodeStore.beat`."""
        await self._run(BEAT, node, record, max(1, int(ttl_s * 1000)))

    async def leave(self, node: str) -> None:
        """Forgets a node."""
        await self._run(LEAVE, node)

    async def heartbeats(self) -> Sequence[Heartbeat]:
        """Returns the last heartbeat of each node."""
        now, *found = await self._run(LIST, MOST_NODES)
        parts = (one.partition(b" ") for one in found)
        return [Heartbeat(record, (int(now) - int(at)) / 1000) for at, _, record in parts]

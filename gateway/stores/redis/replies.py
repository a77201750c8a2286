"""Replies of back ends in Redis: a hash for each, which expires by itself.

Each change gets the next number, and is noted under its names. A look-up compares these numbers
with that of the reply in the same round trip. The notes live longer than all replies that the
change can outdate, and then expire.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, Final

from gateway.stores.replies import CALL_S, KEPT_S, FoundReply, KeptReply

# The note of a change outlives all replies that were kept before it, and calls under way.
_NOTED_MS: Final = int(2 * CALL_S * 1000)
_USED_MS: Final = int(2 * KEPT_S * 1000)
_MOST_NAMES: Final = 96
_MOST_REMOVED: Final = 100
_OVERHEAD_BYTES: Final = 300
CHANNEL: Final = "cache:changes"

_SHARED = """
local p = ARGV[1] .. 'cache:'
local function number()
  local at = redis.call('GET', p .. 'number')
  if not at then
    local time = redis.call('TIME')
    at = time[1] .. string.format('%06d', time[2])
    redis.call('SET', p .. 'number', at)
    redis.call('SET', p .. 'begun', at)
  end
  return at
end
local function changed(names, since)
  local stale = 0
  for i = 1, #names, 32 do
    local note = redis.call('HMGET', p .. 'changed:' .. string.sub(names, i, i + 31),
      'hard', 'soft', 'at')
    if note[1] and tonumber(note[1]) > since then return true, 0 end
    if note[2] and tonumber(note[2]) > since then stale = math.max(stale, tonumber(note[3])) end
  end
  return false, stale
end
local function remove(key, owner)
  redis.call('DEL', p .. 'reply:' .. key)
  local size = redis.call('HGET', p .. 'sizes:' .. owner, key)
  if size then
    redis.call('HDEL', p .. 'sizes:' .. owner, key)
    redis.call('HINCRBY', p .. 'sizes:' .. owner, 'total', -size)
    redis.call('ZREM', p .. 'used:' .. owner, key)
  end
end
local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
"""
# A number starts with the time, so that one which was lost with all data is never reached again.

FIND = f"""{_SHARED}
local at, place = number(), p .. 'reply:' .. ARGV[2]
local found = redis.call('HMGET', place, 'value', 'since', 'names', 'owner', 'at')
if not (found[1] and found[5]) then return {{at}} end
local names = found[3]
local is_new = not string.find(names, ARGV[3], 1, true)
if is_new then
  if #names >= {_MOST_NAMES} * 32 then return {{at}} end
  names = names .. ARGV[3]
end
local is_outdated, stale = changed(names, tonumber(found[2]))
if is_outdated then
  remove(ARGV[2], found[4])
  return {{at}}
end
if is_new then redis.call('HSET', place, 'names', names) end
local now = now_ms()
redis.call('ZADD', p .. 'used:' .. found[4], 'XX', now, ARGV[2])
local age, stale_for = now - tonumber(found[5]), stale > 0 and now - stale or -1
return {{at, found[1], found[2], age, stale_for}}
"""
"""ARGV[2..3]: key, the name of the path."""

KEEP = f"""{_SHARED}
local key, value, names, since = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local life, owner, most = ARGV[6], ARGV[7], tonumber(ARGV[8])
number()
if since < tonumber(redis.call('GET', p .. 'begun') or 0) then return 0 end
if changed(names, since) then return 0 end
remove(key, owner)
local size = #value + 2 * #names + {_OVERHEAD_BYTES}
local sizes, used = p .. 'sizes:' .. owner, p .. 'used:' .. owner
local removed = 0
while tonumber(redis.call('HGET', sizes, 'total') or 0) + size > most do
  local oldest = redis.call('ZRANGE', used, 0, 0)[1]
  if not oldest or removed >= {_MOST_REMOVED} then return 0 end
  remove(oldest, owner)
  removed = removed + 1
end
redis.call('HSET', p .. 'reply:' .. key, 'value', value, 'since', ARGV[5], 'names', names,
  'owner', owner, 'at', string.format('%.0f', now_ms()))
redis.call('PEXPIRE', p .. 'reply:' .. key, life)
redis.call('HSET', sizes, key, size)
redis.call('HINCRBY', sizes, 'total', size)
redis.call('ZADD', used, now_ms(), key)
redis.call('PEXPIRE', sizes, {_USED_MS})
redis.call('PEXPIRE', used, {_USED_MS})
if redis.call('PTTL', p .. 'living') < tonumber(life) then
  redis.call('SET', p .. 'living', '1', 'PX', life)
end
return 1
"""
"""ARGV[2..8]: key, value, names, number, life in milliseconds, owner, limit of its bytes."""

FORGET = f"""{_SHARED}
local owner = redis.call('HGET', p .. 'reply:' .. ARGV[2], 'owner')
if owner then remove(ARGV[2], owner) end
return 1
"""
"""ARGV[2]: key."""

CHANGE = f"""{_SHARED}
number()
local at = string.format('%.0f', redis.call('INCR', p .. 'number'))
local noted = math.max(0, redis.call('PTTL', p .. 'living')) + {_NOTED_MS}
for i = 4, #ARGV do
  local note = p .. 'changed:' .. ARGV[i]
  if ARGV[2] == '1' then
    redis.call('HSET', note, 'soft', at, 'at', string.format('%.0f', now_ms()))
  else
    redis.call('HSET', note, 'hard', at)
  end
  redis.call('PEXPIRE', note, noted)
end
redis.call('PUBLISH', ARGV[1] .. '{CHANNEL}', ARGV[3])
return 1
"""
"""ARGV[2..]: 1 to make stale, the message, names."""

SCRIPTS = (FIND, KEEP, FORGET, CHANGE)


class RedisReplies:
    """Keeps replies in the Redis of a store, by one script for each operation."""

    def __init__(
        self, run: Callable[..., Awaitable[Any]], hear: Callable[[], AsyncGenerator[bytes]]
    ) -> None:
        """`run` runs one of `SCRIPTS` with arguments that follow the prefix of the names.

        `hear` yields the messages of the channel that is the prefix and `CHANNEL`.
        """
        self._run = run
        self._hear = hear

    async def find(self, key: str, name: str) -> FoundReply:
        """Looks a reply up; see `ReplyStore.find`."""
        number, *rest = await self._run(FIND, key, name)
        if not rest:
            return FoundReply(int(number))
        value, since, age_ms, stale_ms = rest
        stale_s = None if stale_ms < 0 else stale_ms / 1000
        # A clock that was set back makes no reply younger than it is new.
        return FoundReply(int(number), value, int(since), max(0.0, age_ms / 1000), stale_s)

    async def keep(self, reply: KeptReply) -> bool:
        """Keeps a reply; see `ReplyStore.keep`."""
        if len(reply.names) > _MOST_NAMES:
            return False
        life_ms = int(min(reply.life_s, KEPT_S) * 1000)
        if life_ms <= 0:
            return False
        arguments = (reply.key, reply.value, "".join(reply.names), reply.since, life_ms)
        return bool(await self._run(KEEP, *arguments, reply.owner, reply.most_bytes))

    async def forget(self, key: str) -> None:
        """Removes a reply; see `ReplyStore.forget`."""
        await self._run(FORGET, key)

    async def change(self, names: Sequence[str], message: bytes, *, soft: bool) -> None:
        """Outdates replies; see `ReplyStore.change`."""
        await self._run(CHANGE, int(soft), message, *names)

    def listen(self) -> AsyncGenerator[bytes]:
        """Yields the messages of changes; see `ReplyStore.listen`."""
        return self._hear()

"""The Lua that makes each operation on Redis atomic and one round trip (redis.io, "Scripting").

ARGV[1] is always the prefix of all names. Tokens come as triples: digest, lifetime in milliseconds,
record as a JSON object without its times, and so do keys. The times are those of the clock of
Redis, whatever that of a node says, so that all nodes show and obey the same ones. A token has its
key, an entry in its family's sorted set, and its family has one in its principal's set; expired
entries are removed from both when one is added. A used refresh token leaves a mark with its family,
so that a second use is recognised.
"""

from gateway.stores.base import EXPIRED_KEYS_KEPT_S

_KEEP = """
local function keep(from)
  for i = from, #ARGV, 3 do
    local digest, begins, record = ARGV[i], now_ms(), ARGV[i + 2]
    local ends, token = begins + tonumber(ARGV[i + 1]), cjson.decode(record)
    local times = '{"issued_at_s": %.3f, "expires_at_s": %.3f, '
    record = string.format(times, begins / 1000, ends / 1000) .. string.sub(record, 2)
    redis.call('SET', ARGV[1] .. 'token:' .. digest, record, 'PXAT', ends)
    local family = ARGV[1] .. 'login:' .. token.family
    redis.call('ZREMRANGEBYSCORE', family, '-inf', now_ms())
    redis.call('ZADD', family, ends, digest)
    if redis.call('PEXPIRETIME', family) < ends then redis.call('PEXPIREAT', family, ends) end
    local principal = ARGV[1] .. 'principal:' .. token.principal
    redis.call('ZREMRANGEBYSCORE', principal, '-inf', now_ms())
    redis.call('ZADD', principal, 'GT', ends, token.family)
    if redis.call('PEXPIRETIME', principal) < ends then
      redis.call('PEXPIREAT', principal, ends)
    end
  end
end
"""

_NOW = """
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""

_REVOKE_FAMILY = """
local function revoke(name)
  local family = ARGV[1] .. 'login:' .. name
  local gone = 0
  for _, digest in ipairs(redis.call('ZRANGE', family, 0, -1)) do
    gone = gone + redis.call('DEL', ARGV[1] .. 'token:' .. digest)
  end
  redis.call('DEL', family)
  return gone
end
"""

ADD = f"{_NOW}{_KEEP}keep(2)"
"""ARGV[2..]: the tokens to store."""

REVOKE = f"{_REVOKE_FAMILY}return revoke(ARGV[2])"
"""ARGV[2]: the family; returns how many of its tokens were valid."""

ROTATE = f"""{_NOW}{_KEEP}{_REVOKE_FAMILY}
local mark = ARGV[1] .. 'used:' .. ARGV[2]
local family = redis.call('GET', mark)
if family then
  revoke(family)
  return 'reused'
end
local key = ARGV[1] .. 'token:' .. ARGV[2]
local record = redis.call('GET', key)
if not record then return 'unknown' end
local token = cjson.decode(record)
if token.kind ~= 'refresh' then return 'unknown' end
redis.call('SET', mark, token.family, 'PXAT', redis.call('PEXPIRETIME', key))
redis.call('DEL', key)
redis.call('ZREM', ARGV[1] .. 'login:' .. token.family, ARGV[2])
keep(3)
return 'done'
"""
"""ARGV[2]: the digest of the refresh token; ARGV[3..]: its successors. Returns a `Rotation`."""

TAKE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local number = '%.17g'

local function from_bucket(limit, window, cost, tokens, at)
  local rate = limit / window
  tokens = tokens and math.min(limit, tokens + math.max(0, now - at) * rate) or limit
  local allowed = tokens >= cost
  local wait = allowed and 0 or (cost - tokens) / rate
  if allowed then tokens = tokens - cost end
  return allowed, math.floor(tokens), wait, (limit - tokens) / rate, {tokens, now, 0}
end

local function from_window(limit, window, cost, started, counted)
  local began = now - now % window
  local count, before = 0, 0
  if started and math.abs(started - began) < 0.001 then
    count, before = counted[1], counted[2]
  elseif started and math.abs(started - (began - window)) < 0.001 then
    before = counted[1]
  end
  local elapsed = (now - began) / window
  local used = count + before * (1 - elapsed)
  local allowed = used + cost <= limit
  local wait = 0
  if allowed then
    count = count + cost
    used = used + cost
  elseif before > 0 and count <= limit - cost then
    wait = (1 - (limit - cost - count) / before - elapsed) * window
  else
    local aged = count > 0 and math.max(0, 1 - (limit - cost) / count) or 0
    wait = (1 - elapsed + aged) * window
  end
  local remaining = math.max(0, math.floor(limit - used))
  local reset = window * ((count > 0 and 2 or 1) - elapsed)
  return allowed, remaining, wait, reset, {began, count, before}
end

local function ask(i, cost)
  local key = ARGV[1] .. 'counter:' .. ARGV[i]
  local limit, window = tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local kept = redis.call('HMGET', key, 'a', 'b', 'c')
  local a, b, c = tonumber(kept[1]), tonumber(kept[2]), tonumber(kept[3])
  local allowed, remaining, wait, reset, state
  if ARGV[i + 1] == 'bucket' then
    allowed, remaining, wait, reset, state = from_bucket(limit, window, cost, a, b)
  else
    allowed, remaining, wait, reset, state = from_window(limit, window, cost, a, {b, c})
  end
  local taken = {allowed and 1 or 0, remaining, number:format(wait), number:format(reset)}
  return taken, {key = key, state = state, ends = math.ceil(window * 2000)}
end

local function take_all(first, count)
  local taken, kept, refused = {}, {}, false
  for n = 1, count do
    local i = first + 5 * (n - 1)
    taken[n], kept[n] = ask(i, tonumber(ARGV[i + 4]))
    refused = refused or taken[n][1] == 0
  end
  for n, one in ipairs(taken) do
    if refused and one[1] == 1 then taken[n], kept[n] = ask(first + 5 * (n - 1), 0) end
    local key, state = kept[n].key, kept[n].state
    redis.call('HSET', key, 'a', number:format(state[1]), 'b', number:format(state[2]),
               'c', number:format(state[3]))
    redis.call('PEXPIRE', key, kept[n].ends)
  end
  return taken
end

local answers, i = {}, 2
while i <= #ARGV do
  local count = tonumber(ARGV[i])
  answers[#answers + 1] = take_all(i + 1, count)
  i = i + 1 + 5 * count
end
return answers
"""
"""The arithmetic of `counting.take_all`, for several requests in order.

ARGV[2..]: for each request the number of its counters, and for each counter its name, kind, limit,
window in seconds, cost.
"""

ADD_KEY = f"""{_NOW}
local key = ARGV[1] .. 'key:' .. ARGV[2]
if redis.call('EXISTS', key) == 1 then return nil end
local begins, lives = now_ms(), tonumber(ARGV[5])
local ends = lives and string.format('%.3f', (begins + lives) / 1000) or 'null'
local times = string.format('{{"created_at_s": %.3f, "expires_at_s": %s, ', begins / 1000, ends)
local record = times .. string.sub(ARGV[4], 2)
redis.call('HSET', key, 'digest', ARGV[3], 'record', record)
redis.call('SET', ARGV[1] .. 'key-of:' .. ARGV[3], ARGV[2])
redis.call('SADD', ARGV[1] .. 'keys', ARGV[2])
if lives then
  local goes = begins + lives + {int(EXPIRED_KEYS_KEPT_S * 1000)}
  redis.call('PEXPIREAT', key, goes)
  redis.call('PEXPIREAT', ARGV[1] .. 'key-of:' .. ARGV[3], goes)
end
return record
"""
"""ARGV[2..5]: id, digest, record, lifetime in milliseconds or ''; returns the whole record."""

FIND_KEY = f"""{_NOW}
local id = redis.call('GET', ARGV[1] .. 'key-of:' .. ARGV[2])
if not id then return nil end
local found = redis.call('HMGET', ARGV[1] .. 'key:' .. id, 'digest', 'record', 'used')
if not found[1] then return nil end
return {{id, found[1], found[2], found[3], tostring(now_ms() / 1000)}}
"""
"""ARGV[2]: the digest."""

REPLACE_KEY = f"""{_NOW}
local key = ARGV[1] .. 'key:' .. ARGV[2]
local known = redis.call('HMGET', key, 'digest', 'old')
local old, older = known[1], known[2]
if not old then return nil end
if older then redis.call('DEL', ARGV[1] .. 'key-of:' .. older) end
local overlap = tonumber(ARGV[4])
if overlap > 0 then
  redis.call('PEXPIREAT', ARGV[1] .. 'key-of:' .. old, now_ms() + overlap)
else
  redis.call('DEL', ARGV[1] .. 'key-of:' .. old)
end
redis.call('SET', ARGV[1] .. 'key-of:' .. ARGV[3], ARGV[2])
local goes = redis.call('PEXPIRETIME', key)
if goes > 0 then redis.call('PEXPIREAT', ARGV[1] .. 'key-of:' .. ARGV[3], goes) end
redis.call('HSET', key, 'digest', ARGV[3], 'old', old)
return redis.call('HMGET', key, 'digest', 'record', 'used')
"""
"""ARGV[2..4]: id, new digest, milliseconds for which the old digest stays."""

REVOKE_KEY = """
local key = ARGV[1] .. 'key:' .. ARGV[2]
local known = redis.call('HMGET', key, 'digest', 'record', 'used', 'old')
if not known[1] then return nil end
for _, digest in ipairs({known[1], known[4]}) do
  if digest then redis.call('DEL', ARGV[1] .. 'key-of:' .. digest) end
end
redis.call('DEL', key)
redis.call('SREM', ARGV[1] .. 'keys', ARGV[2])
return {known[1], known[2], known[3]}
"""
"""ARGV[2]: the id."""

TOUCH_KEY = f"""{_NOW}
local key = ARGV[1] .. 'key:' .. ARGV[2]
if redis.call('EXISTS', key) == 1 then
  redis.call('HSET', key, 'used', string.format('%.3f', now_ms() / 1000))
end
"""
"""ARGV[2]: the id."""

READ_KEY = """
local found = redis.call('HMGET', ARGV[1] .. 'key:' .. ARGV[2], 'digest', 'record', 'used')
if not found[1] then redis.call('SREM', ARGV[1] .. 'keys', ARGV[2]) end
return found
"""
"""ARGV[2]: the id."""

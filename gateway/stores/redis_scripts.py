"""The Lua that makes each operation on Redis atomic and one round trip (redis.io, "Scripting").

ARGV[1] is always the prefix of all names. Tokens come as triples: digest, milliseconds of their
end, record as JSON. A token has its key, its family's set and its principal's sorted set; a used
refresh token leaves a mark with its family, so that showing it again is known for what it is.
"""

_KEEP = """
local function keep(from)
  for i = from, #ARGV, 3 do
    local digest, ends, record = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
    local token = cjson.decode(record)
    redis.call('SET', ARGV[1] .. 'token:' .. digest, record, 'PXAT', ends)
    local family = ARGV[1] .. 'family:' .. token.family
    redis.call('SADD', family, digest)
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
  local family = ARGV[1] .. 'family:' .. name
  local gone = 0
  for _, digest in ipairs(redis.call('SMEMBERS', family)) do
    gone = gone + redis.call('DEL', ARGV[1] .. 'token:' .. digest)
  end
  redis.call('DEL', family)
  return gone
end
"""

ADD = f"{_NOW}{_KEEP}keep(2)"
"""ARGV[2..]: the tokens to keep."""

REVOKE = f"{_REVOKE_FAMILY}return revoke(ARGV[2])"
"""ARGV[2]: the family; returns how many of its tokens were good."""

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
redis.call('SREM', ARGV[1] .. 'family:' .. token.family, ARGV[2])
keep(3)
return 'done'
"""
"""ARGV[2]: the digest of the refresh token; ARGV[3..]: its successors. Returns a `Rotation`."""

TAKE = """
local key = ARGV[1] .. 'counter:' .. ARGV[2]
local limit, window, cost = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local state = redis.call('HMGET', key, 'a', 'b', 'c')
local a, b, c = tonumber(state[1]), tonumber(state[2]), tonumber(state[3])
local allowed, remaining, wait, reset
if ARGV[3] == 'bucket' then
  local rate = limit / window
  local tokens = limit
  if a then tokens = math.min(limit, a + math.max(0, now - b) * rate) end
  allowed = tokens >= cost
  wait = allowed and 0 or (cost - tokens) / rate
  if allowed then tokens = tokens - cost end
  remaining, reset = math.floor(tokens), (limit - tokens) / rate
  a, b, c = tokens, now, 0
else
  local began = now - now % window
  local count, before = 0, 0
  if a and math.abs(a - began) < 0.001 then
    count, before = b, c
  elseif a and math.abs(a - (began - window)) < 0.001 then
    before = b
  end
  local elapsed = (now - began) / window
  local used = count + before * (1 - elapsed)
  allowed = used + cost <= limit
  wait = 0
  if allowed then
    count = count + cost
    used = used + cost
  elseif before > 0 and count <= limit - cost then
    wait = (1 - (limit - cost - count) / before - elapsed) * window
  else
    local aged = count > 0 and math.max(0, 1 - (limit - cost) / count) or 0
    wait = (1 - elapsed + aged) * window
  end
  remaining = math.max(0, math.floor(limit - used))
  reset = window * ((count > 0 and 2 or 1) - elapsed)
  a, b, c = began, count, before
end
local number = '%.17g'
redis.call('HSET', key, 'a', number:format(a), 'b', number:format(b), 'c', number:format(c))
redis.call('PEXPIRE', key, math.ceil(window * 2000))
return {allowed and 1 or 0, remaining, number:format(wait), number:format(reset)}
"""
"""The arithmetic of `counting.take`. ARGV: name, kind, limit, seconds of the window, cost."""

ADD_KEY = """
local key = ARGV[1] .. 'key:' .. ARGV[2]
if redis.call('EXISTS', key) == 1 then return 0 end
redis.call('HSET', key, 'digest', ARGV[3], 'record', ARGV[4])
redis.call('SET', ARGV[1] .. 'key-of:' .. ARGV[3], ARGV[2])
redis.call('SADD', ARGV[1] .. 'keys', ARGV[2])
return 1
"""
"""ARGV[2..4]: id, digest, record as JSON."""

FIND_KEY = """
local id = redis.call('GET', ARGV[1] .. 'key-of:' .. ARGV[2])
if not id then return nil end
local found = redis.call('HMGET', ARGV[1] .. 'key:' .. id, 'digest', 'record', 'used')
return {id, found[1], found[2], found[3], redis.call('TIME')[1]}
"""
"""ARGV[2]: the digest."""

REPLACE_KEY = """
local key = ARGV[1] .. 'key:' .. ARGV[2]
local old = redis.call('HGET', key, 'digest')
if not old then return nil end
redis.call('DEL', ARGV[1] .. 'key-of:' .. old)
redis.call('SET', ARGV[1] .. 'key-of:' .. ARGV[3], ARGV[2])
redis.call('HSET', key, 'digest', ARGV[3])
return redis.call('HMGET', key, 'digest', 'record', 'used')
"""
"""ARGV[2..3]: id, the new digest."""

REVOKE_KEY = """
local key = ARGV[1] .. 'key:' .. ARGV[2]
local digest = redis.call('HGET', key, 'digest')
if not digest then return 0 end
redis.call('DEL', key, ARGV[1] .. 'key-of:' .. digest)
redis.call('SREM', ARGV[1] .. 'keys', ARGV[2])
return 1
"""
"""ARGV[2]: the id."""

TOUCH_KEY = """
local key = ARGV[1] .. 'key:' .. ARGV[2]
if redis.call('EXISTS', key) == 1 then redis.call('HSET', key, 'used', ARGV[3]) end
"""
"""ARGV[2..3]: the id, seconds since 1970."""

READ_KEY = "return redis.call('HMGET', ARGV[1] .. 'key:' .. ARGV[2], 'digest', 'record', 'used')"
"""ARGV[2]: the id."""

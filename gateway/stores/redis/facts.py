"""Asks a Redis about itself, for those who examine an installation."""

import time
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.stores.redis.client import close_client, make_client


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """The answers of a Redis about itself."""

    version: str
    """Empty if this user may not ask for it."""
    eviction: str
    """The policy by which it drops keys when its memory is full; empty if that is not known."""
    clock_ahead_s: float
    """The seconds by which its clock is ahead of this machine's; negative if it is behind."""
    inexact_s: float
    """The most seconds by which `clock_ahead_s` can be wrong."""


async def read_facts(url: str, timeout_s: float) -> RedisFacts | None:
    """Asks the Redis at a URL; None for a cluster, whose nodes have clocks of their own.

    Raises:
        OSError: it does not answer as it should.
        TypeError, ValueError: the URL is invalid.
    """
    client = make_client(url, timeout_s)
    try:
        if not isinstance(client, Redis):
            return None
        await client.ping()  # so that the connection is open when the clock is asked
        begun_s, clock_s = time.monotonic(), time.time()
        seconds, microseconds = await client.time()
        inexact_s = (time.monotonic() - begun_s) / 2
        found = await _info(client)
    except RedisError as error:
        raise OSError(str(error)) from None
    finally:
        await close_client(client)
    ahead_s = seconds + microseconds / 1e6 - (clock_s + inexact_s)
    version = found.get("valkey_version") or found.get("redis_version", "")
    return RedisFacts(str(version), str(found.get("maxmemory_policy", "")), ahead_s, inexact_s)


async def _info(client: Redis) -> dict[str, object]:
    try:
        found: dict[str, object] = await client.info()
    except RedisError:  # this user may not ask
        return {}
    return found

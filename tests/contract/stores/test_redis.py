"""What has expired leaves Redis, and what tells what belongs together leaves with it."""

import asyncio
import math
from collections.abc import Sequence

from redis.asyncio import Redis

from gateway.stores.base import EXPIRED_KEYS_KEPT_S, TokenKind
from gateway.stores.opening import open_store
from tests.contract.stores.test_keys import key
from tests.contract.stores.test_tokens import token


async def test_a_login_that_is_renewed_for_ever_does_not_grow(redis_url: str) -> None:
    async with open_store(f"{redis_url}?prefix=renewed:") as store:
        await store.add_tokens([token("r0", TokenKind.REFRESH)])
        for number in range(20):
            successors = [
                token(f"a{number}", lives_s=0.05),
                token(f"r{number + 1}", TokenKind.REFRESH),
            ]
            await store.rotate_token(token(f"r{number}").digest, successors)
        await asyncio.sleep(0.1)
        await store.rotate_token(
            token("r20").digest, [token("a20"), token("r21", TokenKind.REFRESH)]
        )
        assert await _sizes(redis_url, "renewed:login:*") == [2]
        assert await store.revoke_family("f1") == 2


async def test_a_key_that_expires_leaves_nothing_behind(redis_url: str) -> None:
    async with open_store(f"{redis_url}?prefix=gone:") as store:
        await store.add_key(key("a", lives_s=3600))
        await store.replace_key("k1", key("b").digest, 60)
        await store.touch_key("k1")
    async with Redis.from_url(redis_url) as redis:
        names = sorted([name async for name in redis.scan_iter("gone:*")])
        left_ms = {name: await redis.pttl(name) for name in names}
    ends = {name: math.ceil(ms / 60_000) for name, ms in left_ms.items()}
    goes = math.ceil((3600 + EXPIRED_KEYS_KEPT_S) / 60)
    old, new = (f"gone:key-of:{key(one).digest.hex()}".encode() for one in "ab")
    assert ends == {
        b"gone:key:k1": goes,
        b"gone:keys": 0,  # stays
        old: 1,
        new: goes,
    }


async def _sizes(url: str, pattern: str) -> Sequence[int]:
    async with Redis.from_url(url) as redis:
        return [await redis.zcard(name) async for name in redis.scan_iter(pattern)]

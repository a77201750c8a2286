"""A store in Redis 7 or newer, for many nodes. Each operation is one round trip and one script.

All names share a prefix. Records expire by the clock of Redis, which also counts the limits. The
scripts use keys of several names, so in a cluster the prefix needs a hash tag, as in `{gateway}:`:
that puts everything into one slot, on one master (redis.io, "Hash tags").
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisError

from gateway.stores.base import (
    Demand,
    KeyRecord,
    Limit,
    Rotation,
    StoreUnavailableError,
    Taken,
    TokenBucket,
    TokenKind,
    TokenRecord,
)
from gateway.stores.batching import Batches
from gateway.stores.breaker import Breaker, GuardedStore
from gateway.stores.redis import scripts
from gateway.stores.redis.claims import SCRIPTS as CLAIM_SCRIPTS
from gateway.stores.redis.claims import RedisClaims
from gateway.stores.redis.client import CONNECTIONS, TIMEOUT_S, close_client, hosts_of, make_client
from gateway.stores.redis.nodes import SCRIPTS as NODE_SCRIPTS
from gateway.stores.redis.nodes import RedisNodes
from gateway.stores.redis.replies import CHANNEL, RedisReplies
from gateway.stores.redis.replies import SCRIPTS as REPLY_SCRIPTS

_PAGE = 500
_CHECK_EVERY_S = 1.0
"""The time after which a connection that messages come from is asked for a sign of life."""
_SILENT_S = 10.0


class RedisStore(GuardedStore):
    """Stores everything in the Redis at `url`."""

    def __init__(self, url: str, prefix: str, timeout_s: float) -> None:
        """Does not connect yet. Each operation ends within `timeout_s`.

        That includes its turn, a new connection, and the search for the master.

        Raises:
            TypeError, ValueError: the URL is invalid.
        """
        self._host = hosts_of(url)
        self._redis = make_client(url, min(timeout_s, TIMEOUT_S))
        self._timeout_s = timeout_s
        self._breaker = Breaker(f"redis at {self._host}", timeout_s, self._probe)
        # A command waits for a free connection: a burst of commands is not an outage.
        self._turns = asyncio.Semaphore(CONNECTIONS)
        self._prefix = prefix
        # A cluster client sends a script to the node of its first key.
        self._keys = [prefix] if isinstance(self._redis, RedisCluster) else []
        self._takes = Batches(self._take_many)
        self._scripts = {
            text: self._redis.register_script(text)
            for text in (
                scripts.ADD,
                scripts.ROTATE,
                scripts.REVOKE,
                scripts.TAKE,
                scripts.ADD_KEY,
                scripts.FIND_KEY,
                scripts.REPLACE_KEY,
                scripts.REVOKE_KEY,
                scripts.TOUCH_KEY,
                scripts.READ_KEY,
                *CLAIM_SCRIPTS,
                *NODE_SCRIPTS,
                *REPLY_SCRIPTS,
            )
        }
        self.claims = RedisClaims(self._run)
        self.nodes = RedisNodes(self._run)
        self.replies = RedisReplies(self._run, lambda: self._hear(f"{prefix}{CHANNEL}"))

    def __repr__(self) -> str:
        return f"<RedisStore {self._host}>"

    async def add_tokens(self, records: Sequence[TokenRecord]) -> None:
        """Stores new tokens; see `TokenStore.add_tokens`."""
        await self._run(scripts.ADD, *_arguments(records))

    async def find_token(self, digest: bytes) -> TokenRecord | None:
        """The token with this digest, if it is valid."""
        text = await self._execute(self._redis.get(f"{self._prefix}token:{digest.hex()}"))
        return None if text is None else _token(text)

    async def rotate_token(self, digest: bytes, successors: Sequence[TokenRecord]) -> Rotation:
        """Uses up a refresh token; see `TokenStore.rotate_token`."""
        done = await self._run(scripts.ROTATE, digest.hex(), *_arguments(successors))
        return Rotation(done.decode())

    async def find_used(self, digest: bytes) -> str | None:
        """The login of a refresh token that was used up; see `TokenStore.find_used`."""
        family = await self._execute(self._redis.get(f"{self._prefix}used:{digest.hex()}"))
        return None if family is None else str(family.decode())

    async def revoke_family(self, family: str) -> int:
        """Revokes all tokens of a login."""
        return int(await self._run(scripts.REVOKE, family))

    async def revoke_principal(self, principal: str) -> int:
        """Revokes all tokens of a principal."""
        key = f"{self._prefix}principal:{principal}"
        families = await self._execute(self._redis.zrange(key, 0, -1))
        return sum([await self.revoke_family(family.decode()) for family in families])

    async def list_tokens(self, principal: str | None = None) -> AsyncIterator[TokenRecord]:
        """The valid tokens, of one principal or all."""
        cursor, pattern = 0, f"{_escape_pattern(self._prefix)}token:*"
        listed: set[bytes] = set()
        while True:
            cursor, found = await self._execute(self._scan(cursor, pattern))
            # Skips repeated names: while its table is resized, Redis may return one twice.
            names = [name for name in dict.fromkeys(found) if name not in listed]
            listed.update(names)
            texts = await self._execute(self._redis.mget(names)) if names else ()
            for record in (_token(text) for text in texts if text is not None):
                if principal in (None, record.principal):
                    yield record
            if not cursor:
                return

    async def add_key(self, record: KeyRecord) -> KeyRecord | None:
        """Stores a new key; see `KeyStore.add_key`."""
        value = {
            "owner": record.owner,
            "scopes": sorted(record.scopes),
            "networks": record.networks,
        }
        ends_s = record.expires_at_s
        lives_ms = "" if ends_s is None else int((ends_s - record.created_at_s) * 1000)
        digest = record.digest.hex()
        arguments = (record.id, digest, json.dumps(value), lives_ms)
        text = await self._run(scripts.ADD_KEY, *arguments)
        return None if text is None else _key(record.id, (digest.encode(), text, None))

    async def find_key(self, digest: bytes) -> KeyRecord | None:
        """The key with this digest, if it is valid."""
        found = await self._run(scripts.FIND_KEY, digest.hex())
        if found is None:
            return None
        key_id, *parts, now_s = found
        record = _key(key_id.decode(), parts)
        return None if (record.expires_at_s or float("inf")) <= float(now_s) else record

    async def replace_key(
        self, key_id: str, digest: bytes, overlap_s: float = 0.0
    ) -> KeyRecord | None:
        """Replaces the secret of a key; see `KeyStore.replace_key`."""
        overlap_ms = int(overlap_s * 1000)
        parts = await self._run(scripts.REPLACE_KEY, key_id, digest.hex(), overlap_ms)
        return None if parts is None else _key(key_id, parts)

    async def revoke_key(self, key_id: str) -> KeyRecord | None:
        """Revokes a key."""
        parts = await self._run(scripts.REVOKE_KEY, key_id)
        return None if parts is None else _key(key_id, parts)

    async def touch_key(self, key_id: str) -> None:
        """Records that a key was used now."""
        await self._run(scripts.TOUCH_KEY, key_id)

    async def list_keys(self) -> AsyncIterator[KeyRecord]:
        """All keys, by id."""
        names = await self._execute(self._redis.smembers(f"{self._prefix}keys"))
        for name in sorted(name.decode() for name in names):
            parts = await self._run(scripts.READ_KEY, name)
            if parts[0] is not None:
                yield _key(name, parts)

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Taken:
        """Takes from a counter; see `CounterStore.take`."""
        return (await self.take_all([(key, limit, cost)]))[0]

    async def take_all(self, demands: Sequence[Demand]) -> Sequence[Taken]:
        """Takes from several counters; see `CounterStore.take_all`."""
        return await self._breaker.run(lambda: self._takes(demands))

    async def forget(self, keys: Sequence[str]) -> None:
        """Makes these counters new again."""
        if keys:
            names = [f"{self._prefix}counter:{key}" for key in keys]
            await self._execute(self._redis.unlink(*names))

    async def forget_all(self, prefix: str) -> None:
        """Makes all counters new again whose keys begin with `prefix`, a page at a time."""
        pattern, cursor = _escape_pattern(f"{self._prefix}counter:{prefix}") + "*", -1
        while cursor:
            cursor, names = await self._execute(self._scan(max(cursor, 0), pattern))
            if names:
                await self._execute(self._redis.unlink(*names))

    async def ping(self) -> None:
        """Returns once Redis has answered; see `Store.ping`."""
        await self._execute(self._redis.ping())

    async def close(self) -> None:
        """Closes the connections."""
        await self._breaker.close()
        await self._takes.close()
        await close_client(self._redis)

    async def _hear(self, channel: str) -> AsyncGenerator[bytes]:
        """Yields the messages of a channel, over a connection of its own.

        Raises:
            StoreUnavailableError: the connection is broken, or silent although it was asked.
        """
        subscribe: Any = self._redis.pubsub  # the driver has no types for it
        try:
            async with aclosing(subscribe()) as heard:
                await heard.subscribe(channel)
                silent_s = 0.0
                while silent_s < _SILENT_S:
                    message = await heard.get_message(timeout=_CHECK_EVERY_S)
                    if message is None:
                        silent_s += _CHECK_EVERY_S
                        await heard.ping()
                        continue
                    silent_s = 0.0
                    if message["type"] == "message":
                        yield message["data"]
        except (RedisError, OSError) as error:
            reason = type(error).__name__
            raise StoreUnavailableError(f"redis at {self._host}: {reason}") from None
        raise StoreUnavailableError(f"redis at {self._host}: no answer")

    async def _take_many(self, asked: Sequence[Sequence[Demand]]) -> Sequence[Sequence[Taken]]:
        arguments: list[str | int | float] = []
        for demands in asked:
            arguments.append(len(demands))
            for key, limit, cost in demands:
                kind = "bucket" if isinstance(limit, TokenBucket) else "window"
                arguments += key, kind, limit.limit, limit.window_s, cost
        # Not through the breaker, which is asked for each caller: a batch can wait for another.
        async with asyncio.timeout(self._timeout_s):
            answers = await self._ask(self._script(scripts.TAKE, *arguments))
        return [[_taken(*one) for one in answer] for answer in answers]

    async def _run(self, script: str, *arguments: Any) -> Any:
        return await self._execute(self._script(script, *arguments))

    def _script(self, script: str, *arguments: Any) -> Awaitable[Any]:
        return self._scripts[script](self._keys, [self._prefix, *arguments])

    async def _probe(self) -> None:
        # A command that writes: a replica answers PING, and refuses what the gateway needs.
        await self._ask(self._script(scripts.REVOKE, ""))

    async def _scan(self, cursor: int, pattern: str) -> tuple[int, list[bytes]]:
        """A page of matching names, and the cursor of the next page; 0 after the last one."""
        if not isinstance(self._redis, RedisCluster):
            found: Any = await self._redis.scan(cursor, pattern, _PAGE)
            return found[0], found[1]
        cluster = await self._redis.initialize()
        # From one node only: by default each node would return a page.
        node: Any = cluster.get_node_from_key(self._prefix)
        found = await cluster.scan(cursor, pattern, _PAGE, target_nodes=node)
        return found[0][node.name], found[1]

    async def _execute(self, answer: Awaitable[Any]) -> Any:
        try:
            return await self._breaker.run(lambda: self._ask(answer))
        finally:
            if isinstance(answer, Coroutine):
                answer.close()  # a coroutine that never started would cause a warning

    async def _ask(self, answer: Awaitable[Any]) -> Any:
        try:
            async with self._turns:
                return await answer
        except (RedisError, OSError) as error:
            reason = type(error).__name__
            raise StoreUnavailableError(f"redis at {self._host}: {reason}") from None
        finally:
            if isinstance(answer, Coroutine):
                answer.close()  # a coroutine that never started would cause a warning


def _arguments(records: Sequence[TokenRecord]) -> list[str | int]:
    arguments: list[str | int] = []
    for record in records:
        value = {
            "kind": record.kind,
            "family": record.family,
            "principal": record.principal,
            "client": record.client,
            "scopes": sorted(record.scopes),
            "claims": dict(record.claims),
            "digest": record.digest.hex(),
        }
        lives_ms = int((record.expires_at_s - record.issued_at_s) * 1000)
        arguments += record.digest.hex(), lives_ms, json.dumps(value)
    return arguments


def _token(text: bytes) -> TokenRecord:
    value = json.loads(text)
    return TokenRecord(
        bytes.fromhex(value["digest"]),
        TokenKind(value["kind"]),
        value["family"],
        value["principal"],
        value["client"],
        frozenset(value["scopes"]),
        value["issued_at_s"],
        value["expires_at_s"],
        value["claims"],
    )


def _key(key_id: str, parts: Sequence[bytes | None]) -> KeyRecord:
    digest, text, used = parts
    value = json.loads(text or b"{}")
    return KeyRecord(
        bytes.fromhex((digest or b"").decode()),
        key_id,
        value["owner"],
        frozenset(value["scopes"]),
        value["created_at_s"],
        value["expires_at_s"],
        tuple(value["networks"]),
        None if used is None else float(used),
    )


def _taken(allowed: int, remaining: int, wait_s: bytes, reset_s: bytes) -> Taken:
    return Taken(
        allowed=bool(allowed),
        remaining=remaining,
        retry_after_s=float(wait_s),
        reset_after_s=float(reset_s),
    )


def _escape_pattern(text: str) -> str:
    """`text` as a pattern that matches only itself (redis.io, SCAN)."""
    return "".join(f"\\{c}" if c in "*?[]\\" else c for c in text)

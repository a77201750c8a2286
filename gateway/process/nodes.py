"""The nodes that share a Redis: this one tells of itself there, and operators see all.

Each gateway with an admin listener writes a heartbeat. Nothing depends on it: no node is elected,
and no configuration is handed on.
"""

import asyncio
import hashlib
import json
import os
import random
import secrets
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any, Final

from gateway.endpoints.admin.endpoints import Code, Request, Response, StatusError, json_response
from gateway.endpoints.admin.operations import Config, Operations
from gateway.endpoints.admin.shown_settings import shown_settings
from gateway.stores.opening import StartUpError, Store, StoreUnavailableError, make_store

TTL_S: Final = 30.0
"""A node that is silent for so long vanishes."""
_BEAT_S: Final = 10.0
_JITTER: Final = 0.2
"""Heartbeats come up to 20 % earlier or later, so that those of many nodes spread."""
_LOOK_S: Final = 0.5
"""Seconds until the other nodes see a change of this one, at most."""
_COMPARED: Final = ("version", "config", "routes")
"""The members that should be equal in all nodes. The generation is not: it counts since a start."""


class Nodes:
    """Tells of this node in the shared store, and lists all nodes."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._id = f"{socket.gethostname()[:64]}-{secrets.token_hex(4)}"
        self._since_s = time.monotonic()
        self._compared: list[object] = []
        self._changed_s = self._since_s
        """The time of the last change of what is compared."""
        self._url: str | None = None
        self._store: Store | None = None

    @asynccontextmanager
    async def announced(self) -> AsyncIterator[None]:
        """Sends heartbeats while the block runs, and leaves at its end."""
        task = asyncio.create_task(self._beat_on())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            if self._store is not None and self._store.nodes is not None:
                with suppress(StoreUnavailableError):
                    await self._store.nodes.leave(self._id)
            await self._use(None)

    async def show(self, request: Request) -> Response:
        """Returns the nodes, and in what they differ; without a shared store, only this one."""
        del request
        own = await self._own()
        if self._store is None or self._store.nodes is None:
            return json_response({"is_shared": False, "this": self._id, "nodes": [own]})
        try:
            heartbeats = await self._store.nodes.heartbeats()
        except StoreUnavailableError as error:
            raise StatusError(Code.UNAVAILABLE, f"the nodes are not known: {error}") from None
        nodes = [own]
        for one in heartbeats:
            node = _record(one.record)
            if node is not None and node["id"] != self._id:
                nodes.append(node | {"last_seen_s": round(one.age_s, 1)})
        nodes.sort(key=lambda node: (str(node.get("name")), str(node["id"])))
        found = {"is_shared": True, "this": self._id, "nodes": nodes}
        shown = {"differences": differences(nodes), "differ_for_s": differ_for_s(nodes)}
        return json_response(found | shown)

    async def _beat_on(self) -> None:
        """Sends a heartbeat regularly, and soon after a change of this node."""
        due_s, sent = 0.0, None
        while True:
            operations = self._operations
            state = (operations.why_not_ready(), operations.generation)
            if time.monotonic() >= due_s or state != sent:
                due_s = time.monotonic() + _BEAT_S * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
                sent = state
                # The breaker of the store logs that it is unavailable.
                with suppress(StoreUnavailableError, StartUpError):
                    await self._beat()
            await asyncio.sleep(_LOOK_S)

    async def _beat(self) -> None:
        await self._use(self._operations.config)
        if self._store is not None and self._store.nodes is not None:
            record = json.dumps(await self._own()).encode()
            await self._store.nodes.beat(self._id, record, TTL_S)

    async def _use(self, config: Config | None) -> None:
        """Opens the store of these settings, if it is another one; closes the former."""
        url = None if config is None else _shared_url(config)
        if url == self._url:
            return
        former, self._url, self._store = self._store, url, None
        if former is not None:
            await former.close()
        if url is not None and config is not None:
            self._store = make_store(url, config.store.timeout_s)

    async def _own(self) -> dict[str, Any]:
        operations = self._operations
        workers = await operations.workers()
        routes = [(one.http_method, one.path, one.method) for one in operations.routes]
        own: dict[str, Any] = {
            "id": self._id,
            "name": socket.gethostname(),
            "pid": os.getpid(),
            "version": version("grpc-rest-gateway"),
            "uptime_s": round(time.monotonic() - self._since_s, 1),
            "state": operations.why_not_ready() or "ready",
            "generation": operations.generation,
            "listen": operations.url or None,
            "workers": sum(one.state == "serving" for one in workers),
            # Of the settings as operators see them: a hash of a secret would help to guess it.
            "config": _hash(shown_settings(operations.config)),
            "routes": _hash(routes),
            "last_seen_s": 0.0,
        }
        compared = [own[member] for member in _COMPARED]
        if compared != self._compared:
            self._compared, self._changed_s = compared, time.monotonic()
        return own | {"unchanged_s": round(time.monotonic() - self._changed_s, 1)}


def differences(nodes: Sequence[dict[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """Returns the members in which nodes differ: the ids of the nodes with each value."""
    found: dict[str, dict[str, list[str]]] = {}
    for member in _COMPARED:
        by_value: dict[str, list[str]] = {}
        for node in nodes:
            by_value.setdefault(str(node.get(member)), []).append(str(node["id"]))
        if len(by_value) > 1:
            found[member] = by_value
    return found


def differ_for_s(nodes: Sequence[dict[str, Any]]) -> float:
    """Returns the seconds for which nodes have differed at least; 0 if they do not differ.

    That is the time since the last change of any of them.
    """
    if not differences(nodes):
        return 0.0
    ages = [one.get(name) for one in nodes for name in ("unchanged_s", "last_seen_s")]
    if not all(isinstance(age, int | float) for age in ages):
        return 0.0  # one is of another version, which does not tell
    since_s = min(float(one["unchanged_s"]) + float(one["last_seen_s"]) for one in nodes)
    return round(since_s, 1)


def _shared_url(config: Config) -> str | None:
    """Returns the first store in Redis; None if there is none."""
    urls = (config.auth.store, config.rate_limits.store, config.idempotency.store)
    return next((url for url in urls if url and url.startswith(("redis", "unix:"))), None)


def _record(text: bytes) -> dict[str, Any] | None:
    """Returns the record of a node; None if another program has written something else."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("id"), str) else None


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]

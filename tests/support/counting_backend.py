"""A real back end that counts its calls, and a gateway that stores its replies."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message_factory import GetMessageClass

from gateway.app.gateway import Gateway, open_gateway
from gateway.auth.keys.api_keys import ApiKeys, KeyRequest
from gateway.config.model import Config
from gateway.interceptors.cache.fills import CallCache
from gateway.interceptors.cache.shared import SharedReplies
from gateway.stores.opening import open_store
from tests.support.http import Answer, connected
from tests.support.schema import descriptor_pool, descriptor_set

PROTO = """
syntax = "proto3";
package shop.v1;
import "gatewayapi/v1/policy.proto";
import "google/api/annotations.proto";
message Item { string name = 1; string text = 2; }
message Get { string name = 1; string page_view = 2; int32 size = 3; map<string, string> more = 4; }
message List { string parent = 1; }
service Shop {
  rpc GetItem(Get) returns (Item) {
    option (google.api.http) = {
      get: "/v1/{name=items/*}" additional_bindings { get: "/v1/named" }
    };
    option (gatewayapi.v1.policy) = {cache: {ttl: {seconds: 600}}};
  }
  rpc GetMe(List) returns (Item) {
    option (google.api.http) = { get: "/v1/me" };
    option (gatewayapi.v1.policy) = {cache: {ttl: {seconds: 600}}};
  }
  rpc ListItems(List) returns (Item) {
    option (google.api.http) = { get: "/v1/items" };
    option (gatewayapi.v1.policy) = {cache: {ttl: {seconds: 600}}};
  }
  rpc Search(Get) returns (Item) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = { post: "/v1/items:search" body: "*" };
    option (gatewayapi.v1.policy) = {cache: {ttl: {seconds: 600}}};
  }
  rpc UpdateItem(Item) returns (Item) {
    option (google.api.http) = { patch: "/v1/{name=items/*}" body: "*" };
  }
  rpc ArchiveItem(Item) returns (Item) {
    option (google.api.http) = { post: "/v1/{name=items/*}:archive" body: "*" };
  }
  rpc Plain(Get) returns (Item) { option (google.api.http) = { get: "/v1/plain" }; }
}
"""
FILES = descriptor_set(shop=PROTO)
_POOL = descriptor_pool(FILES)
_SERVICE = _POOL.FindServiceByName("shop.v1.Shop")
_ITEM = GetMessageClass(_POOL.FindMessageTypeByName("shop.v1.Item"))


@dataclass
class CountingBackend:
    """What the back end saw, and what it does next."""

    target: str = ""
    calls: Counter[str] = field(default_factory=Counter)
    seen: list[dict[str, str | bytes]] = field(default_factory=list)
    """The metadata of each call."""
    peers: set[str] = field(default_factory=set)
    """The other end of each connection that calls came over."""
    metadata: tuple[tuple[str, str], ...] = ()
    """The metadata of each reply."""
    fails: grpc.StatusCode | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)
    """Calls wait until it is set."""
    work_s: float = 0.0
    """The time that each call takes."""
    size: int = 0
    """The size of the text of each reply."""
    raw: bytes | None = None
    """The bytes of each reply, in place of a message."""
    text: str | None = None
    """The text of each reply; if None, it names the call's number and the caller."""
    stop: Callable[[], Awaitable[None]] | None = None
    """Stops its server."""

    async def answer(self, name: str, context: Any) -> bytes:
        """The reply: it names the call's number, the caller and the request's metadata."""
        self.calls[name] += 1
        number, fails, metadata = self.calls.total(), self.fails, self.metadata
        told = dict(context.invocation_metadata())
        self.seen.append(told)
        self.peers.add(context.peer())
        if self.work_s:
            await asyncio.sleep(self.work_s)
        await self.open.wait()
        if fails is not None:
            await context.abort(fails, "as the test wants it")
        await context.send_initial_metadata(metadata)
        if self.raw is not None:
            return self.raw
        caller = told.get("x-principal", "nobody")
        reflected = ",".join(
            f"{k}={v}" for k, v in sorted(told.items()) if k.startswith(("x-evil", "accept-l"))
        )
        text = f"{number} for {caller} {reflected}{'x' * self.size}"
        text = text if self.text is None else self.text
        return bytes(_ITEM(name=name, text=text).SerializeToString())


def _handlers(backend: CountingBackend) -> dict[str, Any]:
    def handler(name: str) -> Any:
        async def handle(request: bytes, context: Any) -> bytes:
            return await backend.answer(name, context)

        return grpc.unary_unary_rpc_method_handler(handle)

    return {method.name: handler(method.name) for method in _SERVICE.methods}


@dataclass
class CachingGateway:
    """A running gateway, its back end, and keys for callers."""

    gateway: Gateway
    backend: CountingBackend
    keys: ApiKeys | None

    async def get(self, target: str, *headers: str) -> Answer:
        """The answer to a GET."""
        async with connected(self.gateway) as client:
            return await client.get(target, *headers)

    async def send(self, method: str, target: str, body: str = "{}", *headers: str) -> Answer:
        """The answer to a request with a body of JSON."""
        lines = "".join(f"{header}\r\n" for header in headers)
        async with connected(self.gateway) as client:
            await client.send(
                f"{method} {target} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n{lines}\r\n{body}"
            )
            return await client.answer(head_only=method == "HEAD")

    @property
    def cache(self) -> CallCache:
        """The stored replies of the settings in force."""
        cache = self.gateway.generations.current.opened.cache
        assert cache is not None
        return cache

    @property
    def shared(self) -> SharedReplies:
        """The replies in the store that several gateways share."""
        assert self.cache.shared is not None
        return self.cache.shared

    async def key_of(self, owner: str, *scopes: str) -> str:
        """A header with a new key of a principal."""
        assert self.keys is not None
        made = await self.keys.create(KeyRequest(owner, frozenset(scopes)))
        return f"X-API-Key: {made.secret}"


@asynccontextmanager
async def counting_server() -> AsyncIterator[CountingBackend]:
    """A back end on a free port; it answers at once until `open` is cleared."""
    backend = CountingBackend()
    backend.open.set()
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("shop.v1.Shop", _handlers(backend)),)
    )
    backend.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    backend.stop = partial(server.stop, None)
    try:
        yield backend
    finally:
        await server.stop(None)


@asynccontextmanager
async def caching_gateway(
    place: Path, upstream: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[CachingGateway]:
    """A gateway in front of a back end that counts; with `auth`, it has a store of keys.

    `upstream` has settings of the upstream beside its target.
    """
    async with counting_server() as backend:
        descriptors = place / "shop.binpb"
        descriptors.write_bytes(FILES.SerializeToString())
        defaults: dict[str, Any] = {
            "listen": "127.0.0.1:0",
            "descriptors": [str(descriptors)],
            "upstreams": {"shop": {"target": backend.target, **(upstream or {})}},
            "log": {"access": "off"},
        }
        async with open_gateway(Config.model_validate(defaults | settings)) as gateway:
            if "auth" not in settings:
                yield CachingGateway(gateway, backend, None)
                return
            async with open_store(settings["auth"]["store"]) as store:
                yield CachingGateway(gateway, backend, ApiKeys(store))

"""Requests that two servers fail: which are repeated, and what of that clients decide: nothing."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from pydantic import ValidationError

from gateway.app.gateway import open_gateway
from gateway.call import Call, Handler, Interceptor, Reply
from gateway.config.model import Config
from tests.support.counting_backend import CountingBackend, counting_server
from tests.support.http import RawClient, connected
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package shop.v1;
import "google/api/annotations.proto";
message Item { string name = 1; }
service Shop { rpc GetItem(Item) returns (Item) { option (google.api.http) = { %s }; } }
"""
BODY = "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class Running:
    """Two servers that fail all calls, and a client of the gateway before them."""

    client: RawClient
    servers: tuple[CountingBackend, CountingBackend]
    verb: str

    async def status(self, *headers: str) -> int:
        """The status of one request."""
        lines = "".join(f"{one}\r\n" for one in headers)
        head = f"{self.verb.upper()} /v1/items/a HTTP/1.1\r\nHost: test\r\n{lines}"
        await self.client.send(head + (BODY if self.verb in {"put", "post"} else "\r\n"))
        return (await self.client.answer()).status

    @property
    def calls(self) -> int:
        return sum(one.calls.total() for one in self.servers)


@asynccontextmanager
async def failing(
    place: Path,
    verb: str,
    policy: dict[str, Any] | None = None,
    interceptors: Sequence[Interceptor] = (),
    **more: Any,
) -> AsyncIterator[Running]:
    """A gateway before two servers, with a method that is bound to `verb`."""
    body = ' body: "*"' if verb in {"put", "post"} else ""
    proto = PROTO % f'{verb}: "/v1/{{name=items/*}}"{body}'
    path = place / "shop.binpb"
    path.write_bytes(descriptor_set(shop=proto).SerializeToString())
    async with counting_server() as one, counting_server() as other:
        one.fails = other.fails = grpc.StatusCode.UNAVAILABLE
        upstream: dict[str, Any] = {"targets": [{"address": at.target} for at in (one, other)]}
        if policy is not None:
            upstream["retry_policy"] = policy
        settings = {"listen": "127.0.0.1:0", "descriptors": [str(path)], "log": {"access": "off"}}
        config = Config.model_validate(settings | {"upstreams": {"shop": upstream}} | more)
        async with (
            open_gateway(config, interceptors=interceptors) as gateway,
            connected(gateway) as client,
        ):
            yield Running(client, (one, other), verb)


@pytest.mark.parametrize(
    ("verb", "verbs", "calls"),
    [
        ("get", [], 2),
        ("get", ["PUT"], 2),
        ("put", [], 1),
        ("put", ["PUT"], 2),
        ("put", ["DELETE"], 1),
        ("delete", ["PUT", "DELETE"], 2),
        ("post", ["PUT", "DELETE"], 1),
    ],
)
async def test_verbs_of_the_policy_are_repeated(
    tmp_path: Path, verb: str, verbs: list[str], calls: int
) -> None:
    async with failing(tmp_path, verb, {"verbs": verbs} if verbs else None) as running:
        assert (await running.status(), running.calls) == (503, calls)


@pytest.mark.parametrize("verb", ["POST", "PATCH", "GET", "put"])
def test_other_verbs_cannot_be_added(verb: str) -> None:
    upstream = {"target": "127.0.0.1:1", "retry_policy": {"verbs": [verb]}}
    with pytest.raises(ValidationError, match="'PUT' or 'DELETE'"):
        Config.model_validate({"upstreams": {"shop": upstream}})


@pytest.mark.parametrize(("verb", "calls"), [("post", 1), ("get", 2)])
async def test_headers_of_clients_change_nothing(tmp_path: Path, verb: str, calls: int) -> None:
    headers = [
        *("X-Envoy-Retry-On: 5xx", "X-Envoy-Max-Retries: 5", "X-Envoy-Retry-Grpc-On: unavailable"),
        *("Grpc-Previous-Rpc-Attempts: 7", "Grpc-Metadata-Grpc-Previous-Rpc-Attempts: 7"),
    ]
    async with failing(tmp_path, verb) as running:
        assert (await running.status(*headers), running.calls) == (503, calls)
        told = [seen for one in running.servers for seen in one.seen]
    attempts = sorted(str(one.get("grpc-previous-rpc-attempts", "")) for one in told)
    assert attempts == ["", "1"][:calls]


class Passed:
    """An interceptor that counts the calls which pass it."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        self.calls += 1
        return await proceed(call)


async def test_guards_see_a_call_with_its_repeats_once(tmp_path: Path) -> None:
    limit = {"limit": 2, "window_s": 3600, "by": "address"}
    rule = {"selector": "*", "rate_limits": [limit], "max_concurrent": 1}
    passed = Passed()
    async with failing(tmp_path, "get", policies=[rule], interceptors=[passed]) as running:
        assert [await running.status() for _ in range(3)] == [503, 503, 429]
        assert (running.calls, passed.calls) == (4, 2)

"""A secret in every place of a request is in none of the logs, nor in what the client is told."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import grpc.aio
import pytest

from gateway.app.gateway import Gateway, open_gateway
from gateway.config.model import Config
from gateway.telemetry.logs.opening import open_logs
from services.serving import serve
from tests.support.entries import PROTO
from tests.support.http import connected
from tests.support.schema import descriptor_set

SECRET = "S3cretOfTheClient"
TOKEN = f"gwt_{'S3cret' * 8}x"
KEY = f"gwk_0123456789abcdef_{'S3cret' * 8}"
JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJTM2NyZXQifQ.UzNjcmV0"


class Cards(grpc.GenericRpcHandler):
    """Answers everything with an empty message."""

    def service(self, call: Any) -> Any:
        async def answer(request: bytes, context: Any) -> bytes:
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


def register(server: grpc.aio.Server) -> str:
    server.add_generic_rpc_handlers([Cards()])
    return "logged.v1.Cards"


@dataclass
class Stage:
    gateway: Gateway
    place: Path

    async def ask(self, head: str, body: bytes = b"") -> bytes:
        request = f"{head}\r\nHost: t\r\nContent-Length: {len(body)}\r\n\r\n".encode("latin-1")
        async with connected(self.gateway) as client:
            await client.send(request + body)
            return (await client.answer()).body

    @property
    def written(self) -> str:
        return "".join(one.read_text() for one in self.place.glob("*.log"))


@asynccontextmanager
async def open_stage(place: Path, **policy: Any) -> AsyncIterator[Stage]:
    descriptors = place / "cards.binpb"
    descriptors.write_bytes(descriptor_set(logged=PROTO).SerializeToString())
    logs = {name: place / f"{name}.log" for name in ("access", "events", "audit")}
    async with serve(register, reflect=False) as address:
        config = Config.model_validate(
            {
                "listen": "127.0.0.1:0",
                "descriptors": [descriptors],
                "upstreams": {"cards": {"target": address}},
                "auth": {"store": "memory:"},
                "log": logs | {"headers": ["x-shown"]},
            }
            | policy
        )
        async with open_logs(config.log) as opened:
            with opened.speaking_for_program():
                async with open_gateway(config, logs=opened) as gateway:
                    yield Stage(gateway, place)


PLACES = [
    pytest.param(f"GET /v1/cards/{SECRET} HTTP/1.1", id="redacted path"),
    pytest.param(f"GET /v1/cards/{quote(SECRET[:3])}%43{SECRET} HTTP/1.1", id="escaped path"),
    pytest.param(f"DELETE /v1/cards/{SECRET} HTTP/1.1", id="redacted path, wrong HTTP method"),
    pytest.param(f"GET /v1/cards/{SECRET}/x HTTP/1.1", id="redacted path, no such route"),
    pytest.param(f"GET /v1/owners/{SECRET}/ada HTTP/1.1", id="redacted field of a field"),
    pytest.param(f"GET /v1/holders/ada?number={SECRET} HTTP/1.1", id="query"),
    pytest.param(f"GET /nowhere?number={SECRET}&{SECRET} HTTP/1.1", id="query of nothing"),
    pytest.param(f"GET /v1/holders/ada?access_token={SECRET} HTTP/1.1", id="token in the query"),
    pytest.param(f"GET /v1/holders/{TOKEN} HTTP/1.1", id="token in the path"),
    pytest.param(f"GET /v1/holders/{TOKEN.replace('_', '%5F')} HTTP/1.1", id="token escaped"),
    pytest.param(f"GET /v1/holders/%67{TOKEN[1:]} HTTP/1.1", id="token's first letter escaped"),
    pytest.param(f"GET /v1/holders/%2567{TOKEN[1:]} HTTP/1.1", id="token escaped twice"),
    pytest.param(f"GET /v1/holders/%25252567{TOKEN[1:]} HTTP/1.1", id="escaped four times"),
    pytest.param(
        f"GET /v1/holders/a HTTP/1.1\r\nUser-Agent: gwt%5F{TOKEN[4:]}", id="escaped user agent"
    ),
    pytest.param(
        f"GET /v1/holders/a HTTP/1.1\r\nX-Shown: {quote(quote(TOKEN)).replace('gw', '%2567w')}",
        id="escaped twice in a shown header",
    ),
    pytest.param(f"GET /v1/holders/a HTTP/1.1\r\nAuthorization: Bearer {TOKEN}", id="bad token"),
    pytest.param(f"GET /v1/holders/a HTTP/1.1\r\nAuthorization: Bearer {JWT}", id="bad JWT"),
    pytest.param(f"GET /v1/holders/a HTTP/1.1\r\nAuthorization: Basic {SECRET}", id="basic"),
    pytest.param(f"GET /v1/holders/a HTTP/1.1\r\nAuthorization: {SECRET}", id="no scheme"),
    pytest.param(f"GET /v1/holders/a HTTP/1.1\r\nX-API-Key: {KEY}", id="bad key"),
    pytest.param(f"GET /v1/holders/a HTTP/1.1\r\nCookie: a={SECRET}", id="cookie"),
    pytest.param(f"GET /v1/holders/a HTTP/1.1\r\nX-Other: {SECRET}", id="any header"),
    pytest.param(f"GET /v1/holders/a HTTP/1.1\r\nUser-Agent: {TOKEN}", id="token as user agent"),
    pytest.param(f"GET /v1/holders/a HTTP/1.1\r\nX-Request-Id: {TOKEN}", id="token as request id"),
    pytest.param(f"GET /v1/holders/a HTTP/1.1\r\nX-Shown: {TOKEN}", id="token in a shown header"),
    pytest.param(f"GET http://u:{SECRET}@h/v1/holders/a HTTP/1.1", id="password of a URL"),
    pytest.param(f"GET /v1/holders/a HTTP/1.1\r\nGrpc-Timeout: {SECRET}", id="bad timeout"),
]


@pytest.mark.parametrize("head", PLACES)
async def test_a_secret_is_in_none_of_the_outputs(tmp_path: Path, head: str) -> None:
    async with open_stage(tmp_path) as stage:
        body = (await stage.ask(head)).decode()
    said = stage.written + body
    assert "gateway.access" in said
    assert "S3cret" not in said
    assert "UzNjcmV0" not in said


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
async def test_a_body_is_written_down_nowhere(tmp_path: Path, kind: str) -> None:
    async with open_stage(tmp_path) as stage:
        head = f"GET /v1/holders/ada HTTP/1.1\r\nContent-Type: {kind}"
        said = await stage.ask(head, f'{{"number":"{SECRET}","{SECRET}":1'.encode())
    assert SECRET not in stage.written + said.decode()


async def test_a_policy_hides_paths_too(tmp_path: Path) -> None:
    policy = {"selector": "logged.v1.Cards.GetHolder", "redact": ["holder"]}
    async with open_stage(tmp_path, policies=[policy]) as stage:
        await stage.ask(f"GET /v1/holders/{SECRET} HTTP/1.1")
    (line,) = (tmp_path / "access.log").read_text().splitlines()
    assert json.loads(line)["url.path"] == "/v1/holders/***"


async def test_a_refused_credential_is_in_the_audit_trail_without_being_shown(
    tmp_path: Path,
) -> None:
    async with open_stage(tmp_path) as stage:
        head = "GET /v1/holders/a HTTP/1.1\r\nX-Request-Id: r1\r\nAuthorization: Bearer"
        await stage.ask(f"{head} {TOKEN}")
    (line,) = (tmp_path / "audit.log").read_text().splitlines()
    told = json.loads(line)
    assert (told["event.name"], told["gateway.outcome"]) == ("login.failed", "failure")
    assert (told["gateway.request.id"], told["client.address"]) == ("r1", "127.0.0.1")

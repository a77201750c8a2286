"""The authentication server of docs/tokens.md, as it stands there, behind a gateway."""

import re
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from aiohttp import ClientSession

from gateway import Config, open_gateway
from gatewayapi.v1 import auth_pb2_grpc
from services import echo
from services.serving import serve
from tests.support.tokens import basic

PAGE = Path(__file__).parents[3] / "docs/tokens.md"


def documented_service() -> Any:
    code = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)[-1]
    names: dict[str, Any] = {"__name__": "auth_server"}
    exec(compile(code, str(PAGE), "exec"), names)
    return names["AuthService"]()


def register(server: grpc.aio.Server) -> str:
    auth_pb2_grpc.add_AuthServiceServicer_to_server(documented_service(), server)
    return "gatewayapi.v1.AuthService"


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ({}, "books.read books.write"),
        ({"scope": "books.read"}, "books.read"),
        ({"scope": "books.read books.burn"}, "books.read"),
    ],
)
async def test_it_grants_what_is_asked_for_and_may_be_had(
    asked: dict[str, str], granted: str
) -> None:
    async with serve(echo.register) as back_end, serve(register) as authentication:
        config = Config.model_validate(
            {
                "listen": "127.0.0.1:0",
                "modules": ["gen.echo.v1"],
                "upstreams": {
                    "echo": {"target": back_end, "services": ["echo.v1.*"]},
                    "auth": {"target": authentication, "services": ["gatewayapi.v1.*"]},
                },
                "log": {"access": "off", "audit": "off"},
                "auth": {"store": "memory:", "tokens": {"auth_upstream": "auth"}},
            }
        )
        async with open_gateway(config) as gateway, ClientSession(gateway.url) as client:
            demo = {"Authorization": basic("demo", "demo-secret")}
            form = {"grant_type": "client_credentials"} | asked
            async with client.post("/oauth2/token", data=form, headers=demo) as response:
                issued = await response.json()
                assert response.status == 200, issued
                assert issued["scope"] == granted
            shown = {"Authorization": f"Bearer {issued['access_token']}"}
            async with client.get("/v1/echo/hello", headers=shown) as response:
                assert response.status == 200
            renewal = {"grant_type": "refresh_token", "refresh_token": issued["refresh_token"]}
            async with client.post("/oauth2/token", data=renewal, headers=demo) as response:
                assert (await response.json())["scope"] == granted
            for client_id, secret in (("demo", "wrong"), ("nobody", "demo-secret")):
                wrong = {"Authorization": basic(client_id, secret)}
                async with client.post("/oauth2/token", data=form, headers=wrong) as response:
                    assert response.status == 401

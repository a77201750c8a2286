"""A gateway that issues tokens, in front of the echo service and the sample AuthService."""

from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import yaml
from aiohttp import ClientSession
from argon2 import PasswordHasher

from gateway.app.gateway import Gateway, open_gateway
from gateway.config.model import Config
from services import auth, echo
from services.serving import serve

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
SECRET, PASSWORD = "the-client's-secret", "the-user's-password"


def accounts_file(folder: Path) -> str:
    """Accounts whose hashes are quick to check; returns where they are."""
    clients: dict[str, dict[str, object]] = {
        "demo": {"scopes": ["read", "write"], "claims": {"tenant": "t1"}},
        "other": {"scopes": ["read"]},
        "resource": {"scopes": ["introspect"]},
    }
    known = {
        "clients": {n: one | {"secret": CHEAP.hash(SECRET)} for n, one in clients.items()},
        "users": {"ada": {"secret": CHEAP.hash(PASSWORD), "scopes": ["read", "admin"]}},
    }
    path = folder / "accounts.yaml"
    path.write_text(yaml.safe_dump(known))
    return str(path)


def basic(client: str, secret: str) -> str:
    """The value of `Authorization` (RFC 6749 section 2.3.1)."""
    text = f"{quote_plus(client)}:{quote_plus(secret)}"
    return f"Basic {b64encode(text.encode()).decode()}"


@dataclass
class Answer:
    """A response, read."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass
class TokenGateway:
    """A running gateway and a client of it."""

    gateway: Gateway
    session: ClientSession
    authentication: AsyncExitStack
    """Closed, the authentication server is away."""

    async def post(
        self, path: str, *, client: str = "demo", secret: str = SECRET, **form: str
    ) -> Answer:
        """What a token endpoint answers to a form."""
        headers = {"Authorization": basic(client, secret)}
        async with self.session.post(path, data=form, headers=headers) as response:
            return Answer(response.status, response.headers, await response.json())

    async def issue(self, **form: str) -> Any:
        """Tokens, by client credentials unless the form says otherwise."""
        answer = await self.post("/oauth2/token", **({"grant_type": "client_credentials"} | form))
        assert answer.status == 200, answer.body
        return answer.body

    async def refresh(self, token: str, **form: str) -> Answer:
        """What comes of a refresh token."""
        return await self.post(
            "/oauth2/token", grant_type="refresh_token", refresh_token=token, **form
        )

    async def call(self, token: str | None, **headers: str) -> Answer:
        """What an API answers to who shows this token."""
        shown = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with self.session.get("/v1/echo/hello", headers=shown | headers) as response:
            return Answer(response.status, response.headers, await response.json())

    async def seen(self, token: str | None, **headers: str) -> dict[str, str]:
        """The metadata that the back end sees."""
        answer = await self.call(token, **headers)
        assert answer.status == 200, answer.body
        return {one["name"]: one.get("value", "") for one in answer.body["metadata"]}


@asynccontextmanager
async def token_gateway(
    store: str, accounts: str, *, log: str = "off", **settings: Any
) -> AsyncIterator[TokenGateway]:
    """A gateway on a free port that keeps its tokens in `store`.

    `policies` are the settings of that name, other `settings` those of `auth`.
    """
    policies = settings.pop("policies", [])
    tokens = {"auth_upstream": "auth"} | settings.pop("tokens", {})
    async with serve(echo.register) as echo_address, AsyncExitStack() as authentication:
        serving = serve(lambda server: auth.register(server, Path(accounts)))
        auth_address = await authentication.enter_async_context(serving)
        config = Config.model_validate(
            {
                "listen": "127.0.0.1:0",
                "modules": ["gen.echo.v1"],
                "upstreams": {
                    "echo": {"target": echo_address, "services": ["echo.v1.*"]},
                    "auth": {"target": auth_address, "services": ["gatewayapi.v1.*"]},
                },
                "log": {"access": log},
                "policies": policies,
                "auth": {"store": store, "tokens": tokens, "anonymous": True} | settings,
            }
        )
        async with open_gateway(config) as gateway, ClientSession(gateway.url) as session:
            yield TokenGateway(gateway, session, authentication)

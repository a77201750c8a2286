"""The token flow over real sockets, with every store."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.auth.authenticator import AuthError
from gateway.stores.opening import StoreUrlError
from gateway.upstream.pool import PoolError
from tests.integration.tokens.conftest import Open
from tests.support.http import connected, echo_gateway
from tests.support.polling import first, still
from tests.support.redis_server import free_port, redis_server
from tests.support.tokens import PASSWORD, SECRET, TokenGateway, token_gateway

# A second is promised; the rest is what a busy machine may add.
SOON_S = 3.0


async def until_refused(gateway: TokenGateway, token: str) -> float:
    """Seconds until the token is refused; it must be soon."""
    started_s = time.monotonic()
    while (await gateway.call(token)).status == 200:
        assert time.monotonic() - started_s < 5
        await asyncio.sleep(0.02)
    return time.monotonic() - started_s


async def test_the_whole_flow(open_gateways: Open, store_url: str) -> None:
    gateway = await open_gateways(store_url)
    issued = await gateway.issue(scope="read")
    assert issued["token_type"] == "Bearer"
    assert issued["scope"] == "read"
    assert issued["expires_in"] == 3600

    seen = await gateway.seen(issued["access_token"])
    assert seen["x-principal"] == "clients/demo"
    assert seen["x-principal-scopes"] == "read"
    assert seen["x-principal-client"] == "demo"
    assert seen["x-principal-claim-tenant"] == "t1"
    assert "authorization" not in seen

    looked_into = await gateway.post("/oauth2/introspect", token=issued["access_token"])
    assert looked_into.body["active"] is True
    assert looked_into.body["sub"] == "clients/demo"
    assert looked_into.body["exp"] - looked_into.body["iat"] == 3600

    renewed = await gateway.refresh(issued["refresh_token"])
    assert renewed.status == 200
    assert await gateway.seen(renewed.body["access_token"])

    revoked = await gateway.post("/oauth2/revoke", token=renewed.body["access_token"])
    assert (revoked.status, revoked.body) == (200, {})
    for one in (issued, renewed.body):
        assert await until_refused(gateway, one["access_token"]) < SOON_S
    assert (await gateway.refresh(renewed.body["refresh_token"])).status == 400
    gone = await gateway.post("/oauth2/introspect", token=issued["access_token"])
    assert gone.body == {"active": False}


async def test_of_fifty_refreshes_at_once_one_wins(open_gateways: Open, store_url: str) -> None:
    gateway = await open_gateways(store_url)
    issued = await gateway.issue()
    answers = await asyncio.gather(*(gateway.refresh(issued["refresh_token"]) for _ in range(50)))
    won = [answer.body for answer in answers if answer.status == 200]
    assert len(won) == 1
    assert {answer.body["error"] for answer in answers if answer.status == 400} == {"invalid_grant"}
    # Two hold what one should: neither keeps anything (RFC 9700 section 4.14.2).
    assert await until_refused(gateway, won[0]["access_token"]) < SOON_S
    assert (await gateway.refresh(won[0]["refresh_token"])).body["error"] == "invalid_grant"


async def test_a_stream_ends_within_a_second_of_its_tokens_revocation(
    open_gateways: Open, store_url: str
) -> None:
    gateway = await open_gateways(store_url)
    issued = await gateway.issue()
    headers = {"Authorization": f"Bearer {issued['access_token']}"}
    async with gateway.session.get(
        "/v1/echo/tick:repeat", params={"count": "1000", "interval": "0.05s"}, headers=headers
    ) as response:
        assert response.status == 200
        assert json.loads(await response.content.readline())["text"] == "tick"
        await gateway.post("/oauth2/revoke", token=issued["refresh_token"])
        revoked_s = time.monotonic()
        async with asyncio.timeout(5):
            lines = [line async for line in response.content]
        assert time.monotonic() - revoked_s < SOON_S
    assert json.loads(lines[-1])["error"]["status"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("store_url", ["sqlite", "redis"], indirect=True)
async def test_what_one_gateway_issues_and_revokes_holds_for_the_other(
    open_gateways: Open, store_url: str
) -> None:
    one, other = await open_gateways(store_url), await open_gateways(store_url)
    issued = await one.issue()
    assert (await other.call(issued["access_token"])).status == 200
    renewed = await other.refresh(issued["refresh_token"])
    assert (await one.call(renewed.body["access_token"])).status == 200
    assert (await other.call(renewed.body["access_token"])).status == 200
    await one.post("/oauth2/revoke", token=renewed.body["access_token"])
    assert await until_refused(other, renewed.body["access_token"]) < SOON_S
    assert await until_refused(one, renewed.body["access_token"]) < SOON_S


async def test_while_the_store_is_down_nobody_is_let_in_and_then_all_goes_on(
    open_gateways: Open,
) -> None:
    port = free_port()
    gateway = await open_gateways(f"redis://127.0.0.1:{port}/0")
    with redis_server(port):
        issued = await gateway.issue()
        assert (await gateway.call(issued["access_token"])).status == 200
    # What was remembered counts until it is forgotten.
    refused = await first(
        lambda: gateway.call(issued["access_token"]), lambda one: one.status != 200
    )
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    assert str(port) not in str(refused.body)
    for path in ("/oauth2/token", "/oauth2/revoke", "/oauth2/introspect"):
        answer = await gateway.post(path, grant_type="client_credentials", token="t")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert answer.body["error"] == "temporarily_unavailable"
    assert (await gateway.call(None)).status == 200
    with redis_server(port):
        await first(
            lambda: gateway.post("/oauth2/revoke", token="t"), lambda one: one.status != 503
        )
        again = await gateway.issue()
        assert (await gateway.call(again["access_token"])).status == 200


async def test_a_refresh_can_ask_for_less_and_the_next_for_all_again(open_gateways: Open) -> None:
    gateway = await open_gateways("memory:")
    issued = await gateway.issue()
    assert issued["scope"] == "read write"
    less = await gateway.refresh(issued["refresh_token"], scope="read")
    assert less.body["scope"] == "read"
    assert (await gateway.seen(less.body["access_token"]))["x-principal-scopes"] == "read"
    more = await gateway.refresh(less.body["refresh_token"], scope="read admin")
    assert (more.status, more.body["error"]) == (400, "invalid_scope")
    again = await gateway.refresh(less.body["refresh_token"])
    assert again.body["scope"] == "read write"


async def test_what_was_granted_narrowly_stays_narrow(open_gateways: Open) -> None:
    gateway = await open_gateways("memory:")
    issued = await gateway.issue(scope="read")
    assert (await gateway.refresh(issued["refresh_token"])).body["scope"] == "read"


async def test_the_password_grant_is_off_until_it_is_asked_for(open_gateways: Open) -> None:
    form = {"grant_type": "password", "username": "ada", "password": PASSWORD}
    without = await open_gateways("memory:")
    answer = await without.post("/oauth2/token", **form)
    assert (answer.status, answer.body["error"]) == (400, "unsupported_grant_type")
    answer = await without.post("/oauth2/token", grant_type="password")
    assert (answer.status, answer.body["error"]) == (400, "unsupported_grant_type")
    gateway = await open_gateways("memory:", tokens={"allow_password": True})
    issued = await gateway.issue(**form)
    seen = await gateway.seen(issued["access_token"])
    assert (seen["x-principal"], seen["x-principal-client"]) == ("users/ada", "demo")
    assert seen["x-principal-scopes"] == "read"
    wrong = await gateway.post("/oauth2/token", **(form | {"password": "wrong"}))
    assert (wrong.status, wrong.body["error"]) == (400, "invalid_grant")
    assert (await gateway.refresh(issued["refresh_token"])).status == 200


async def test_a_token_is_looked_into_by_its_client_and_who_may_into_all(
    open_gateways: Open,
) -> None:
    gateway = await open_gateways("memory:", tokens={"introspectors": ["resource"]})
    issued = await gateway.issue()
    for client, active in {"demo": True, "resource": True, "other": False}.items():
        for token in (issued["access_token"], issued["refresh_token"]):
            answer = await gateway.post("/oauth2/introspect", client=client, token=token)
            assert answer.body["active"] is active
            assert active or answer.body == {"active": False}


async def test_only_its_own_client_revokes_a_token(open_gateways: Open) -> None:
    gateway = await open_gateways("memory:", tokens={"introspectors": ["resource"]})
    issued = await gateway.issue()
    for client in ("other", "resource"):
        answer = await gateway.post("/oauth2/revoke", client=client, token=issued["access_token"])
        assert answer.status == 200
    await asyncio.sleep(0.6)
    assert (await gateway.call(issued["access_token"])).status == 200


async def test_a_server_says_where_its_endpoints_are(open_gateways: Open) -> None:
    gateway = await open_gateways("memory:")
    async with gateway.session.get("/.well-known/oauth-authorization-server") as response:
        found = await response.json()
    url = gateway.gateway.url
    assert found["issuer"] == url
    assert found["token_endpoint"] == f"{url}/oauth2/token"
    assert found["revocation_endpoint"] == f"{url}/oauth2/revoke"
    assert found["introspection_endpoint"] == f"{url}/oauth2/introspect"
    assert found["grant_types_supported"] == ["client_credentials", "refresh_token"]
    named = await open_gateways("memory:", tokens={"issuer": "https://api.example.com"})
    async with named.session.get("/.well-known/oauth-authorization-server") as response:
        assert (await response.json())["issuer"] == "https://api.example.com"


async def test_the_issuer_of_an_absolute_target_is_its_host(open_gateways: Open) -> None:
    gateway = await open_gateways("memory:")
    async with connected(gateway.gateway) as client:
        answer = await client.get("http://real.test/.well-known/oauth-authorization-server")
    assert answer.json()["issuer"] == "http://real.test"


@pytest.mark.parametrize(
    ("issuer", "place"),
    [
        pytest.param("https://api.example.com/", "", id="a slash at the end"),
        pytest.param("https://api.example.com/books", "/books", id="a path"),
        pytest.param("https://api.example.com/a/b/", "/a/b", id="both"),
    ],
)
async def test_an_issuer_with_a_path_is_found_where_rfc_8414_says(
    open_gateways: Open, issuer: str, place: str
) -> None:
    gateway = await open_gateways("memory:", tokens={"issuer": issuer})
    path = f"/.well-known/oauth-authorization-server{place}"
    async with gateway.session.get(path) as response:
        found = await response.json()
    assert found["issuer"] == issuer
    assert found["token_endpoint"] == f"https://api.example.com{place}/oauth2/token"


async def test_back_ends_that_trust_nobody_can_check_who_is_calling(
    open_gateways: Open, tmp_path: Path
) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
    )
    identity = {"jwt": {"key": str(key), "issuer": "https://api.example.com"}}
    gateway = await open_gateways("memory:", identity=identity)
    issued = await gateway.issue()
    seen = await gateway.seen(issued["access_token"], **{"X-Principal-Jwt": "forged"})
    async with gateway.session.get("/.well-known/jwks.json") as response:
        assert response.content_type == "application/jwk-set+json"
        keys = jwt.PyJWKSet.from_dict(await response.json())
    statement: dict[str, Any] = jwt.decode(
        seen["x-principal-jwt"],
        keys.keys[0],
        ["EdDSA"],
        audience="echo.v1.EchoService",
        issuer="https://api.example.com",
    )
    assert (statement["sub"], statement["scope"]) == ("clients/demo", "read write")


async def test_without_tokens_the_endpoints_are_not_there(open_gateways: Open) -> None:
    gateway = await open_gateways("memory:", tokens={"auth_upstream": None})
    async with gateway.session.post("/oauth2/token") as response:
        assert response.status == 404


@pytest.mark.parametrize(
    ("settings", "error", "why"),
    [
        pytest.param(
            {"tokens": {"auth_upstream": "x"}},
            PoolError,
            "no upstream x; expected: echo",
            id="upstream",
        ),
        pytest.param({"store": "mysql://u:pw@h/d"}, StoreUrlError, "no such store", id="store"),
        pytest.param(
            {"identity": {"jwt": {"key": "none.pem"}}}, AuthError, "none.pem: cannot", id="key"
        ),
    ],
)
async def test_what_cannot_be_set_up_keeps_it_from_starting(
    open_gateways: Open, settings: dict[str, Any], error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        await open_gateways(**({"store": "memory:"} | settings))


async def test_a_gateway_that_asks_nobody_says_so_when_it_starts() -> None:
    async with echo_gateway() as gateway:
        assert sum("may call everything" in one for one in gateway.warnings) == 1
    async with echo_gateway(auth={"store": "memory:"}) as gateway:
        assert not any("may call" in one for one in gateway.warnings)


async def test_while_the_authentication_server_is_away_tokens_that_were_issued_are_good(
    accounts: str,
) -> None:
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(token_gateway("memory:", accounts))
        issued = await gateway.issue()
        await gateway.authentication.aclose()
        answer = await gateway.post("/oauth2/token", grant_type="client_credentials")
        assert (answer.status, answer.body["error"]) == (503, "temporarily_unavailable")
        assert answer.headers["Retry-After"] == "1"
        assert (await gateway.call(issued["access_token"])).status == 200


async def test_no_secret_is_written_down(open_gateways: Open, tmp_path: Path) -> None:
    log, kept = tmp_path / "access.log", tmp_path / "kept"
    kept.mkdir()
    gateway = await open_gateways(f"sqlite:///{kept}/gateway.db", log=str(log))
    issued = await gateway.issue()
    renewed = (await gateway.refresh(issued["refresh_token"])).body
    secrets = [
        SECRET,
        *(one[kind] for one in (issued, renewed) for kind in ("access_token", "refresh_token")),
    ]
    for token in secrets[1:]:
        await gateway.call(token)
        for url in (f"/v1/echo/{token}", f"/v1/echo/x?access_token={token}", f"/?{token}"):
            async with gateway.session.get(url) as response:
                assert response.status == 400
                assert token not in await response.text()
    written = await still(
        lambda: b"".join(path.read_bytes() for path in [log, *kept.iterdir()]), for_s=0.5
    )
    assert b"/oauth2/token" in written
    assert not [secret for secret in secrets if secret.encode() in written]

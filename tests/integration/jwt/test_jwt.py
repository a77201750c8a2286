"""JWTs over real sockets: keys from an issuer's server or a file, beside tokens and alone."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.app.gateway import Gateway
from gateway.auth.authenticator import AuthError
from gateway.auth.secrets import ACCESS, new_secret
from tests.support import jwts
from tests.support.http import Answer, connected, echo_gateway
from tests.support.jwts import (
    AUDIENCE,
    ISSUER,
    IssuerServer,
    issuer_server,
    jwk_set,
    private_key,
    public_jwk,
    secret_jwk,
)
from tests.support.polling import first

KEY = private_key("P-256")


@pytest.fixture
async def issuer() -> AsyncIterator[IssuerServer]:
    async with issuer_server() as server:
        server.publish(public_jwk(KEY, kid="a"))
        yield server


def believing(issuer: IssuerServer, *, auth: Any = None, **options: Any) -> Any:
    """A gateway that believes an issuer."""
    one = {"issuer": issuer.url, "audiences": [AUDIENCE]} | options
    jwt = {"issuers": [one], "remember_s": 0}
    return echo_gateway(auth={"jwt": jwt, "anonymous": True} | (auth or {}))


def with_file(path: Path, **auth: Any) -> Any:
    """A gateway that believes who signs with the keys of a file."""
    one = {"issuer": ISSUER, "audiences": [AUDIENCE], "keys_file": str(path)}
    one |= auth.pop("issuer", {})
    jwt = {"issuers": [one], "remember_s": 0}
    return echo_gateway(auth={"jwt": jwt, "anonymous": True} | auth)


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_bytes(jwk_set(public_jwk(KEY, kid="a")))
    return path


def rewrite(path: Path, content: bytes) -> None:
    path.write_bytes(content)


async def call(gateway: Gateway, *headers: str, path: str = "/v1/echo/hello") -> Answer:
    """What is answered to a call with these headers."""
    async with connected(gateway) as client:
        return await client.get(path, *headers)


async def show(gateway: Gateway, token: str, *headers: str) -> Answer:
    """What is answered to who shows a token."""
    return await call(gateway, f"Authorization: Bearer {token}", *headers)


def seen(answer: Answer) -> dict[str, str]:
    """The metadata that the back end saw."""
    assert answer.status == 200, answer.body
    return {one["name"]: one.get("value", "") for one in answer.json()["metadata"]}


def token(issuer: IssuerServer | None = None, key: Any = KEY, kid: str = "a", **told: Any) -> str:
    name = ISSUER if issuer is None else issuer.url
    return jwts.token(key, header={"kid": kid}, iss=name, **told)


async def test_who_shows_a_good_token_is_known_to_the_back_end(issuer: IssuerServer) -> None:
    async with believing(issuer, claims={"tenant": "tid"}) as gateway:
        told = seen(await show(gateway, token(issuer, scope="read write", tid="t1", azp="app")))
    assert told["x-principal"] == "ada"
    assert told["x-principal-scopes"] == "read write"
    assert told["x-principal-client"] == "app"
    assert told["x-principal-claim-tenant"] == "t1"
    assert "authorization" not in told
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]


async def test_keys_come_from_the_url_that_is_set(issuer: IssuerServer) -> None:
    async with believing(issuer, keys_url=f"{issuer.url}/keys") as gateway:
        assert seen(await show(gateway, token(issuer)))["x-principal"] == "ada"
    assert issuer.asked == ["/keys"]


async def test_a_bad_token_is_refused_in_the_words_of_rfc_6750(keys_file: Path) -> None:
    async with with_file(keys_file) as gateway:
        answer = await show(gateway, token(exp=time.time() - 60))
    assert answer.status == 401
    assert answer.header("WWW-Authenticate") == (
        'Bearer error="invalid_token", error_description="the token has expired"'
    )
    assert answer.json()["error"]["message"] == "the token has expired"


async def test_a_token_that_expires_after_all_time_is_refused(keys_file: Path) -> None:
    """An integer that no float holds is an error in machine code, where not taken care of."""
    async with with_file(keys_file) as gateway:
        answer = await show(gateway, token(exp=10**400))
    assert answer.status == 401
    assert "exp of the token is not a number" in answer.json()["error"]["message"]


async def test_nobody_can_say_who_they_are_beside_a_jwt_or_without_one(keys_file: Path) -> None:
    spoofed = [
        "X-Principal: root",
        "Grpc-Metadata-X-Principal-Scopes: all",
        "x-principal-claim-a: b",
    ]
    async with with_file(keys_file) as gateway:
        told = seen(await show(gateway, token(), *spoofed))
        anonymous = seen(await call(gateway, *spoofed))
    assert told["x-principal"] == "ada"
    assert told["x-principal-scopes"] == ""
    assert "x-principal-claim-a" not in told
    assert not [name for name in anonymous if name.startswith("x-principal")]


async def test_without_a_store_anonymous_calls_can_be_refused(keys_file: Path) -> None:
    async with with_file(keys_file, anonymous=False) as gateway:
        assert not gateway.warnings
        assert (await call(gateway)).status == 401
        assert (await show(gateway, token())).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(["Authorization: Bearer opaque"], id="an opaque token"),
        pytest.param([f"Authorization: Bearer {new_secret(ACCESS)}"], id="our own, and no store"),
        pytest.param(["Authorization: Basic YTpi"], id="another scheme"),
        pytest.param(["Authorization:"], id="nothing"),
    ],
)
async def test_an_authorization_that_nobody_knows_is_refused(
    keys_file: Path, headers: list[str]
) -> None:
    async with with_file(keys_file) as gateway:
        assert (await call(gateway, *headers)).status == 401


async def test_two_authorizations_are_refused_whichever_is_good(keys_file: Path) -> None:
    good = f"Authorization: Bearer {token()}"
    async with with_file(keys_file) as gateway:
        assert (await call(gateway, good, "authorization: Bearer x.y.z")).status == 400
        assert (await call(gateway, "Authorization: Bearer x.y.z", good)).status == 400


async def test_a_token_in_a_url_is_refused(keys_file: Path) -> None:
    async with with_file(keys_file) as gateway:
        answer = await call(gateway, path=f"/v1/echo/hello?access_token={token()}")
    assert answer.status == 400


async def test_a_secret_is_shared_by_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.json"
    path.write_bytes(jwk_set(secret_jwk()))
    async with with_file(path, issuer={"algorithms": ["HS256"]}) as gateway:
        assert (await show(gateway, jwts.token(algorithm="HS256"))).status == 200
        assert (await show(gateway, token())).status == 401


async def test_a_new_key_of_an_issuer_is_taken_and_an_old_one_is_not(issuer: IssuerServer) -> None:
    new = private_key("P-256", 1)
    async with believing(issuer, retry_s=0.05) as gateway:
        assert (await show(gateway, token(issuer))).status == 200
        issuer.publish(public_jwk(new, kid="b"))
        await asyncio.sleep(0.06)
        assert (await show(gateway, token(issuer, new, "b"))).status == 200
        assert (await show(gateway, token(issuer))).status == 401


async def test_made_up_keys_have_the_issuer_asked_once_in_an_interval(issuer: IssuerServer) -> None:
    async with believing(issuer, keys_url=f"{issuer.url}/keys") as gateway:
        answers = await asyncio.gather(
            *(show(gateway, token(issuer, kid=f"made up {n}")) for n in range(20))
        )
        assert {answer.status for answer in answers} == {401}
    assert issuer.asked == ["/keys"]


async def test_a_new_key_in_a_file_is_taken_without_a_restart(keys_file: Path) -> None:
    new = private_key("P-256", 1)
    async with with_file(keys_file, issuer={"retry_s": 0.05}) as gateway:
        assert (await show(gateway, token())).status == 200
        rewrite(keys_file, jwk_set(public_jwk(new, kid="b")))
        await first(lambda: show(gateway, token(key=new, kid="b")), lambda one: one.status == 200)
        assert (await show(gateway, token())).status == 401


async def test_while_an_issuer_is_down_nobody_is_let_in_and_then_all_are(
    issuer: IssuerServer,
) -> None:
    issuer.is_down = True
    async with believing(issuer, retry_s=0.05) as gateway:
        answer = await show(gateway, token(issuer))
        assert answer.status == 503
        assert answer.header("Retry-After") == "1"
        assert (await call(gateway)).status == 200
        issuer.is_down = False
        await first(lambda: show(gateway, token(issuer)), lambda one: one.status == 200)
        issuer.is_down = True
        await asyncio.sleep(0.06)
        assert (await show(gateway, token(issuer, kid="b"))).status == 401
        assert (await show(gateway, token(issuer))).status == 200


@pytest.mark.parametrize("document", [b"x" * 1_048_577, b"{}"], ids=["huge", "no keys"])
async def test_an_issuer_that_answers_nonsense_is_as_good_as_down(
    issuer: IssuerServer, document: bytes
) -> None:
    issuer.documents["/keys"] = document
    async with believing(issuer) as gateway:
        assert (await show(gateway, token(issuer))).status == 503


async def test_tokens_of_the_gateway_and_of_an_issuer_live_side_by_side(
    keys_file: Path, tmp_path: Path
) -> None:
    from gateway.auth.tokens.tokens import Grant, Tokens
    from gateway.stores.opening import open_store

    store = f"sqlite:///{tmp_path}/tokens.db"
    async with open_store(store) as opened, with_file(keys_file, store=store) as gateway:
        issued = await Tokens(opened).issue(Grant("bob", "demo", frozenset(), 60.0))
        assert seen(await show(gateway, issued.access_token))["x-principal"] == "bob"
        assert seen(await show(gateway, token()))["x-principal"] == "ada"
        assert (await show(gateway, new_secret(ACCESS))).status == 401


async def test_a_kind_that_is_not_in_the_order_is_not_taken(keys_file: Path) -> None:
    async with with_file(keys_file, store="memory:", order=["token"]) as gateway:
        assert (await show(gateway, token())).status == 401


async def test_a_stream_ends_when_its_token_does(keys_file: Path) -> None:
    exact = {"leeway_s": 0}
    async with with_file(keys_file, issuer=exact) as gateway, connected(gateway) as client:
        text = token(exp=time.time() + 1)
        await client.send(
            "GET /v1/echo/hello:repeat?count=1000&interval=0.05s HTTP/1.1\r\nHost: test\r\n"
            f"Authorization: Bearer {text}\r\nAccept: application/x-ndjson\r\n\r\n"
        )
        answer = await client.answer()
    *messages, last = [json.loads(line) for line in answer.body.splitlines()]
    assert messages
    assert last["error"]["status"] == "UNAUTHENTICATED"


async def test_a_file_without_keys_keeps_the_gateway_from_starting(tmp_path: Path) -> None:
    with pytest.raises(AuthError, match=r"auth\.jwt\.issuers\[0\]\.keys_file"):
        async with with_file(tmp_path / "missing"):
            pass

"""The token endpoints before a scripted authentication server."""

import json
from base64 import b64encode
from typing import Any
from urllib.parse import quote_plus

import pytest
from google.protobuf.duration_pb2 import Duration

from gateway.audit import NO_AUDIT
from gateway.auth.tokens.login_throttle import LoginThrottle
from gateway.auth.tokens.tokens import Tokens
from gateway.config.auth import TokenOptions
from gateway.endpoints.oauth.token_endpoints import (
    INTROSPECT,
    METADATA,
    REVOKE,
    TOKEN,
    TokenEndpoints,
    publish_jwk_set,
)
from gateway.http.header_fields import NO_FIELDS, HeaderFields
from gateway.http.messages import Request, Response
from gateway.listeners.http1.body import WholeBody
from gateway.status import Code, StatusError
from gateway.stores.memory import MemoryStore
from gatewayapi.v1.auth_pb2 import AuthenticateRequest, AuthenticateResponse
from tests.support.recording import Clock

OPTIONS = TokenOptions(access_ttl_s=3600, max_access_ttl_s=7200)


class Server:
    """Answers, or fails, as it is told; keeps what it was asked."""

    def __init__(self, **answer: Any) -> None:
        self.answer: dict[str, Any] = {"principal": "users/ada", "refreshable": True} | answer
        self.error: StatusError | None = None
        self.asked: list[AuthenticateRequest] = []

    async def __call__(self, request: AuthenticateRequest) -> AuthenticateResponse:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        return AuthenticateResponse(**self.answer)


def endpoints(server: Server, options: TokenOptions = OPTIONS) -> TokenEndpoints:
    store = MemoryStore(Clock())
    tokens = Tokens(store, NO_AUDIT, Clock())
    return TokenEndpoints(options, server, tokens, LoginThrottle(store, NO_AUDIT, options))


async def issue(server: TokenEndpoints, form: str = "grant_type=client_credentials") -> Response:
    body = f"{form}&client_id=demo&client_secret=s".encode()
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": str(len(body)),
    }
    request = Request("POST", TOKEN, HeaderFields(headers, ()), "10.0.0.1")
    request.body = WholeBody(body)
    return await server.endpoints[TOKEN]["POST"](request)


async def issued(server: Server, form: str = "grant_type=client_credentials") -> Any:
    response = await issue(endpoints(server), form)
    assert response.status == 200, response.body
    return json.loads(response.body)


async def test_the_authentication_server_is_told_who_asks_for_what_from_where() -> None:
    server = Server(granted_scopes=["a", "b"])
    await issued(server, "grant_type=client_credentials&scope=b+a")
    [asked] = server.asked
    assert (asked.client.id, asked.client.secret, asked.peer) == ("demo", "s", "10.0.0.1")
    assert list(asked.requested_scopes) == ["a", "b"]
    assert asked.WhichOneof("credentials") is None


@pytest.mark.parametrize(
    ("ttl", "expires_in"),
    [
        pytest.param(None, 3600, id="none"),
        pytest.param(Duration(seconds=60), 60, id="its own"),
        pytest.param(Duration(seconds=1, nanos=900_000_000), 1, id="with a fraction"),
        pytest.param(Duration(seconds=99999), 7200, id="too long"),
        pytest.param(Duration(seconds=315_576_000_000), 7200, id="the longest there is"),
        pytest.param(Duration(seconds=-5), 3600, id="none to speak of"),
    ],
)
async def test_a_token_lives_as_long_as_the_server_says_within_bounds(
    ttl: Duration | None, expires_in: int
) -> None:
    assert (await issued(Server(time_to_live=ttl)))["expires_in"] == expires_in


@pytest.mark.parametrize(
    ("granted", "wanted", "scope"),
    [
        pytest.param(["b", "a"], "", "a b", id="all that is granted"),
        pytest.param(["a", "b"], "a", "a", id="no more than asked for"),
        pytest.param(["a"], "a b", "a", id="less than asked for"),
        pytest.param([], "", "", id="nothing asked for, nothing granted"),
        pytest.param(["a", "b admin", ""], "", "a", id="what is no scope is none"),
    ],
)
async def test_scopes_are_those_asked_for_and_granted(
    granted: list[str], wanted: str, scope: str
) -> None:
    form = f"grant_type=client_credentials&scope={wanted.replace(' ', '+')}"
    assert (await issued(Server(granted_scopes=granted), form))["scope"] == scope


async def test_a_login_without_scopes_gains_none_by_renewal() -> None:
    server = Server()
    served = endpoints(server)
    first = json.loads((await issue(served)).body)
    server.answer["granted_scopes"] = ["admin"]
    form = f"grant_type=refresh_token&refresh_token={first['refresh_token']}"
    assert json.loads((await issue(served, form)).body)["scope"] == ""


async def test_a_scope_that_was_taken_away_is_not_renewed() -> None:
    server = Server(granted_scopes=["a", "b"])
    served = endpoints(server)
    first = json.loads((await issue(served)).body)
    server.answer["granted_scopes"] = ["a"]
    form = f"grant_type=refresh_token&refresh_token={first['refresh_token']}"
    refused = await issue(served, f"{form}&scope=b")
    assert json.loads(refused.body)["error"] == "invalid_scope"
    assert json.loads((await issue(served, form)).body)["scope"] == "a"


async def test_a_renewal_that_names_another_owner_renews_nothing() -> None:
    server = Server()
    served = endpoints(server)
    first = json.loads((await issue(served)).body)
    server.answer["principal"] = "users/root"
    form = f"grant_type=refresh_token&refresh_token={first['refresh_token']}"
    assert json.loads((await issue(served, form)).body)["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        (Code.UNAUTHENTICATED, 401, "invalid_client"),
        (Code.INVALID_ARGUMENT, 400, "invalid_grant"),
        (Code.PERMISSION_DENIED, 400, "unauthorized_client"),
        (Code.UNAVAILABLE, 503, "temporarily_unavailable"),
        (Code.DEADLINE_EXCEEDED, 503, "temporarily_unavailable"),
        (Code.INTERNAL, 503, "temporarily_unavailable"),
        (Code.UNIMPLEMENTED, 503, "temporarily_unavailable"),
    ],
)
async def test_a_refusal_of_the_server_is_told_without_its_words(
    code: Code, status: int, error: str
) -> None:
    server = Server()
    server.error = StatusError(code, "no such row in table users")
    response = await issue(endpoints(server))
    assert (response.status, json.loads(response.body)["error"]) == (status, error)
    assert b"users" not in response.body
    assert ("Retry-After" in dict(response.headers)) is (status == 503)


@pytest.mark.parametrize("name", ["", " ", "ada ", " ada", "a\nb"])
async def test_a_server_that_vouches_for_nobody_gets_nobody_a_token(name: str) -> None:
    response = await issue(endpoints(Server(principal=name)))
    assert response.status == 503


@pytest.mark.parametrize(
    ("host", "issuer"),
    [
        ("api.example.com:8080", "http://api.example.com:8080"),
        ("[::1]:80", "http://[::1]:80"),
        ("", "http://localhost"),
        ('"><script>', "http://localhost"),
        ("a/b", "http://localhost"),
    ],
)
async def test_what_a_client_calls_us_is_repeated_to_that_client_alone(
    host: str, issuer: str
) -> None:
    request = Request("GET", METADATA, HeaderFields({"Host": host}, ()), "10.0.0.1")
    response = await endpoints(Server()).endpoints[METADATA]["GET"](request)
    assert json.loads(response.body)["issuer"] == issuer
    assert ("Cache-Control", "no-store") in response.headers


async def test_keys_are_published_as_they_are() -> None:
    [(path, by_method)] = publish_jwk_set({"keys": []}).items()
    response = await by_method["GET"](Request("GET", path, NO_FIELDS, "10.0.0.1"))
    assert (path, response.body) == ("/.well-known/jwks.json", b'{"keys": []}')


class Keeper(Server):
    """Knows one client by a secret."""

    def __init__(self, secret: str) -> None:
        super().__init__()
        self.secret = secret

    async def __call__(self, request: AuthenticateRequest) -> AuthenticateResponse:
        answer = await super().__call__(request)
        if (request.client.id, request.client.secret) != ("demo", self.secret):
            raise StatusError(Code.UNAUTHENTICATED, "no")
        return answer


async def ask_by_basic(server: TokenEndpoints, text: str, path: str = TOKEN) -> Response:
    headers = {
        "Authorization": f"Basic {b64encode(text.encode()).decode()}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    request = Request("POST", path, HeaderFields(headers, ()), "10.0.0.1")
    request.body = WholeBody(b"grant_type=client_credentials&token=x")
    return await server.endpoints[path]["POST"](request)


@pytest.mark.parametrize("secret", ["a+b/c=", "100%25", "%41", "+", "plain"])
@pytest.mark.parametrize("path", [TOKEN, REVOKE, INTROSPECT])
async def test_a_secret_is_taken_form_encoded_or_as_it_is(secret: str, path: str) -> None:
    for sent in (quote_plus(secret), secret):
        assert (await ask_by_basic(endpoints(Keeper(secret)), f"demo:{sent}", path)).status == 200


async def test_both_readings_are_asked_about_and_count_as_one_attempt() -> None:
    server = Keeper("right")
    asked = endpoints(server, TokenOptions(failures=3))
    answers = [(await ask_by_basic(asked, "demo:wr+ong")).status for _ in range(4)]
    assert answers == [401, 401, 401, 429]
    assert [one.client.secret for one in server.asked] == ["wr ong", "wr+ong"] * 3

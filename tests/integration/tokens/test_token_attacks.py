"""What is tried against tokens, over real sockets, and comes to nothing."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from gateway.auth.secrets import ACCESS, API_KEY, new_secret
from tests.integration.tokens.conftest import Open
from tests.support.http import Answer, connected
from tests.support.polling import first, until
from tests.support.tokens import PASSWORD, SECRET, TokenGateway, basic

FORM = "Content-Type: application/x-www-form-urlencoded"


@pytest.fixture
async def gateway(open_gateways: Open) -> TokenGateway:
    return await open_gateways("memory:", tokens={"failures": 3})


async def get(gateway: TokenGateway, *headers: str, path: str = "/v1/echo/hello") -> Answer:
    async with connected(gateway.gateway) as client:
        return await client.get(path, *headers)


async def post(gateway: TokenGateway, path: str, body: str, *headers: str) -> Answer:
    head = f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n"
    lines = "".join(f"{header}\r\n" for header in headers)
    async with connected(gateway.gateway) as client:
        await client.send(f"{head}{lines}\r\n{body}")
        return await client.answer()


def oversized(token: str) -> str:
    return token + "A" * 4000


def swapped(token: str) -> str:
    return token[:20] + ("A" if token[20] != "A" else "B") + token[21:]


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("Bearer ", id="empty"),
        pytest.param("Bearer", id="the scheme alone"),
        pytest.param("Bearer x", id="no token of ours"),
        pytest.param(f"Bearer {new_secret(ACCESS)}", id="never issued"),
        pytest.param(f"Bearer {new_secret(API_KEY)}", id="a key as a token"),
        pytest.param("Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.", id="a JWT with alg none"),
        pytest.param("Bearer {swapped}", id="tampered with"),
        pytest.param("Bearer {access},{access}", id="two in one"),
        pytest.param("Bearer {access} x", id="with more behind it"),
        pytest.param("Bearer {access}%00", id="with an escape behind it"),
        pytest.param("Bearer {upper}", id="in capitals"),
        pytest.param("Bearer {oversized}", id="very long"),
        pytest.param("Bearer {refresh}", id="a refresh token"),
        pytest.param("Bearer gwt_' OR '1'='1", id="SQL"),
        pytest.param("Bearer gwt_*", id="a pattern"),
        pytest.param("Token {access}", id="another scheme"),
        pytest.param("{access}", id="no scheme"),
        pytest.param(f"Basic {b64encode(b'demo:secret').decode()}", id="basic"),
    ],
)
async def test_only_a_good_token_is_taken(gateway: TokenGateway, header: str) -> None:
    issued = await gateway.issue()
    access = issued["access_token"]
    shown = header.format(
        access=access,
        refresh=issued["refresh_token"],
        swapped=swapped(access),
        upper=access.upper(),
        oversized=oversized(access),
    )
    answer = await get(gateway, f"Authorization: {shown}")
    assert answer.status == 401
    assert str(answer.header("WWW-Authenticate")).startswith("Bearer ")
    assert access not in answer.body.decode()
    assert (await get(gateway, f"Authorization: Bearer {access}")).status == 200


async def test_a_token_is_good_until_it_expires(open_gateways: Open) -> None:
    gateway = await open_gateways("memory:", tokens={"max_access_ttl_s": 2})
    issued = await gateway.issue()
    assert (await gateway.call(issued["access_token"])).status == 200
    await first(lambda: gateway.call(issued["access_token"]), lambda one: one.status == 401)


async def test_a_token_of_another_gateway_is_none(
    gateway: TokenGateway, open_gateways: Open
) -> None:
    other = await open_gateways("memory:")
    assert (await gateway.call((await other.issue())["access_token"])).status == 401


@pytest.mark.parametrize("good_first", [True, False])
async def test_of_two_authorization_headers_neither_is_believed(
    gateway: TokenGateway, good_first: bool
) -> None:
    good = f"Authorization: Bearer {(await gateway.issue())['access_token']}"
    bad = "authorization: Bearer x"
    answer = await get(gateway, *((good, bad) if good_first else (bad, good)))
    assert answer.status == 400
    challenge = answer.header("WWW-Authenticate") or ""
    assert challenge.startswith('Bearer error="invalid_request"')


@pytest.mark.parametrize(
    "header",
    [
        "X-Principal: users/root",
        "x-principal: users/root",
        "X-PRINCIPAL: users/root",
        "X-Principal-Scopes: admin",
        "X-Principal-Client: root",
        "X-Principal-Claim-Tenant: root",
        "X-Principal-Claim-Admin: root",
        "Grpc-Metadata-X-Principal: users/root",
    ],
)
@pytest.mark.parametrize("with_token", [True, False], ids=["with a token", "without one"])
async def test_who_is_calling_is_said_by_the_gateway_alone(
    gateway: TokenGateway, header: str, with_token: bool
) -> None:
    issued = await gateway.issue()
    shown = [f"Authorization: Bearer {issued['access_token']}"] if with_token else []
    answer = await get(gateway, header, *shown)
    told = [
        (one["name"], one.get("value"))
        for one in answer.json()["metadata"]
        if one["name"].startswith("x-principal")
    ]
    expected = [
        ("x-principal", "clients/demo"),
        ("x-principal-scopes", "read write"),
        ("x-principal-client", "demo"),
        ("x-principal-claim-tenant", "t1"),
    ]
    assert told == (expected if with_token else [])


@pytest.mark.parametrize(
    "target",
    [
        "/v1/echo/hello?access_token={}",
        "/v1/echo/hello?number=1&access_token={}",
        "/v1/echo/hello?text={}",
        "/v1/echo/{}",
        "/oauth2/token?token={}",
        "/nowhere/{}",
    ],
)
async def test_a_token_in_a_url_is_refused_though_it_is_good(
    gateway: TokenGateway, target: str
) -> None:
    token = (await gateway.issue())["access_token"]
    answer = await get(gateway, path=target.format(token))
    assert answer.status == 400
    challenge = answer.header("WWW-Authenticate") or ""
    assert challenge.startswith('Bearer error="invalid_request"')
    assert token not in answer.body.decode()


BASIC = f"Authorization: {basic('demo', SECRET)}"
ISSUE = "grant_type=client_credentials"


@pytest.mark.parametrize(
    ("body", "headers", "status", "error"),
    [
        pytest.param(ISSUE, [FORM], 401, "invalid_client", id="nobody"),
        pytest.param(ISSUE, [BASIC], 400, "invalid_request", id="no type"),
        pytest.param("", [FORM, BASIC], 400, "invalid_request", id="an empty form"),
        pytest.param("scope=read", [FORM, BASIC], 400, "invalid_request", id="no grant"),
        pytest.param(f"{ISSUE}&{ISSUE}", [FORM, BASIC], 400, "invalid_request", id="grant twice"),
        pytest.param(
            f"{ISSUE}&scope=read&scope=write",
            [FORM, BASIC],
            400,
            "invalid_request",
            id="two scopes",
        ),
        pytest.param(
            f"{ISSUE}&client_id=other", [FORM, BASIC], 400, "invalid_request", id="two clients"
        ),
        pytest.param(
            f"{ISSUE}&client_secret=x", [FORM, BASIC], 400, "invalid_request", id="two secrets"
        ),
        pytest.param(
            "grant_type=authorization_code&code=1",
            [FORM, BASIC],
            400,
            "unsupported_grant_type",
            id="a grant that is not served",
        ),
        pytest.param(f"{ISSUE}&scope=admin", [FORM, BASIC], 400, "invalid_scope", id="more scope"),
        pytest.param(f"{ISSUE}&scope=%00", [FORM, BASIC], 400, "invalid_scope", id="no scope"),
        pytest.param(f"{ISSUE}&x={'y' * 20000}", [FORM, BASIC], 413, "invalid_request", id="huge"),
        pytest.param(
            "grant_type=refresh_token", [FORM, BASIC], 400, "invalid_request", id="no refresh token"
        ),
        pytest.param(
            "grant_type=refresh_token&refresh_token=gwr_'+OR+1%3D1",
            [FORM, BASIC],
            400,
            "invalid_grant",
            id="SQL for a refresh token",
        ),
    ],
)
async def test_the_token_endpoint_refuses_in_the_words_of_the_rfc(
    gateway: TokenGateway, body: str, headers: list[str], status: int, error: str
) -> None:
    answer = await post(gateway, "/oauth2/token", body, *headers)
    assert (answer.status, answer.json()["error"]) == (status, error)
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("X-Request-Id")


@pytest.mark.parametrize("path", ["/oauth2/token", "/oauth2/revoke", "/oauth2/introspect"])
@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        pytest.param("", [FORM, BASIC, BASIC], 400, id="two credentials"),
        pytest.param("", [FORM, BASIC, "authorization: Bearer x"], 400, id="two kinds of them"),
        pytest.param("?access_token=x", [FORM, BASIC], 400, id="a credential in the URL"),
        pytest.param("", [FORM, BASIC, "Content-Encoding: br"], 415, id="an unknown coding"),
        pytest.param("", [FORM, BASIC, "Content-Encoding: gzip"], 400, id="no gzip"),
    ],
)
async def test_whatever_is_wrong_is_said_in_the_words_of_the_rfc(
    gateway: TokenGateway, path: str, query: str, headers: list[str], status: int
) -> None:
    answer = await post(gateway, path + query, ISSUE, *headers)
    assert (answer.status, answer.json()["error"]) == (status, "invalid_request")
    assert answer.json()["error_description"]


async def test_a_gate_that_token_endpoints_pass_holds_for_the_next_request(
    gateway: TokenGateway,
) -> None:
    head = f"{BASIC}\r\n{BASIC}\r\nHost: test\r\n"
    async with connected(gateway.gateway) as client:
        sent = f"POST /oauth2/token HTTP/1.1\r\n{head}Content-Length: 0\r\n\r\n"
        await client.send(sent)
        assert (await client.answer()).json()["error"] == "invalid_request"
        await client.send(f"GET /v1/echo/hello HTTP/1.1\r\n{head}\r\n")
        assert (await client.answer()).status == 400


@pytest.mark.parametrize("size", [1, 7, 4000])
async def test_a_form_in_chunks_is_read(gateway: TokenGateway, size: int) -> None:
    parts = [ISSUE[at : at + size] for at in range(0, len(ISSUE), size)]
    chunks = "".join(f"{len(part):x}\r\n{part}\r\n" for part in parts)
    head = "POST /oauth2/token HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n"
    async with connected(gateway.gateway) as client:
        await client.send(f"{head}{FORM}\r\n{BASIC}\r\n\r\n")
        await client.send(f"{chunks}0\r\n\r\n")
        answer = await client.answer()
    assert answer.status == 200
    assert answer.json()["access_token"].startswith("gwt_")


async def test_a_form_in_chunks_is_no_longer_than_another(gateway: TokenGateway) -> None:
    head = "POST /oauth2/token HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n"
    async with connected(gateway.gateway) as client:
        await client.send(f"{head}{FORM}\r\n{BASIC}\r\n\r\n")
        await client.send(f"5000\r\na={'x' * 0x4FFE}\r\n")
        answer = await client.answer()
    assert (answer.status, answer.json()["error"]) == (413, "invalid_request")


@pytest.mark.parametrize("path", ["/oauth2/token", "/oauth2/revoke", "/oauth2/introspect"])
async def test_a_get_issues_nothing(gateway: TokenGateway, path: str) -> None:
    answer = await get(gateway, BASIC, path=path)
    assert (answer.status, answer.header("Allow")) == (405, "OPTIONS, POST")


@pytest.mark.parametrize("path", ["/oauth2/revoke", "/oauth2/introspect"])
async def test_a_token_says_nothing_to_who_is_not_its_client(
    gateway: TokenGateway, path: str
) -> None:
    token = (await gateway.issue())["access_token"]
    for body, headers in ((f"token={token}", [FORM]), (f"token={token}&client_id=demo", [FORM])):
        answer = await post(gateway, path, body, *headers)
        assert (answer.status, answer.json()["error"]) == (401, "invalid_client")
    assert (await gateway.call(token)).status == 200


async def test_unknown_and_wrong_clients_are_told_the_same(gateway: TokenGateway) -> None:
    form = {"grant_type": "client_credentials"}
    wrong = await gateway.post("/oauth2/token", secret="wrong", **form)
    unknown = await gateway.post("/oauth2/token", client="nobody", **form)
    assert (wrong.status, wrong.body) == (unknown.status, unknown.body) == (401, wrong.body)


async def test_a_refresh_token_is_no_use_to_another_client(gateway: TokenGateway) -> None:
    issued = await gateway.issue()
    stolen = await gateway.refresh(issued["refresh_token"], client="other")
    assert (stolen.status, stolen.body["error"]) == (400, "invalid_grant")
    assert (await gateway.refresh(issued["refresh_token"])).status == 200


async def test_who_is_no_client_learns_nothing_of_a_refresh_token(gateway: TokenGateway) -> None:
    issued = await gateway.issue()
    renewed = (await gateway.refresh(issued["refresh_token"])).body
    for token in (issued["refresh_token"], renewed["refresh_token"], "gwr_x"):
        answer = await gateway.refresh(token, secret="wrong")
        assert answer.status in (401, 429)
    # Nor can they revoke a login with a token that was used up.
    assert (await gateway.call(renewed["access_token"])).status == 200


async def test_a_replayed_refresh_token_ends_the_login(gateway: TokenGateway) -> None:
    issued = await gateway.issue()
    renewed = (await gateway.refresh(issued["refresh_token"])).body
    replayed = await gateway.refresh(issued["refresh_token"])
    assert replayed.body["error"] == "invalid_grant"
    assert "used before" in replayed.body["error_description"]
    assert (await gateway.refresh(renewed["refresh_token"])).body["error"] == "invalid_grant"


async def test_guessing_a_clients_secret_gets_slow(gateway: TokenGateway) -> None:
    form = {"grant_type": "client_credentials"}
    answers = [await gateway.post("/oauth2/token", secret=f"{n}", **form) for n in range(5)]
    assert [answer.status for answer in answers] == [401, 401, 401, 429, 429]
    assert answers[-1].body["error"] == "slow_down"
    assert int(answers[-1].headers["Retry-After"]) == 100
    right = await gateway.post("/oauth2/token", **form)
    assert right.status == 429
    assert (await gateway.post("/oauth2/token", client="other", **form)).status == 200


async def test_a_made_up_user_gives_no_more_guesses_at_a_client(gateway: TokenGateway) -> None:
    form = {"grant_type": "client_credentials"}
    for number in range(3):
        await gateway.post("/oauth2/token", secret="wrong", username=f"{number}", **form)
    assert (await gateway.post("/oauth2/token", **form)).status == 429


async def test_guessing_a_users_password_gets_slow_for_that_user(open_gateways: Open) -> None:
    gateway = await open_gateways("memory:", tokens={"failures": 3, "allow_password": True})
    form: dict[str, Any] = {"grant_type": "password", "username": "ada"}
    for number in range(3):
        answer = await gateway.post("/oauth2/token", password=f"{number}", **form)
        assert answer.body["error"] == "invalid_grant"
    assert (await gateway.post("/oauth2/token", password=PASSWORD, **form)).status == 429
    assert await gateway.issue()


async def test_expired_refresh_tokens_lock_no_client_out(gateway: TokenGateway) -> None:
    for _ in range(10):
        assert (await gateway.refresh(new_secret("gwr"))).body["error"] == "invalid_grant"
    assert await gateway.issue()


async def test_names_cannot_forge_lines_of_the_log(open_gateways: Open, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    gateway = await open_gateways("memory:", log=str(log))
    await post(
        gateway,
        "/oauth2/token",
        ISSUE,
        FORM,
        f"Authorization: {basic('x' + chr(10) + 'forged', 'y')}",
        'User-Agent: "}{"forged": "1',
    )
    await gateway.post("/oauth2/token", grant_type="a\nforged", scope="x\nforged")
    await until(lambda: len(log.read_text().splitlines()) >= 2)
    lines = log.read_text().splitlines()
    assert len(lines) == 2
    assert not [line for line in lines if line.startswith(("forged", '{"forged'))]

"""Whatever a request looks like: a method that asks for a scope gets no call without it."""

import asyncio

import pytest

from tests.integration.tokens.conftest import Open
from tests.support.http import Answer, RawClient
from tests.support.tokens import TokenGateway

POLICIES = [
    {"selector": "echo.v1.*", "scopes": {"all": ["write"]}},
    {"selector": "echo.v1.EchoService.Fail", "anonymous": True},
]
ECHO = "/v1/echo/hello"
OVERRIDES = "X-HTTP-Method-Override: GET\r\nX-HTTP-Method: GET\r\nX-Method-Override: GET\r\n"
SPOOFED = (
    "X-Principal: users/ada\r\nX-Principal-Scopes: write\r\nX-Principal-Client: demo\r\n"
    "Grpc-Metadata-X-Principal: users/ada\r\nGrpc-Metadata-X-Principal-Scopes: write\r\n"
)


@pytest.fixture
async def gateway(open_gateways: Open) -> TokenGateway:
    return await open_gateways("memory:", anonymous=False, policies=POLICIES)


async def ask(gateway: TokenGateway, start: str, fields: str = "", body: str = "") -> Answer:
    """What comes of a request that is sent byte for byte."""
    host, _, port = gateway.gateway.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        client = RawClient(reader, writer)
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        await client.send(f"{start} HTTP/1.1\r\nHost: test\r\n{fields}{length}\r\n{body}")
        return await client.answer(head_only=start.startswith("HEAD"))
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("start", "status"),
    [
        pytest.param(f"GET {ECHO}", 401, id="plainly"),
        pytest.param(f"HEAD {ECHO}", 401, id="HEAD goes where GET goes"),
        pytest.param(f"get {ECHO}", 501, id="a method in small letters"),
        pytest.param(f"OPTIONS {ECHO}", 204, id="OPTIONS says what there is and calls nothing"),
        pytest.param(f"TRACE {ECHO}", 405, id="TRACE"),
        pytest.param(f"DELETE {ECHO}", 405, id="a method that is not served"),
        pytest.param(f"GET http://elsewhere{ECHO}", 401, id="a target in absolute form"),
        pytest.param(f"GET {ECHO}?text=other", 401, id="the variable again in the query"),
        pytest.param("GET /v1/echo/hel%6Co", 401, id="an escaped letter"),
        pytest.param("GET /v1/%65cho/hello", 401, id="an escaped letter of the template"),
        pytest.param(f"GET {ECHO};role=admin", 401, id="matrix parameters"),
        pytest.param(f"GET {ECHO}/", 404, id="a slash at the end"),
        pytest.param("GET //v1/echo/hello", 404, id="two slashes at the start"),
        pytest.param("GET /v1//echo/hello", 404, id="two slashes"),
        pytest.param("GET /v1/./echo/hello", 400, id="a dot segment"),
        pytest.param("GET /v1/x/../echo/hello", 400, id="two dots"),
        pytest.param("GET /v1/x/%2e%2e/echo/hello", 400, id="escaped dots"),
        pytest.param("GET /v1/echo%2Fhello", 404, id="an escaped slash"),
        pytest.param("GET /v1%2Fecho/hello", 404, id="an escaped slash of the template"),
        pytest.param("GET /v1\\echo\\hello", 404, id="backslashes"),
        pytest.param("GET /V1/Echo/hello", 404, id="other letters"),
        pytest.param("GET /v1/echo/%00", 400, id="a NUL"),
        pytest.param("GET /v1/echo/%C0%AF", 400, id="an overlong slash"),
        pytest.param("GET /v1/echo/%zz", 400, id="an escape that is none"),
        pytest.param("PURGE /v1/echo/any/x", 401, id="another binding, any method"),
        pytest.param("GET /v1/echo/any/..%2Fx", 401, id="dots where anything may stand"),
        pytest.param("POST /echo.v1.EchoService/Echo", 404, id="as gRPC names it"),
    ],
)
async def test_no_way_leads_past_the_policy(gateway: TokenGateway, start: str, status: int) -> None:
    answer = await ask(gateway, start, SPOOFED)
    assert answer.status == status, answer.body
    assert b"metadata" not in answer.body


async def test_another_binding_is_the_same_method(gateway: TokenGateway) -> None:
    json = "Content-Type: application/json\r\n"
    assert (await ask(gateway, "POST /v1/echo", json, '{"text":"hello"}')).status == 401


async def test_no_header_makes_one_method_another(gateway: TokenGateway) -> None:
    answer = await ask(gateway, "POST /v1/echo:fail", OVERRIDES, '{"code":5}')
    assert answer.status == 404  # what was asked for, which is open to all
    assert (await ask(gateway, f"GET {ECHO}?_method=OPTIONS", OVERRIDES)).status == 401


async def test_a_stream_asks_before_it_begins(gateway: TokenGateway) -> None:
    for accept in ("application/x-ndjson", "text/event-stream", "application/json"):
        answer = await ask(gateway, f"GET {ECHO}:repeat?count=2", f"Accept: {accept}\r\n")
        assert answer.status == 401, accept


async def test_a_websocket_asks_before_it_opens(gateway: TokenGateway) -> None:
    upgrade = (
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    target = f"{ECHO}:repeat?count=2"
    assert (await ask(gateway, f"GET {target}", upgrade + SPOOFED)).status == 401
    assert (await ask(gateway, f"GET {ECHO}", upgrade)).status == 400  # no stream, so no socket


async def test_of_two_credentials_neither_counts(gateway: TokenGateway) -> None:
    good = f"Authorization: Bearer {(await gateway.issue(scope='write'))['access_token']}\r\n"
    for fields in (good + good, good + "authorization: Basic eA==\r\n"):
        assert (await ask(gateway, f"GET {ECHO}", fields)).status == 400


async def test_whoever_was_granted_too_little_is_told_what_it_takes(
    gateway: TokenGateway,
) -> None:
    token = (await gateway.issue(scope="read"))["access_token"]
    answer = await gateway.call(token, **{"X-Principal-Scopes": "write"})
    assert answer.status == 403
    challenge = 'Bearer error="insufficient_scope", scope="write"'
    assert answer.headers["WWW-Authenticate"] == challenge
    (detail,) = answer.body["error"]["details"]
    assert (detail["reason"], detail["metadata"]["scopes"]) == ("INSUFFICIENT_SCOPE", "write")


async def test_whoever_was_granted_enough_is_served(gateway: TokenGateway) -> None:
    token = (await gateway.issue(scope="read write"))["access_token"]
    answer = await gateway.call(token)
    assert answer.status == 200, answer.body


async def test_a_bad_credential_is_refused_even_where_anyone_may_call(
    gateway: TokenGateway,
) -> None:
    shown = "Authorization: Bearer gwt_no_such_token\r\n"
    assert (await ask(gateway, "POST /v1/echo:fail", shown, "{}")).status == 401

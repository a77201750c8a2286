"""What browsers are told: before a call, with its answer, and with a refusal."""

import asyncio
from typing import Any

import pytest

from gateway.app.gateway import Gateway
from tests.support.http import Answer, RawClient, connected, echo_gateway

APP = "https://app.example.com"
ECHO = "/v1/echo/hello"


async def ask(gateway: Gateway, start: str, *fields: str) -> Answer:
    async with connected(gateway) as client:
        lines = "".join(f"{field}\r\n" for field in fields)
        await client.send(f"{start} HTTP/1.1\r\nHost: test\r\n{lines}\r\n")
        return await client.answer(head_only=start.startswith("HEAD"))


async def preflight(gateway: Gateway, path: str, origin: str, *fields: str) -> Answer:
    asked = (f"Origin: {origin}", "Access-Control-Request-Method: GET")
    return await ask(gateway, f"OPTIONS {path}", *asked, *fields)


def told(answer: Answer) -> dict[str, str]:
    """What an answer says of CORS."""
    prefix = "access-control-"
    fields = [(n.lower(), v) for n, v in answer.headers if n.lower().startswith(prefix)]
    assert len(dict(fields)) == len(fields), fields
    return {name.removeprefix(prefix): value for name, value in fields}


def varies(answer: Answer) -> set[str]:
    values = [value for name, value in answer.headers if name.lower() == "vary"]
    return {one.strip().lower() for value in values for one in value.split(",")}


@pytest.mark.parametrize(
    ("allowed", "origin"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("https://*.example.com", "https://a.b.example.com"),
        ("http://localhost:*", "http://localhost:5173"),
        ("regex:https://pr-[0-9]+\\.example\\.com", "https://pr-17.example.com"),
        ("null", "null"),
    ],
)
async def test_a_page_of_an_origin_that_is_allowed_may_read(allowed: str, origin: str) -> None:
    async with echo_gateway(cors={"origins": [allowed]}) as gateway:
        answer = await ask(gateway, f"GET {ECHO}", f"Origin: {origin}")
    assert answer.status == 200
    assert told(answer)["allow-origin"] == origin
    assert "allow-credentials" not in told(answer)
    exposed = told(answer)["expose-headers"].split(", ")
    assert {"RateLimit", "ETag", "Link", "Operation-Location"} <= set(exposed)
    assert "Preference-Applied" in exposed
    assert "origin" in varies(answer)


@pytest.mark.parametrize(
    ("allowed", "origin"),
    [
        ("https://app.example.com", "http://app.example.com"),
        ("https://app.example.com", "https://app.example.com:8443"),
        ("https://app.example.com", "https://app.example.com.evil.test"),
        ("https://*.example.com", "https://example.com"),
        ("https://*.example.com", "https://evilexample.com"),
        ("https://*.example.com", "https://evil.test/.example.com"),
        ("http://localhost:*", "http://localhost"),
        ("regex:https://pr-[0-9]+\\.example\\.com", "https://pr-1.example.com.evil.test"),
        ("regex:https://pr-[0-9]+\\.example\\.com", "https://pr-1xexample.com"),
        ("https://app.example.com", "null"),
    ],
)
async def test_a_page_of_any_other_may_not(allowed: str, origin: str) -> None:
    async with echo_gateway(cors={"origins": [allowed]}) as gateway:
        answer = await ask(gateway, f"GET {ECHO}", f"Origin: {origin}")
        before = await preflight(gateway, ECHO, origin)
    assert (told(answer), told(before)) == ({}, {})
    assert "origin" in varies(answer)  # a cache must not hand one page's answer to another


async def test_who_sends_no_origin_is_told_nothing_but_caches_are() -> None:
    async with echo_gateway(cors={"origins": [APP]}) as gateway:
        answer = await ask(gateway, f"GET {ECHO}")
    assert (answer.status, told(answer)) == (200, {})
    assert "origin" in varies(answer)


async def test_everybody_may_read_where_a_star_says_so() -> None:
    async with echo_gateway(cors={"origins": ["*"]}) as gateway:
        answer = await ask(gateway, f"GET {ECHO}", "Origin: https://any.test")
    assert told(answer)["allow-origin"] == "*"
    assert "origin" not in varies(answer)


async def test_before_a_call_a_browser_learns_what_it_may_send() -> None:
    cors: dict[str, Any] = {
        "origins": [APP],
        "credentials": True,
        "allow_headers": ["Authorization", "X-Tenant"],
        "max_age_s": 60,
        "private_network": True,
    }
    # Guards are asked nothing: a browser shows no credential yet.
    async with echo_gateway(cors=cors, auth={"store": "memory:"}) as gateway:
        asks = "Access-Control-Request-Private-Network: true"
        answer = await preflight(gateway, ECHO, APP, asks)
    assert (answer.status, answer.body) == (204, b"")
    said = told(answer)
    assert set(said.pop("expose-headers").split(", ")) >= {"RateLimit"}
    assert said == {
        "allow-origin": APP,
        "allow-credentials": "true",
        "allow-methods": "GET, HEAD, OPTIONS",
        "allow-headers": "Authorization, X-Tenant",
        "allow-private-network": "true",
        "max-age": "60",
    }
    assert {"origin", "access-control-request-method"} <= varies(answer)


async def test_a_star_for_headers_names_those_that_are_asked_for() -> None:
    options = {"origins": [APP], "allow_headers": ["*"]}
    async with echo_gateway(cors=options) as gateway:
        named = "Access-Control-Request-Headers: authorization,x-tenant"
        answer = await preflight(gateway, ECHO, APP, named)
        odd = await preflight(gateway, ECHO, APP, "Access-Control-Request-Headers: a b;c")
    assert told(answer)["allow-headers"] == "authorization,x-tenant"
    assert "allow-headers" not in told(odd)


async def test_what_is_not_served_is_not_allowed() -> None:
    async with echo_gateway(cors={"origins": [APP]}) as gateway:
        answer = await preflight(gateway, "/v1/nowhere", APP)
        plain = await ask(gateway, f"OPTIONS {ECHO}", f"Origin: {APP}")
    assert answer.status == 404
    assert "allow-methods" not in told(answer)
    assert plain.status == 204  # no preflight: just a question what there is
    assert "allow-methods" not in told(plain)


async def test_a_page_can_read_why_it_was_refused() -> None:
    async with echo_gateway(cors={"origins": [APP]}, auth={"store": "memory:"}) as gateway:
        answer = await ask(gateway, f"GET {ECHO}", f"Origin: {APP}")
    assert answer.status == 401
    assert told(answer)["allow-origin"] == APP


@pytest.mark.parametrize(
    "more", ["", "A: b\r\n" * 3, "Expect: 200-ok\r\n"], ids=["plain", "more", "bad"]
)
async def test_a_page_can_read_that_its_connection_is_over_its_rate(more: str) -> None:
    limits = {"connection_requests_per_s": 1}
    request = f"GET {ECHO} HTTP/1.1\r\nHost: test\r\nOrigin: {APP}\r\n{more}\r\n"
    async with (
        echo_gateway(cors={"origins": [APP]}, limits=limits) as gateway,
        connected(gateway) as client,
    ):
        await client.send(request * 2)
        await client.answer()
        answer = await client.answer()
    assert (answer.status, told(answer)["allow-origin"]) == (429, APP)


async def test_a_stream_says_so_before_it_begins() -> None:
    async with echo_gateway(cors={"origins": [APP]}) as gateway:
        events = "Accept: text/event-stream"
        answer = await ask(gateway, f"GET {ECHO}:repeat?count=1", f"Origin: {APP}", events)
    assert told(answer)["allow-origin"] == APP


async def test_a_back_end_has_no_say_in_it() -> None:
    async with echo_gateway(cors={"origins": [APP]}) as gateway, connected(gateway) as client:
        answer = await _with_metadata(client, "access-control-allow-origin", "https://evil.test")
    assert (answer.status, told(answer)) == (200, {})


async def _with_metadata(client: RawClient, name: str, value: str) -> Answer:
    body = f'{{"headers":[{{"name":"{name}","value":"{value}"}}]}}'
    await client.send(
        "POST /v1/echo:sendMetadata HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    return await client.answer()


@pytest.mark.parametrize(
    ("start", "fields", "status"),
    [
        pytest.param(f"GET {ECHO}?{'a' * 8200}", [], 414, id="a target that is a little too long"),
        pytest.param(f"GET {ECHO}?{'a' * 20_000}", [], 414, id="a target that is far too long"),
        pytest.param(f"GET {ECHO}", [f"X-A: {'a' * 20_000}"], 431, id="a long field"),
        pytest.param(f"GET {ECHO}", [f"X-{n}: {'a' * 15_000}" for n in range(5)], 431, id="in all"),
        pytest.param(f"GET {ECHO}", [f"X-{n}: a" for n in range(200)], 431, id="many fields"),
        pytest.param(f"GET {ECHO}", ["Expect: a-cake"], 417, id="an expectation"),
        pytest.param("GET nothing", [], 400, id="no target"),
        pytest.param(f"GET {ECHO}", ["X : a"], 400, id="malformed"),
    ],
)
@pytest.mark.parametrize(("origin", "may"), [(APP, True), ("https://evil.example", False)])
async def test_a_page_may_read_why_its_request_was_none(
    start: str, fields: list[str], status: int, origin: str, may: bool
) -> None:
    async with echo_gateway(cors={"origins": [APP]}) as gateway:
        answer = await ask(gateway, start, f"Origin: {origin}", *fields)
    assert answer.status == status
    assert told(answer).get("allow-origin") == (APP if may else None)
    assert "origin" in varies(answer)


SMALL = {"url_bytes": 100, "header_bytes": 200, "headers_total_bytes": 400, "header_count": 10}
BEFORE = (
    b"",
    b"POST /v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /v1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
)
MANY = "X: b\r\n" * 60
TOO_LARGE = (
    (414, f"GET /v1/echo/a?{'a' * 90} HTTP/1.1\r\nHost: a\r\nOrigin: {APP}\r\nX: b\r\n\r\n"),
    (414, f"GET /v1/echo/a?{'a' * 800} HTTP/1.1\r\nHost: a\r\nOrigin: {APP}\r\nX: b\r\n\r\n"),
    (431, f"GET /v1/echo/a HTTP/1.1\r\nHost: a\r\nOrigin: {APP}\r\nX: {'b' * 800}\r\n\r\n"),
    (431, f"GET /v1/echo/a HTTP/1.1\r\nHost: a\r\nX: {'b' * 800}\r\nOrigin: {APP}\r\n\r\n"),
    (431, f"GET /v1/echo/a HTTP/1.1\r\nHost: a\r\norigin:{APP} \r\n{MANY}\r\n"),
    (431, f"GET /v1/echo/a HTTP/1.1\r\nHost: a\r\n{MANY}Origin: {APP}\r\n\r\n"),
)


async def refused_in_pieces(gateway: Gateway, before: bytes, pieces: list[bytes]) -> Answer:
    async with connected(gateway) as client:
        if before:
            # The piece that ends the request before begins the one that is too large.
            await client.send(before[:-1])
            pieces = [before[-1:] + pieces[0][:9], pieces[0][9:], *pieces[1:]]
        for piece in pieces:
            await client.send(piece)
            await asyncio.sleep(0.001)
        if before:
            assert (await client.answer()).status == 200
        return await client.answer()


@pytest.mark.parametrize(("status", "text"), TOO_LARGE)
@pytest.mark.parametrize("before", BEFORE, ids=["first", "after a length", "after chunks"])
async def test_a_head_that_is_too_large_may_be_cut_anywhere(
    status: int, text: str, before: bytes
) -> None:
    raw = text.encode()
    cuts = [raw.index(b"\r\n") + 1, *range(20, len(raw), 97), len(raw) - 3, len(raw) - 1]
    ways = [[raw[:cut], raw[cut:]] for cut in cuts] + [[raw[i : i + 1] for i in range(len(raw))]]
    async with echo_gateway(cors={"origins": [APP]}, limits=SMALL) as gateway:
        for pieces in ways:
            answer = await refused_in_pieces(gateway, before, pieces)
            assert answer.status == status
            assert told(answer).get("allow-origin") == APP, pieces[0]


async def test_a_head_that_is_too_large_and_never_ends_is_refused_in_time() -> None:
    limits = SMALL | {"header_timeout_s": 0.5}
    async with echo_gateway(cors={"origins": [APP]}, limits=limits) as gateway:
        async with connected(gateway) as client:
            await client.send(f"GET / HTTP/1.1\r\nHost: a\r\nOrigin: {APP}\r\nX: {'b' * 800}")
            answer = await client.answer()
        async with connected(gateway) as client:
            await client.send(b"GET /" + b"a" * 100_000)
            endless = await client.answer()
    assert (answer.status, told(answer).get("allow-origin")) == (431, APP)
    assert endless.status == 414

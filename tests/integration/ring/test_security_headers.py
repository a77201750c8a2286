"""The headers that tell browsers to be careful."""

import pytest

from tests.support.http import connected, echo_gateway

ECHO = "/v1/echo/hello"
ALL = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
PROXY = {"trusted_proxies": ["127.0.0.1/32"]}


@pytest.mark.parametrize(
    "path", [ECHO, "/v1/nowhere", f"{ECHO}:repeat?count=1", "/v1/echo/%zz"],
    ids=["an answer", "a refusal", "a stream", "a malformed path"],
)  # fmt: skip
async def test_every_response_has_them_once(path: str) -> None:
    async with echo_gateway() as gateway, connected(gateway) as client:
        answer = await client.get(path)
    fields = [(name.lower(), value) for name, value in answer.headers]
    assert [(n, v) for n, v in sorted(fields) if n in ALL] == sorted(ALL.items())
    assert answer.header("Strict-Transport-Security") is None


async def test_so_has_what_was_not_even_a_request() -> None:
    async with echo_gateway() as gateway, connected(gateway) as client:
        await client.send("nonsense\r\n\r\n")
        answer = await client.answer()
    assert (answer.status, answer.header("X-Content-Type-Options")) == (400, "nosniff")


async def test_a_back_end_knows_what_it_sends() -> None:
    body = b'{"headers":[{"name":"cache-control","value":"max-age=60"}]}'
    async with echo_gateway() as gateway, connected(gateway) as client:
        await client.send(
            b"POST /v1/echo:sendMetadata HTTP/1.1\r\nHost: test\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        answer = await client.answer()
    assert [v for n, v in answer.headers if n.lower() == "cache-control"] == ["max-age=60"]
    assert answer.header("Referrer-Policy") == "no-referrer"


async def test_settings_change_leave_out_and_add() -> None:
    options = {
        "content_security_policy": "default-src 'self'",
        "cache_control": "",
        "more": {"X-Robots-Tag": "noindex"},
    }
    async with echo_gateway(security_headers=options) as gateway, connected(gateway) as client:
        answer = await client.get(ECHO)
    assert answer.header("Content-Security-Policy") == "default-src 'self'"
    assert answer.header("Cache-Control") is None
    assert answer.header("X-Robots-Tag") == "noindex"


async def test_they_can_be_turned_off() -> None:
    options = {"enabled": False}
    async with echo_gateway(security_headers=options) as gateway, connected(gateway) as client:
        assert (await client.get(ECHO)).header("X-Content-Type-Options") is None


@pytest.mark.parametrize(
    ("forwarded", "field", "is_sent"),
    [
        pytest.param(PROXY, "X-Forwarded-Proto: https", True, id="a trusted proxy says https"),
        pytest.param(PROXY, "X-Forwarded-Proto: http", False, id="a trusted proxy says http"),
        pytest.param({}, "X-Forwarded-Proto: https", False, id="anybody says https"),
    ],
)
async def test_hsts_is_for_those_who_speak_tls(
    forwarded: dict[str, list[str]], field: str, is_sent: bool
) -> None:
    async with echo_gateway(forwarded=forwarded) as gateway, connected(gateway) as client:
        answer = await client.get(ECHO, field)
    assert (answer.header("Strict-Transport-Security") is not None) is is_sent

"""Heads that no server should pass on, and those that servers pass on in several ways."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway import Config, GatewayASGI
from services import echo
from services.serving import serve

Fields = list[tuple[bytes, bytes]]
GOOD: Fields = [(b"host", b"a.example")]


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[GatewayASGI]:
    async with serve(echo.register) as target:
        defaults = {
            "modules": ["gen.echo.v1"],
            "upstreams": {"echo": {"target": target}},
            "log": {"access": "off"},
        }
        app = GatewayASGI(Config.model_validate(defaults | settings))
        async with app.open():
            yield app


async def ask(app: GatewayASGI, body: bytes | None = None, **scope: Any) -> tuple[int, bytes]:
    """The status and the body of the answer to one request, as a server asks."""
    events = [{"type": "http.request", "body": body or b"", "more_body": False}]
    sent: list[Any] = []
    is_answered = asyncio.Event()

    async def receive() -> Any:
        if events:
            return events.pop(0)
        await is_answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.body":
            is_answered.set()

    defaults = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/v1/echo/a",
        "query_string": b"",
        "headers": GOOD,
        "client": ("127.0.0.1", 1),
    }
    await app(defaults | scope, receive, send)
    assert [one["type"] for one in sent] == ["http.response.start", "http.response.body"]
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize(
    ("scope", "status", "told"),
    [
        ({"method": "GE T"}, 400, b"one token"),
        ({"method": ""}, 400, b"one token"),
        ({"raw_path": b"/v1/echo/a b"}, 400, b"without blanks"),
        ({"raw_path": b"/v1/echo/a\r\nX: y"}, 400, b"without blanks"),
        ({"raw_path": b"/v1/echo/\xc3\xa9"}, 400, b"ASCII"),
        ({"raw_path": b"v1/echo/a"}, 400, b"starts with /"),
        ({"raw_path": b""}, 400, b"path and query"),
        ({"raw_path": b"/v1/echo/a", "query_string": b"text=a b"}, 400, b"without blanks"),
        ({"raw_path": b"/v1/echo/a#b"}, 400, b"fragment"),
        ({"raw_path": b"/v1/echo/" + b"a" * 300}, 414, b"longer than 200"),
        ({"headers": [*GOOD, (b"x\r\ny", b"1")]}, 400, b"tokens"),
        ({"headers": [*GOOD, (b"x-a", b"1\r\nx-b: 2")]}, 400, b"x-a contains control"),
        ({"headers": [*GOOD, (b"x-a", b"\0")]}, 400, b"x-a contains control"),
        ({"headers": [*GOOD, *GOOD]}, 400, b"several Host"),
        ({"headers": [(b"host", b"a b")]}, 400, b"no valid host"),
        ({"headers": [*GOOD, (b"content-length", b"+1")]}, 400, b"Content-Length"),
        ({"headers": [*GOOD, (b"transfer-encoding", b"gzip")]}, 501, b"chunked"),
        ({"headers": [*GOOD, (b"expect", b"more")]}, 417, b"100-continue"),
        ({"headers": [*GOOD, (b"x-a", b"b" * 600)]}, 431, b"longer than 500"),
        ({"headers": [*GOOD, *[(b"x-a", b"b" * 400)] * 5]}, 431, b"longer than 1000"),
        ({"headers": [*GOOD, *[(b"x-a", b"")] * 50]}, 431, b"more than 40"),
    ],
)
async def test_a_head_that_is_not_right_is_refused(
    scope: dict[str, Any], status: int, told: bytes
) -> None:
    limits = {
        "url_bytes": 200,
        "header_bytes": 500,
        "headers_total_bytes": 1000,
        "header_count": 40,
    }
    async with opened(limits=limits) as app:
        seen, body = await ask(app, **scope)
        assert (seen, told in body) == (status, True), body


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        ({"path": "/v1/echo/é ?"}, "é ?".encode()),
        ({"path": "/v1/echo/a/b", "raw_path": b"/v1/echo/a%2Fb"}, b"a/b"),
        ({"path": "/r/v1/echo/a", "raw_path": b"/r/v1/echo/a", "root_path": "/r"}, b"a"),
        ({"path": "/r/v1/echo/a", "raw_path": b"/%72/v1/echo/a", "root_path": "/r/"}, b"a"),
        ({"raw_path": b"/v1/echo/removed", "root_path": "/r"}, b"removed"),
        ({"raw_path": b"http://b.example/v1/echo/a"}, b"a"),
        ({"client": None}, b"a"),
        ({"http_version": "2", "headers": [(b"host", b"a")]}, b"a"),
    ],
)
async def test_paths_come_in_several_ways(scope: dict[str, Any], text: bytes) -> None:
    async with opened() as app:
        status, body = await ask(app, **scope)
        assert status == 200, body
        assert b'"text":"' + text + b'"' in body


async def test_the_root_must_be_whole_segments() -> None:
    async with opened() as app:
        assert (await ask(app, raw_path=b"/v1/echo/a", root_path="/v1/ec"))[0] == 200
        assert (await ask(app, raw_path=b"/v1/%zz", root_path="/v1/ec"))[0] == 400


async def test_a_body_over_http2_needs_no_length() -> None:
    fields = [*GOOD, (b"content-type", b"application/json")]
    async with opened() as app:
        status, body = await ask(
            app, b'{"text":"a"}', http_version="2", method="POST", path="/v1/echo", headers=fields
        )
        assert (status, b'"text":"a"' in body) == (200, True), body
        status, body = await ask(app, b"{}", http_version="2")
        assert (status, b"takes no body" in body) == (400, True), body

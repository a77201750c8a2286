"""HTTP/1.1 to the letter where the parser leaves it to its user."""

import asyncio

import pytest

from gateway.call import Reply
from tests.support.front_end import FrontEnd, get, post

CHUNKS = b"d\r\n" + b'{"text": "b"}' + b"\r\n0\r\n\r\n"


def of_old(*fields: str, version: str = "1.0") -> bytes:
    lines = [f"POST /v1/items HTTP/{version}", "Host: gateway.test", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + CHUNKS


async def test_an_old_version_with_a_transfer_coding_is_the_last(front_end: FrontEnd) -> None:
    async with front_end.connected() as client:
        smuggled = get("/v1/items/smuggled")
        await client.send(of_old("Connection: keep-alive", "Transfer-Encoding: chunked") + smuggled)
        assert (await client.answer()).closes
        assert await client.is_closed()
    assert len(front_end.upstream.calls) <= 1


@pytest.mark.parametrize("coding", ["gzip, chunked", "foo, chunked", "identity,chunked"])
async def test_a_transfer_coding_that_is_not_known_is_not_implemented(
    front_end: FrontEnd, coding: str
) -> None:
    answer = await front_end.ask(of_old(f"Transfer-Encoding: {coding}", version="1.1"))
    assert answer.status == 501
    assert "expected Transfer-Encoding: chunked" in answer.json["error"]["message"]
    assert not front_end.upstream.calls


async def test_chunked_is_known_in_any_case(front_end: FrontEnd) -> None:
    answer = await front_end.ask(of_old("Transfer-Encoding: Chunked", version="1.1"))
    assert (answer.status, answer.json["text"]) == (200, "b")


NO_HOSTS = [
    *("a/b", "a b", "a@b", "a?b", "a#b", "a,b", "a:b", "a:1:2", ":x", "a:99999", "a:123456"),
    *(
        "[::1",
        "::1",
        "[::zz]",
        "[1:2]",
        "[]",
        "a\\b",
        "http://a",
        "a%zz",
        "caf\u00e9",
        '"a"',
        "a<b",
    ),
    *("x" * 256, "{a}", "a|b", "a^b", "a`b", "[::1]x", "a, b"),
]


@pytest.mark.parametrize("host", NO_HOSTS)
@pytest.mark.parametrize("target", ["/v1/items/a", "http://real.test/v1/items/a"])
async def test_a_host_that_is_none_is_refused(front_end: FrontEnd, host: str, target: str) -> None:
    request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1")
    assert (await front_end.ask(request)).status == 400
    assert not front_end.upstream.calls


@pytest.mark.parametrize(
    "host",
    [
        *("a", "a.b:80", "a:", "127.0.0.1:8080", "[::1]", "[::1]:8080", "a_b", "a%20b", "", "A.B."),
        *("xn--bcher-kva.example", "[::ffff:1.2.3.4]:1"),
    ],
)
async def test_a_host_is_taken(front_end: FrontEnd, host: str) -> None:
    request = f"GET /v1/items/a HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    assert (await front_end.ask(request)).status == 200


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://real.test/v1/items/a", "real.test"),
        ("HTTP://real.test:81/v1/items/a", "real.test:81"),
        ("http://real.test/v1/items/a?text=http://b@c", "real.test"),
        ("http://[::1]:8080/v1/items/a", "[::1]:8080"),
    ],
)
async def test_the_host_of_an_absolute_target_is_the_host(
    front_end: FrontEnd, target: str, host: str
) -> None:
    async with front_end.connected() as client:
        for _ in range(2):
            assert (await client.ask(get(target))).status == 200
            assert front_end.upstream.metadata["x-forwarded-host"] == host
            # The next request of the connection has a word of its own, in the same header fields.
            assert (await client.ask(get("/v1/items/a"))).status == 200
            assert front_end.upstream.metadata["x-forwarded-host"] == "gateway.test"
    assert front_end.upstream.calls[0].headers["Host"] == host


@pytest.mark.parametrize("target", ["http:///v1/items/a", "http://:80/v1/items/a", "http://a:x/"])
async def test_an_absolute_target_names_a_host(front_end: FrontEnd, target: str) -> None:
    assert (await front_end.ask(get(target))).status == 400


async def test_options_of_a_host_alone_is_of_the_server(front_end: FrontEnd) -> None:
    of_all = await front_end.ask(get("*", method="OPTIONS"))
    answer = await front_end.ask(get("http://gateway.test", method="OPTIONS"))
    assert (answer.status, answer.headers["allow"]) == (204, of_all.headers["allow"])
    for target in ("http://gateway.test/", "http://gateway.test?a"):
        assert (await front_end.ask(get(target, method="OPTIONS"))).status == 404


PACKED = Reply(b"\x12\xd0\x0f" + b"x" * 2000)


@pytest.mark.parametrize(
    "lines",
    [
        ["Accept-Encoding: br", "Accept-Encoding: gzip"],
        ["Accept-Encoding: br", "accept-encoding: gzip"],
        ["accept-encoding: identity;q=0.5", "ACCEPT-ENCODING: gzip;q=0.9"],
    ],
)
async def test_a_coding_is_looked_for_on_every_line(front_end: FrontEnd, lines: list[str]) -> None:
    front_end.upstream.answers(PACKED)
    async with front_end.connected() as client:
        for _ in range(3):  # the second and third are known by their repetition
            answer = await client.ask(get("/v1/items/a", *lines))
            assert answer.headers["content-encoding"] == "gzip"


async def test_a_coding_that_a_later_line_forbids_is_not_used(front_end: FrontEnd) -> None:
    front_end.upstream.answers(PACKED)
    lines = ["Accept-Encoding: *", "Accept-Encoding: gzip;q=0"]
    assert "content-encoding" not in (await front_end.ask(get("/v1/items/a", *lines))).headers


async def test_a_media_type_is_looked_for_on_every_line(front_end: FrontEnd) -> None:
    for lines in (
        ["Accept: text/html", "Accept: application/x-protobuf"],
        ["Accept: application/json;q=0.1", "Accept: application/x-protobuf"],
    ):
        async with front_end.connected() as client:
            for length in (2, 2, 13):  # of another length too, where the fields are remembered
                body = b"{}" if length == 2 else b'{"text": "b"}'
                answer = await client.ask(post("/v1/items", body, *lines))
                assert answer.headers["content-type"] == "application/x-protobuf"
    refused = await front_end.ask(get("/v1/items/a", "Accept: a/b", "Accept: c/d"))
    assert refused.status == 406


async def test_codings_of_a_body_are_counted_on_every_line(front_end: FrontEnd) -> None:
    for lines, status in (
        (["Content-Encoding: identity", "Content-Encoding: br"], 415),
        (["Content-Encoding: gzip", "Content-Encoding: gzip"], 415),
    ):
        answer = await front_end.ask(post("/v1/items", b"{}", *lines))
        assert (answer.status, answer.headers["accept-encoding"]) == (status, "gzip")


async def test_back_ends_see_the_lines_as_they_came(front_end: FrontEnd) -> None:
    lines = ["Accept: a/b", "Accept: */*", "If-Match: *"]
    await front_end.ask(get("/v1/items/a", *lines))
    found = [value for name, value in front_end.upstream.calls[0].metadata if name == "accept"]
    assert found == ["a/b", "*/*"]


async def test_trailers_are_asked_for_on_any_line(front_end: FrontEnd) -> None:
    front_end.upstream.answers(
        Reply(b"\x0a\x01a", trailers=[("x-sum", "7"), ("set-cookie", "a=1"), ("location", "/")])
    )
    answer = await front_end.ask(get("/v1/items/a", "TE: gzip", "TE: trailers"))
    assert answer.trailers == [("x-sum", "7")]
    assert answer.headers["trailer"] == "x-sum"


async def test_where_no_trailer_may_leave_nothing_is_chunked(front_end: FrontEnd) -> None:
    front_end.upstream.answers(Reply(b"\x0a\x01a", trailers=[("www-authenticate", "Basic")]))
    answer = await front_end.ask(get("/v1/items/a", "TE: trailers"))
    assert "transfer-encoding" not in answer.headers
    assert answer.trailers == []


NAMES = [
    *("Accept", "Accept-Encoding", "Authorization", "Content-Encoding", "Content-Type", "Cookie"),
    *("Expect", "Forwarded", "Grpc-Timeout", "If-Match", "If-None-Match", "Last-Event-ID"),
    *("Origin", "TE", "traceparent", "Upgrade", "User-Agent", "X-Api-Key", "X-Data-Bin"),
    *("X-Forwarded-Client-Cert", "X-Forwarded-For", "X-Forwarded-Host", "X-Request-Id", "Host"),
    *("Access-Control-Request-Method", "Sec-WebSocket-Protocol", "Connection", "X-Forwarded-Proto"),
]


@pytest.mark.parametrize(
    "value", [b"\xff", b"caf\xc3\xa9", b'\\"\xff', b"bearer.\xff", b"a/b;\xff"]
)
async def test_bytes_that_are_no_utf_8_are_never_our_fault(
    front_end: FrontEnd, value: bytes
) -> None:
    async with asyncio.timeout(60):
        for name in NAMES:
            for request in (
                post("/v1/items", b"{}"),
                get("/v1/files/a"),
                get("/v1/items/a", "Accept: application/x-protobuf"),
                get("/v1/items/a", "Upgrade: websocket", "Connection: Upgrade"),
            ):
                head, _, body = request.partition(b"\r\n\r\n")
                if name == "Host":
                    head = head.replace(b"Host: gateway.test\r\n", b"")
                line = f"\r\n{name}: ".encode() + value
                answer = await front_end.ask(head + line + b"\r\n\r\n" + body)
                assert answer.status < 500, (name, request)


@pytest.mark.parametrize("target", ["http://user:word@real.test/v1/items/a", "http://u@real?x=1"])
async def test_a_user_name_in_a_target_is_refused(front_end: FrontEnd, target: str) -> None:
    answer = await front_end.ask(get(target))
    assert answer.status == 400
    assert "user name" in answer.json["error"]["message"]

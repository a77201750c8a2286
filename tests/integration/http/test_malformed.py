"""What is no request is answered with a clean 400 in the one error shape, and a closed door."""

import asyncio

import pytest

from tests.support.front_end import FrontEnd, chunked, get

HOST = b"Host: a\r\n"
POST = b"POST /v1/items HTTP/1.1\r\nHost: a\r\n"
GET = b"GET /v1/items/a HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"GET /v1/items/a HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param(GET + b"Host: b\r\n\r\n", 400, id="two hosts"),
        pytest.param(b"hello\r\n\r\n", 400, id="no request line"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, id="TLS"),
        pytest.param(b"GET /v1/items/a\r\n\r\n", 505, id="HTTP/0.9"),
        pytest.param(b"GET /v1/items/a HTTP/1.2\r\n" + HOST + b"\r\n", 505, id="HTTP/1.2"),
        pytest.param(b"GET /v1/items/a HTTP/2.0\r\n" + HOST + b"\r\n", 505, id="HTTP/2.0"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="HTTP/2 preface"),
        pytest.param(b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="space in target"),
        pytest.param(b"GET /a\tb HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="tab in target"),
        pytest.param(b"GET /a\x00b HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="NUL in target"),
        pytest.param(
            b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="bare UTF-8 in target"
        ),
        pytest.param(b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="fragment"),
        pytest.param(b"GET a HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="relative target"),
        pytest.param(b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="asterisk without OPTIONS"),
        pytest.param(b"GET ftp://a/b HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="another scheme"),
        pytest.param(b"GET http:///b HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="no authority"),
        pytest.param(b"CONNECT a:80 HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="CONNECT"),
        pytest.param(b"CONNECT /v1/items HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="CONNECT a path"),
        pytest.param(b"GET /v1/items/a HTTP/3.0\r\n" + HOST + b"\r\n", 505, id="HTTP/3.0"),
        pytest.param(GET.replace(b"\r\n", b"\n") + b"\n", 400, id="bare LF"),
        pytest.param(GET + b"X: a\rY: b\r\n\r\n", 400, id="bare CR in a header"),
        pytest.param(GET + b"X: a\x00\r\n\r\n", 400, id="NUL in a header"),
        pytest.param(GET + b"X: a\r\n b\r\n\r\n", 400, id="folded header"),
        pytest.param(GET + b"X : a\r\n\r\n", 400, id="space before the colon"),
        pytest.param(GET + b": a\r\n\r\n", 400, id="header without a name"),
        pytest.param(GET + b"X\r\n\r\n", 400, id="header without a colon"),
        pytest.param(GET + b"X(y): a\r\n\r\n", 400, id="header name that is no token"),
        pytest.param(POST + b"Content-Length: 1\r\n" * 2 + b"\r\na", 400, id="length said twice"),
        pytest.param(
            POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\na", 400, id="two lengths"
        ),
        pytest.param(POST + b"Content-Length: 1, 1\r\n\r\na", 400, id="list of lengths"),
        pytest.param(POST + b"Content-Length: -1\r\n\r\n", 400, id="negative length"),
        pytest.param(POST + b"Content-Length: +1\r\n\r\na", 400, id="signed length"),
        pytest.param(POST + b"Content-Length: 0x1\r\n\r\na", 400, id="hexadecimal length"),
        pytest.param(POST + b"Content-Length: \r\n\r\n", 400, id="empty length"),
        pytest.param(
            POST + b"Content-Length: %d\r\n\r\n" % 10**30, 400, id="length beyond counting"
        ),
        pytest.param(
            POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            id="length and chunks",
        ),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
            400,
            id="chunks and length",
        ),
        pytest.param(POST + b"Transfer-Encoding: gzip\r\n\r\n", 400, id="coding without chunks"),
        pytest.param(
            POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400, id="chunked twice"
        ),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\na\r\n0\r\n\r\n", 400, id="chunk size"
        ),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n", 400, id="chunk end"
        ),
        pytest.param(GET + b"Expect: the-unexpected\r\n\r\n", 417, id="unknown expectation"),
    ],
)
async def test_a_malformed_request_is_answered_once_and_the_connection_closed(
    front_end: FrontEnd, sent: bytes, status: int
) -> None:
    async with front_end.connected() as client:
        answer = await client.ask(sent)
        assert answer.status == status
        assert answer.json["error"]["code"] == status
        assert answer.json["error"]["status"] == "INVALID_ARGUMENT"
        assert answer.headers["x-request-id"]
        assert answer.closes == await client.is_closed(within_s=5 if answer.closes else 0.05)
    assert not front_end.upstream.calls
    assert (await front_end.ask(get("/v1/items/a"))).status == 200


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", id="no size"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", id="no end"),
        pytest.param(chunked("/v1/items", b"{}").replace(b"0\r\n", b"-1\r\n"), id="negative"),
    ],
)
async def test_a_chunk_that_breaks_while_the_body_is_read_is_a_400_at_once(
    front_end: FrontEnd, sent: bytes
) -> None:
    head, _, rest = sent.partition(b"\r\n\r\n")
    async with front_end.connected() as client:
        await client.send(head + b"\r\n\r\n")
        await asyncio.wait_for(front_end.upstream.started.wait(), 5)
        answer = await client.ask(rest)
        assert answer.status == 400
        assert answer.closes
        assert await client.is_closed()


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"GET /v1/items/a HTTP/1.1\r\n\r\n", "it has no Host header; expected one"),
        (GET + b"Host: b\r\n\r\n", "it has several Host headers; expected one"),
        (GET + b"X : a\r\n\r\n", "a header line is invalid; expected Name: value"),
        (GET + b"X: a\r\n b\r\n\r\n", "a header line is invalid; expected Name: value"),
        (POST + b"Content-Length: +1\r\n\r\na", "its Content-Length is invalid; expected one"),
        (POST + b"Content-Length: 1\r\n" * 2 + b"\r\na", "its Content-Length is invalid"),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", "its Transfer-Encoding is invalid; expected"),
        (
            POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "it has Content-Length and Transfer-Encoding; expected one of them",
        ),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "a chunk of its body is invalid"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "it is TLS, but this port serves"),
    ],
)
async def test_a_malformed_request_is_told_what_is_wrong(
    front_end: FrontEnd, sent: bytes, reason: str
) -> None:
    answer = await front_end.ask(sent)
    assert answer.json["error"]["message"].startswith(
        f"the request is not well-formed HTTP: {reason}"
    )


@pytest.mark.parametrize("method", [b"FOO", b"get", b"X-Y"])
async def test_an_unknown_method_is_not_implemented(front_end: FrontEnd, method: bytes) -> None:
    answer = await front_end.ask(method + b" /v1/items/a HTTP/1.1\r\n" + HOST + b"\r\n")
    assert answer.status == 501
    assert answer.closes
    assert answer.json["error"] == {
        "code": 501,
        "message": "the HTTP method is not known; expected one such as GET, in upper case",
        "status": "UNIMPLEMENTED",
    }


async def test_no_word_of_a_library_reaches_the_client(front_end: FrontEnd) -> None:
    answer = await front_end.ask(b"hello\r\n\r\n")
    assert answer.json == {
        "error": {
            "code": 400,
            "message": "the request is not well-formed HTTP",
            "status": "INVALID_ARGUMENT",
        }
    }

"""The largest things a client can send or cause, at each limit and just over it."""

import gzip
import json

import pytest

from gateway.call import Reply
from tests.support.front_end import FrontEnd, chunked, get, open_front_end, post

LIMITS = {
    "body_bytes": 1000,
    "url_bytes": 200,
    "header_bytes": 300,
    "headers_total_bytes": 800,
    "header_count": 10,
    "response_bytes": 2000,
}
GZIP = "Content-Encoding: gzip"


def body(size: int) -> bytes:
    return b'{"text":"%b"}' % (b"x" * (size - 11))


def fields(count: int, size: int) -> list[str]:
    return [f"X{number}: {'x' * (size - 2)}" for number in range(count)]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(post("/v1/items", body(1000)), 200, id="body at the limit"),
        pytest.param(post("/v1/items", body(1001)), 413, id="body over the limit"),
        pytest.param(chunked("/v1/items", body(1000)[:600], body(1000)[600:]), 200, id="chunks at"),
        pytest.param(chunked("/v1/items", body(1001)[:600], body(1001)[600:]), 413, id="over"),
        pytest.param(post("/v1/items", gzip.compress(body(1000)), GZIP), 200, id="gzip at"),
        pytest.param(post("/v1/items", gzip.compress(body(1001)), GZIP), 413, id="gzip over"),
        pytest.param(get("/v1/items/" + "a" * 190), 200, id="target at the limit"),
        pytest.param(get("/v1/items/" + "a" * 191), 414, id="target over the limit"),
        pytest.param(get("/v1/items/" + "a" * 900), 414, id="target far over the limit"),
        pytest.param(get("/v1/items/a", *fields(1, 300)), 200, id="field at the limit"),
        pytest.param(get("/v1/items/a", *fields(1, 400)), 431, id="field over the limit"),
        pytest.param(get("/v1/items/a", *fields(1, 4000)), 431, id="field far over the limit"),
        pytest.param(get("/v1/items/a", *fields(3, 250)), 200, id="head at the limit"),
        pytest.param(get("/v1/items/a", *fields(4, 250)), 431, id="head over the limit"),
        pytest.param(get("/v1/items/a", *fields(9, 5)), 200, id="count at the limit"),
        pytest.param(get("/v1/items/a", *fields(10, 5)), 431, id="count over the limit"),
    ],
)
async def test_a_limit_holds_to_the_byte(sent: bytes, status: int) -> None:
    async with open_front_end(limits=LIMITS) as front_end, front_end.connected() as client:
        answer = await client.ask(sent)
        assert answer.status == status
        assert not answer.closes or await client.is_closed()
        assert (await front_end.ask(get("/v1/items/a"))).status == 200


@pytest.mark.parametrize(
    "nested",
    [b"[" * 20_000, b'{"a":' * 20_000, b'{"text":' + b"[" * 20_000, b'{"zz":' + b'[{"":' * 9999],
)
async def test_nesting_is_refused_before_it_is_parsed(front_end: FrontEnd, nested: bytes) -> None:
    for sent in (post("/v1/items", nested), chunked("/v1/items", nested[:9000], nested[9000:])):
        answer = await front_end.ask(sent)
        assert answer.status == 400
        assert answer.json["error"]["message"] == "the body is nested deeper than 100 levels"


async def test_a_declared_length_over_the_limit_is_refused_unread(front_end: FrontEnd) -> None:
    request = get("/v1/items", f"Content-Length: {10**12}", "Expect: 100-continue", method="POST")
    answer = await front_end.ask(request)
    assert (answer.status, answer.closes) == (413, True)
    assert answer.json["error"]["message"] == "the request body is larger than 4194304 bytes"


async def test_a_reply_over_the_limit_is_an_error_that_says_so() -> None:
    async with open_front_end(limits=LIMITS) as front_end:
        front_end.upstream.answers(Reply(b"\x12\xd0\x0f" + b"x" * 2000))
        answer = await front_end.ask(get("/v1/items/a"))
    assert answer.status == 500
    assert answer.json["error"]["message"] == "the response is larger than 2000 bytes"


@pytest.mark.parametrize(
    "plain",
    [pytest.param(bytes(7_000_000), id="bomb"), pytest.param(bytes(30_000_000), id="large bomb")],
)
async def test_a_gzip_bomb_is_refused_by_its_ratio(front_end: FrontEnd, plain: bytes) -> None:
    packed = gzip.compress(plain, mtime=0)
    assert len(packed) < 40_000
    assert (await front_end.ask(post("/v1/items", packed, GZIP))).status == 413


async def test_a_large_gzip_body_is_read_off_the_loop(front_end: FrontEnd) -> None:
    text = "".join(map(str, range(200_000)))
    packed = gzip.compress(json.dumps({"text": text}).encode())
    assert len(packed) > 40_000
    assert (await front_end.ask(post("/v1/items", packed, GZIP))).json["text"] == text


@pytest.mark.parametrize(
    ("coding", "sent", "status"),
    [
        ("gzip", gzip.compress(b"{}", mtime=0), 200),
        ("X-GZip", gzip.compress(b"{}", mtime=0), 200),
        ("identity", b"{}", 200),
        ("", b"{}", 200),
        ("gzip", b"{}", 400),
        ("gzip", gzip.compress(b"{}", mtime=0)[:-1], 400),
        ("gzip", gzip.compress(b"{}", mtime=0) + b"x", 400),
        ("br", b"{}", 415),
        ("gzip, gzip", b"{}", 415),
    ],
)
async def test_a_body_is_gzip_or_as_it_is(
    front_end: FrontEnd, coding: str, sent: bytes, status: int
) -> None:
    answer = await front_end.ask(post("/v1/items", sent, f"Content-Encoding: {coding}"))
    assert answer.status == status
    assert (answer.headers.get("accept-encoding") == "gzip") is (status == 415)


@pytest.mark.parametrize(
    ("accept", "packed"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("gzip;q=0.5, identity", False),
        ("identity;q=0.5, gzip", True),
        ("br", False),
        ("", False),
    ],
)
async def test_large_json_is_packed_for_who_takes_it(
    front_end: FrontEnd, accept: str, packed: bool
) -> None:
    front_end.upstream.answers(Reply(b"\x12\xd0\x0f" + b"x" * 2000))
    async with front_end.connected() as client:
        answer = await client.ask(get("/v1/items/a", f"Accept-Encoding: {accept}"))
        assert (answer.headers.get("content-encoding") == "gzip") is packed
        assert answer.headers["vary"] == "Accept, Accept-Encoding"
        text = gzip.decompress(answer.body) if packed else answer.body
        assert json.loads(text)["text"] == "x" * 2000


async def test_small_or_packed_things_are_sent_as_they_are(front_end: FrontEnd) -> None:
    small = await front_end.ask(get("/v1/items/a", "Accept-Encoding: gzip"))
    assert "content-encoding" not in small.headers
    assert small.headers["vary"] == "Accept, Accept-Encoding"
    front_end.upstream.answers(Reply(b"\x0a\x09image/png\x12\xd0\x0f" + b"x" * 2000))
    image = await front_end.ask(get("/v1/files/a", "Accept-Encoding: gzip"))
    assert not {"content-encoding", "vary"} & set(image.headers)


async def test_a_very_large_answer_is_packed_off_the_loop(front_end: FrontEnd) -> None:
    front_end.upstream.answers(Reply(b"\x12\x80\x80\x40" + b"x" * (1 << 20)))
    answer = await front_end.ask(get("/v1/items/a", "Accept-Encoding: gzip"))
    assert len(answer.body) < 10_000
    assert len(json.loads(gzip.decompress(answer.body))["text"]) == 1 << 20

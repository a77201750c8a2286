"""Answers that no good server gives: every channel reads them alike, and says so in our words."""

import gzip

import pytest

from gateway.http2 import frames
from gateway.status import Code
from tests.support import http2_peer as peer
from tests.support.calls import Open, failure
from tests.support.grpc_backend import method
from tests.support.http2_server import Script, Scripted

OK = peer.message(b"ok")
HTML = ("content-type", "text/html")
GZIP = ("grpc-encoding", "gzip")


def http(status: str) -> Script:
    return lambda s: peer.headers(s, (":status", status), HTML, end=True)


def grpc_error(http_status: str) -> Script:
    headers = (":status", http_status), ("content-type", "application/grpc")
    return lambda s: peer.headers(s, *headers, ("grpc-status", "5"), end=True)


def reply(body: bytes, status: str = "0", *more: tuple[str, str]) -> Script:
    return lambda s: peer.response(s, *more) + peer.data(s, body) + peer.trailers(s, status)


def reset(number: int) -> Script:
    return lambda s: peer.frame(frames.RST_STREAM, 0, s, number.to_bytes(4, "big"))


def packed(text: bytes) -> bytes:
    return peer.message(text, packed=True)


ANSWERS = [
    pytest.param(http("200"), Code.UNKNOWN, id="a page"),
    pytest.param(http("400"), Code.INTERNAL, id="HTTP 400"),
    pytest.param(http("401"), Code.UNAUTHENTICATED, id="HTTP 401"),
    pytest.param(http("403"), Code.PERMISSION_DENIED, id="HTTP 403"),
    pytest.param(http("404"), Code.UNIMPLEMENTED, id="HTTP 404"),
    pytest.param(http("429"), Code.UNAVAILABLE, id="HTTP 429"),
    pytest.param(http("500"), Code.UNKNOWN, id="HTTP 500"),
    pytest.param(http("502"), Code.UNAVAILABLE, id="HTTP 502"),
    pytest.param(http("503"), Code.UNAVAILABLE, id="HTTP 503"),
    pytest.param(http("504"), Code.UNAVAILABLE, id="HTTP 504"),
    pytest.param(grpc_error("503"), Code.NOT_FOUND, id="grpc-status beside an HTTP status"),
    pytest.param(reply(OK, "99"), Code.UNKNOWN, id="a status of the future"),
    pytest.param(reply(OK, "abc"), Code.INTERNAL, id="a status that is no number"),
    pytest.param(reply(OK, "5"), Code.NOT_FOUND, id="a message, and then an error"),
    pytest.param(
        lambda s: peer.response(s) + peer.headers(s, ("grpc-message", "?"), end=True),
        Code.UNKNOWN,
        id="trailers without a status",
    ),
    pytest.param(
        lambda s: peer.response(s) + peer.trailers(s), Code.INTERNAL, id="OK without a message"
    ),
    pytest.param(reply(packed(b"zz")), Code.INTERNAL, id="packed, it says not how"),
    pytest.param(reply(packed(b"zz"), "0", GZIP), Code.INTERNAL, id="not gzip"),
    pytest.param(
        reply(packed(gzip.compress(b"hello" * 100)[:-12]), "0", GZIP), Code.INTERNAL, id="cut gzip"
    ),
    pytest.param(
        reply(packed(gzip.compress(b"a") + gzip.compress(b"b")), "0", GZIP),
        Code.INTERNAL,
        id="gzip twice",
    ),
    pytest.param(
        reply(packed(b"zz"), "0", ("grpc-encoding", "zstd")), Code.INTERNAL, id="packed otherwise"
    ),
    *(
        pytest.param(reset(number), Code.INTERNAL, id=f"reset with code {number}")
        for number in (0, 1, 2, 3, 4, 5, 6, 9, 10, 13, 99)
    ),
    pytest.param(reset(7), Code.UNAVAILABLE, id="refused again and again"),
    pytest.param(reset(8), Code.CANCELLED, id="cancelled"),
    pytest.param(reset(11), Code.RESOURCE_EXHAUSTED, id="told to be calm"),
    pytest.param(reset(12), Code.PERMISSION_DENIED, id="not safe enough"),
]


@pytest.mark.parametrize(("script", "code"), ANSWERS)
async def test_an_odd_answer_has_its_code_and_no_librarys_words(
    open_channel: Open, script: Script, code: Code
) -> None:
    async with Scripted(script).running() as target, open_channel(target) as channel:
        error = await failure(channel.call(method("M"), b"x", [], 5))
    assert error.code is code
    own_words = ("", "the call was cancelled")
    assert error.message in own_words or error.message.startswith('upstream "library" ')


async def test_a_packed_answer_is_unpacked(open_channel: Open) -> None:
    script = reply(packed(gzip.compress(b"hello")), "0", GZIP)
    async with Scripted(script).running() as target, open_channel(target) as channel:
        assert (await channel.call(method("M"), b"x", [], 5)).message == b"hello"

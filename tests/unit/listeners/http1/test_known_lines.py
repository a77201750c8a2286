"""The lines that requests share: which are kept, and how many."""

import pytest

from gateway.listeners.http1.known_lines import KnownLines


@pytest.mark.parametrize(
    "data",
    [b"Accept: */*", b"user-agent: me (a; b)", b"Connection: keep-alive", b"Host: a.test:80"],
)
def test_a_common_line_is_kept(data: bytes) -> None:
    known = KnownLines()
    line = known.line(data)
    assert line is not None
    assert (line.data, line.name.raw + b": " + line.value) == (data, data)
    assert known.line(bytes(bytearray(data))) is line


@pytest.mark.parametrize(
    "data",
    [
        *(b"Authorization: Bearer a", b"cookie: a=b", b"X-API-Key: a", b"X-CSRF-Token: a"),
        *(
            b"traceparent: 00-a-b-01",
            b"tracestate: a=b",
            b"Baggage: a=b",
            b"b3: a",
            b"X-B3-Flags: 1",
        ),
        *(b"X-Request-Id: a", b"Proxy-Authorization: a", b"X-Long: " + b"v" * 512),
    ],
)
def test_secret_unique_and_long_lines_are_not_kept(data: bytes) -> None:
    known = KnownLines()
    line = known.line(data)
    assert line is not None
    assert known.line(data) is not line
    assert not known._young
    assert not known._old


@pytest.mark.parametrize(
    ("data", "is_id"),
    [
        *((b"X-Request-Id: A-1_b.c", True), (b"x-request-id: " + b"0" * 128, True)),
        *((b"X-Request-Id: " + b"0" * 129, False), (b"X-Request-Id: a/b", False)),
        *((b"X-Request-Id: a b", False), (b"X-Other: a", False)),
    ],
)
def test_a_well_formed_id_is_known_as_one(data: bytes, *, is_id: bool) -> None:
    line = KnownLines().line(data)
    assert line is not None
    assert line.is_id is is_id


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"a", b": a", b"a:b", b"a: ", b"a:  b", b"a: b ", b" a: b", b"a : b", b"a: \tb"),
        *(
            b"a: b\0c",
            b"a: b\rc",
            b"a: \x7f",
            b"a: \xff",
            b"\xff: a",
            b"a\0: b",
            b"a" * 65 + b": b",
        ),
        *(b"Connection: close", b"Connection: keep-alive, x", b"TE: trailers", b"Upgrade: h2c"),
        *(b"Transfer-Encoding: chunked", b"Content-Encoding: gzip", b"Expect: 100-continue"),
        *(b"Trailer: a", b"Proxy-Connection: close", b"a-bin: AAA", b"Sec-WebSocket-Key: a"),
        *(b"X-Request-Id: a\x7f", b"X-Request-Id: a\0"),
        *(b"Content-Length: 0", b"content-length: +1", b"Content-Length: 01", b"Host: a b"),
    ],
)
def test_other_lines_are_left_to_the_parser(data: bytes) -> None:
    assert KnownLines().line(data) is None


def test_new_lines_cannot_remove_those_in_use_nor_fill_the_memory() -> None:
    known = KnownLines()
    used = known.line(b"Accept: */*")
    for number in range(10_000):
        assert known.line(b"a: %d" % number) is not None
        if number % 1000 == 0:
            assert known.line(b"Accept: */*") is used
    assert len(known._young) + len(known._old) <= 2048


def test_new_names_cannot_fill_the_memory() -> None:
    known = KnownLines()
    for number in range(5000):
        assert known.line(b"a%d: b" % number) is not None
    assert len(known._names) <= 1024

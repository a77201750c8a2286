"""Header blocks say what they should, cost little, and carry nothing that they should not."""

import hpack
import pytest

from gateway.http2.headers import HeaderError, fits
from gateway.upstream.channels.http2.headers import (
    Pairs,
    RequestHeaders,
    ResponseDecoder,
    encode_timeout,
)
from tests.support import http2_peer as peer


def decoded(block: bytes) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in hpack.Decoder().decode(block)]


def test_a_request_block_has_what_grpc_asks_for() -> None:
    headers = RequestHeaders("api:443", "me/1", tls=True)
    metadata: list[tuple[str, str | bytes]] = [
        ("x-a", "1"),
        ("x-bin", b"\xff\xef"),
        ("authorization", "Bearer t"),
        ("x-long", "v" * 300),
    ]
    assert decoded(headers.block("/s/M", metadata, 1.5)) == [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "api:443"),
        (":path", "/s/M"),
        ("content-type", "application/grpc"),
        ("user-agent", "me/1"),
        ("te", "trailers"),
        ("grpc-accept-encoding", "identity,gzip"),
        ("grpc-timeout", "1500m"),
        ("x-a", "1"),
        ("x-bin", "/+8"),
        ("authorization", "Bearer t"),
        ("x-long", "v" * 300),
    ]
    assert headers.block("/s/M", metadata, 1.5) == headers.block("/s/M", metadata, 1.5)


@pytest.mark.parametrize(("encoding", "said"), [("gzip", "gzip"), ("identity", None)])
def test_a_request_block_says_how_messages_are_compressed(encoding: str, said: str | None) -> None:
    headers = RequestHeaders("a", "b", tls=False, encoding=encoding)
    assert dict(decoded(headers.block("/s/M", [], None))).get("grpc-encoding") == said


@pytest.mark.parametrize(
    ("limit_bytes", "does"), [(74, True), (73, False)], ids=["just fits", "a byte too many"]
)
def test_a_list_of_headers_counts_thirty_two_bytes_more_for_each(
    limit_bytes: int, does: bool
) -> None:
    assert fits(peer.block(("ab", "12"), ("cd", "3456")), limit_bytes) is does


def test_secrets_are_not_remembered() -> None:
    pairs = Pairs()
    assert pairs.encoded("authorization", "Bearer secret").endswith(b"Bearer secret")
    assert pairs.encoded("x-a", "1").endswith(b"1")
    assert len(pairs) == 1
    assert "secret" not in str(pairs._known)


def test_what_is_remembered_is_bounded() -> None:
    pairs = Pairs()
    for number in range(5_000):
        assert pairs.encoded("x-a", str(number)).endswith(str(number).encode())
    assert len(pairs) <= 1024
    decoder = ResponseDecoder(10_000)
    for number in range(5_000):
        decoder.decode(peer.block((":status", "200"), ("x-a", str(number))))
    assert len(decoder._known) <= 512


def test_the_first_block_is_known_without_the_size_of_the_table() -> None:
    decoder, first = ResponseDecoder(10_000), peer.block((":status", "200"))
    assert first.startswith(b"\x20")
    assert decoder.decode(first) is decoder.known(first[1:]) is decoder.known(first)


@pytest.mark.parametrize(
    "pair",
    [
        ("x-a", "1\r\n2"),
        ("X-Upper", "1"),
        ("x a", "1"),
        ("x-a", "é"),
        ("grpc-status", "0"),
        ("", ""),
    ],
)
def test_metadata_that_grpc_cannot_carry_never_reaches_the_wire(pair: tuple[str, str]) -> None:
    with pytest.raises(HeaderError):
        RequestHeaders("a", "b", tls=False).block("/s/M", [pair], None)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, b"250000u"),
        (0.0000001, b"1u"),
        (1.5, b"1500m"),
        (29.9994, b"30000m"),
        (300, b"300000m"),
        (10**6, b"1000000S"),
        (10**12, b"99999999S"),
    ],
)
def test_a_timeout_fits_eight_digits(seconds: float, text: bytes) -> None:
    assert encode_timeout(seconds).endswith(b"grpc-timeout" + bytes([len(text)]) + text)


def test_a_block_has_the_timeout_of_its_call_whichever_came_before() -> None:
    headers = RequestHeaders("api:443", "me/1", tls=True)
    timeouts = [1.5, 0.9999, 1.0, None, 2, 1.5, None, 0.25]
    sent = [dict(decoded(headers.block("/s/M", [], one))).get("grpc-timeout") for one in timeouts]
    assert sent == ["1500m", "999900u", "1000m", None, "2000m", "1500m", None, "250000u"]


def test_a_response_block_is_read() -> None:
    read = ResponseDecoder(10_000).decode(
        peer.block(
            (":status", "200"),
            ("content-type", "application/grpc+proto"),
            ("grpc-encoding", "gzip"),
            ("grpc-status", "5"),
            ("grpc-message", "d%C3%A9j%C3%A0 100%25 %zz"),
            ("x-a", "1"),
            ("x-bin", "AQI, AQ=="),
            ("x-a", "2"),
        )
    )
    assert (read.http_status, read.encoding, read.grpc_status) == ("200", "gzip", 5)
    assert read.grpc_message == "déjà 100% %zz"
    assert read.metadata == (("x-a", "1"), ("x-bin", b"\x01\x02"), ("x-bin", b"\x01"), ("x-a", "2"))


def test_a_block_over_the_limit_is_refused() -> None:
    with pytest.raises(HeaderError):
        ResponseDecoder(1_000).decode(peer.block(("x-a", "v" * 2_000)))

"""Raw bodies: what the gateway writes and reads by itself is what the library writes and reads."""

import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from gateway.status import UnreadableReplyError
from gateway.transcoding.http_body import read_http_body, read_large, view_of_data, write_http_body
from gateway.transcoding.media import OCTET_STREAM

SIZES = [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152]


def read_by_the_library(wire: bytes) -> tuple[str, bytes]:
    body = HttpBody.FromString(wire)
    is_usual = 0 < len(body.content_type) < 256 and body.content_type.isprintable()
    is_usual = is_usual and body.content_type.isascii()
    return (body.content_type if is_usual else OCTET_STREAM), body.data


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("content_type", ["", "image/png", "a/" + "b" * 125, "a/" + "b" * 126, "é"])
def test_a_body_of_any_size_comes_back_as_it_was_written(content_type: str, size: int) -> None:
    wire = write_http_body(content_type, bytes(size))
    body = HttpBody.FromString(wire)
    assert (body.content_type, len(body.data)) == (content_type, size)
    payload = read_http_body(wire)
    assert (payload.content_type, payload.body) == read_by_the_library(wire)
    view, large = view_of_data(wire), read_large(wire)
    assert view is None or view == payload.body
    if large is not None:
        head, data = large
        assert (head.content_type, head.headers) == (payload.content_type, payload.headers)
        assert data == payload.body
    assert (view is None) == (large is None)


pieces = st.sampled_from(
    [
        b"\x0a\x09image/png",
        b"\x0a\x01a",
        b"\x0a\x00",
        b"\x0a\x02\xc3\xa9",
        b"\x0a\x02\xff\xff",
        b"\x12\x00",
        b"\x12\x80\x00",
        b"\x12\x03abc",
        b"\x12\x81\x80\x80\x80\x00x",
        b"\x1a\x00",
        b"\x20\x01",
        b"\x12\x7f",
        b"\x12",
    ]
)


@given(st.lists(pieces, max_size=4).map(b"".join) | st.binary(max_size=20))
def test_any_bytes_are_read_as_the_library_reads_them(wire: bytes) -> None:
    expected: tuple[str, bytes] | None
    try:
        expected = read_by_the_library(wire)
    except DecodeError:
        expected = None
    if expected is None:
        with pytest.raises(UnreadableReplyError):
            read_http_body(wire)
    else:
        payload = read_http_body(wire)
        assert (payload.content_type, payload.body) == expected

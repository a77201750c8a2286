"""Codings a body may have, and how far one is unpacked."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.limits import Limits
from gateway.listeners.http1.inflating import content_coding, gunzip
from gateway.status import StatusError

LIMITS = Limits(body_bytes=1000, decompression_ratio=10)


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (None, ""),
        ("", ""),
        ("identity", ""),
        ("IDENTITY", ""),
        ("gzip", "gzip"),
        (" GZip ", "gzip"),
        ("x-gzip", "gzip"),
    ],
)
def test_two_codings_are_known(header: str | None, coding: str) -> None:
    assert content_coding({} if header is None else {"Content-Encoding": header}) == coding


@pytest.mark.parametrize("header", ["br", "deflate", "gzip, br", "zstd", "gzip;q=1"])
def test_any_other_is_415_and_says_what_is_known(header: str) -> None:
    with pytest.raises(StatusError) as raised:
        content_coding({"Content-Encoding": header})
    assert raised.value.http_status == 415
    assert list(raised.value.headers) == [("Accept-Encoding", "gzip")]


@given(st.binary(max_size=1000))
def test_what_was_packed_comes_out_or_is_too_large(plain: bytes) -> None:
    packed = gzip.compress(plain)
    if len(plain) <= min(1000, 10 * len(packed)):
        assert gunzip(packed, LIMITS) == plain
    else:
        with pytest.raises(StatusError) as raised:
            gunzip(packed, LIMITS)
        assert raised.value.http_status == 413


@given(st.binary(max_size=200))
def test_no_bytes_break_the_unpacking(junk: bytes) -> None:
    with pytest.raises(StatusError) as raised:
        gunzip(junk, LIMITS)
    assert raised.value.http_status in (400, 413)


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(zlib.compress(b"{}"), id="zlib"),
        pytest.param(gzip.compress(b"{}")[:-1], id="cut"),
        pytest.param(gzip.compress(b"{}")[:-8] + bytes(8), id="wrong checksum"),
        pytest.param(gzip.compress(b"{}") * 2, id="two streams"),
    ],
)
def test_what_is_not_one_whole_gzip_stream_is_400(packed: bytes) -> None:
    with pytest.raises(StatusError) as raised:
        gunzip(packed, LIMITS)
    assert raised.value.http_status == 400

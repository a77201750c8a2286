"""Who takes gzip (RFC 9110 section 12.5.3)."""

import gzip

import pytest

from gateway.config.compression import CompressionOptions
from gateway.http.compression import accepts_gzip, compress, is_compressible
from gateway.http.messages import Response


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("deflate, gzip", True),
        ("gzip;q=1.0", True),
        ("gzip; q=0.001", True),
        ("gzip;Q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("*", True),
        ("*;q=0", False),
        ("*;q=0, gzip", True),
        ("gzip;q=0, *", False),
        ("identity", False),
        ("identity, gzip", True),
        ("identity;q=1, gzip;q=0.5", False),
        ("identity;q=0, *;q=0.1", True),
        ("br", False),
        ("", False),
        (",,;,", False),
        ("gzip;q=high", False),
        ("gzip;q=nan", False),
    ],
)
def test_a_header_admits_gzip_or_does_not(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


@pytest.mark.parametrize(
    ("content_type", "packed"),
    [
        ("application/json", True),
        ("application/problem+json", True),
        ("text/csv; charset=utf-8", True),
        ("application/xml", True),
        ("image/png", False),
        ("application/octet-stream", False),
        ("application/gzip", False),
        ("", False),
    ],
)
async def test_only_text_is_packed(content_type: str, packed: bool) -> None:
    response = Response(200, [], b"x" * 100, content_type)
    await compress(response, "gzip", CompressionOptions())
    assert (gzip.decompress(response.body) if packed else response.body) == b"x" * 100
    assert is_compressible(content_type) is packed
    assert (("Content-Encoding", "gzip") in response.headers) is packed

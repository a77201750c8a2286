"""A body as it comes: inflated step by step, within its limits."""

import gzip
import os
import zlib

import pytest

from gateway.listeners.http1.inflating import Inflater
from gateway.status import StatusError


def inflated(packed: bytes, size: int, ratio: int = 100) -> list[bytes]:
    inflater = Inflater(ratio)
    found = [
        text for at in range(0, len(packed), size) for text in inflater.feed(packed[at : at + size])
    ]
    inflater.finish()
    return found


@pytest.mark.parametrize("size", [1, 100, 1 << 20])
def test_text_comes_out_whole_in_bounded_pieces(size: int) -> None:
    text = os.urandom(300_000) if size > 1 else os.urandom(3000)
    pieces = inflated(gzip.compress(text), size)
    assert b"".join(pieces) == text
    assert max(map(len, pieces)) <= 64 * 1024


def test_what_is_sent_comes_out_at_once_where_the_client_flushes() -> None:
    packer = zlib.compressobj(wbits=31)
    inflater = Inflater(100)
    first = packer.compress(b'{"n":1}\n') + packer.flush(zlib.Z_SYNC_FLUSH)
    assert list(inflater.feed(first)) == [b'{"n":1}\n']


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(b"plain", id="no gzip"),
        pytest.param(gzip.compress(b"a" * 1000)[:-4], id="cut"),
        pytest.param(gzip.compress(b"a") + b"more", id="more behind"),
        pytest.param(gzip.compress(b"a") + gzip.compress(b"b"), id="two streams"),
    ],
)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_what_is_not_one_gzip_stream_is_refused(packed: bytes, size: int) -> None:
    with pytest.raises(StatusError) as raised:
        inflated(packed, size)
    assert raised.value.http_status == 400


@pytest.mark.slow
def test_a_bomb_is_stopped_before_it_has_grown() -> None:
    packed = gzip.compress(bytes(50_000_000))
    texts = Inflater(10).feed(packed)
    grown = 0
    for text in texts:
        grown += len(text)
        if grown > len(packed) * 10:
            break
    with pytest.raises(StatusError) as raised:
        next(texts)
    assert raised.value.http_status == 413

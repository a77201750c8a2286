"""Messages in their frames."""

import gzip
import random

import pytest

from gateway.upstream.channels.http2.messages import gzipped, plain

NOISE = random.Random(7).randbytes(4096)  # the same noise each time


@pytest.mark.parametrize("message", [b"", b"abc", bytes(300_000)], ids=["empty", "small", "large"])
def test_a_plain_message_stands_behind_its_length(message: bytes) -> None:
    assert plain(message) == (
        b"\0" + len(message).to_bytes(4, "big"),
        message,
    )


def test_a_message_worth_it_is_compressed() -> None:
    prefix, packed = gzipped(bytes(300_000))
    assert prefix == b"\1" + len(packed).to_bytes(4, "big")
    assert len(packed) < 3000
    assert gzip.decompress(packed) == bytes(300_000)


@pytest.mark.parametrize("message", [b"", bytes(1000), NOISE], ids=["empty", "small", "noise"])
def test_a_message_not_worth_it_goes_as_it_is(message: bytes) -> None:
    framed = gzipped(message)
    assert framed == plain(message)

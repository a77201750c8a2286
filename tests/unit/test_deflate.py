"""Compression by ISA-L and by zlib, as any reader of gzip and zlib takes it."""

import gzip
import random
import zlib

import pytest

from gateway.deflate import compressed, gzipped

_WORDS = random.Random(4).choices(["name", "shelf", "1984", '":"', "},{", "Ä"], k=50_000)
TEXT = "".join(_WORDS).encode()


@pytest.mark.parametrize("level", range(1, 10))
@pytest.mark.parametrize("data", [b"", b"{}", TEXT, bytes(1_000_000)])
def test_gzip_of_each_level_is_read_by_others(data: bytes, level: int) -> None:
    assert gzip.decompress(gzipped(data, level)) == data


def test_no_time_and_no_name_make_equal_data_differ() -> None:
    # RFC 1952 section 2.3: flags and time are zero.
    for level in (1, 9):
        assert gzipped(TEXT, level)[3:8] == bytes(5), f"level {level}"
        assert gzipped(TEXT, level) == gzipped(TEXT, level)


def test_the_highest_level_is_the_smallest() -> None:
    assert len(gzipped(TEXT, 9)) < len(gzipped(TEXT, 1)) < len(TEXT) / 2


def test_what_is_stored_is_read_by_zlib() -> None:
    assert zlib.decompress(compressed(TEXT)) == TEXT

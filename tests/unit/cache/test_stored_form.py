"""The form in which stores keep replies."""

import zlib
from typing import Any

import pytest
from google.protobuf import any_pb2

from gateway.cache.entries import Entry
from gateway.cache.freshness import Times
from gateway.cache.stored_form import entry_of, stored_bytes
from gateway.call import Metadata
from gateway.status import Code, StatusError

KEY = b"\0" * 20


def entry(message: bytes = b"\x0a\x01a", **more: Any) -> Entry:
    metadata: Metadata = [("cache-control", "max-age=9"), ("x-bin", "\xe9"), ("raw-bin", b"\0\xff")]
    times = Times(100.0, 160.0, 170.0, 180.0, may_be_stale=False)
    return Entry(
        KEY,
        message,
        metadata,
        [("after", "1")],
        times,
        "ada",
        ["/v1/a", "/v1/b"],
        for_clients=[("cache-control", "private, max-age=60")],
        **({"tags": frozenset({"t:1"}), "method": "shop.v1.Shop.GetItem"} | more),
    )


@pytest.mark.parametrize("message", [b"", b"\x0a\x01a", b"words " * 10_000], ids=len)
def test_an_entry_is_read_as_it_was_written(message: bytes) -> None:
    written = entry(message)
    read = entry_of(KEY, stored_bytes(written, 1e9), 2e9, 100_000)
    assert read is not None
    for name in (
        "key",
        "message",
        "metadata",
        "trailers",
        "owner",
        "paths",
        "tags",
        "method",
        "for_clients",
    ):
        assert getattr(read, name) == getattr(written, name)
    # The other process has a clock of its own.
    assert read.times.fresh_until_s == 160.0 - 1e9 + 2e9
    assert read.times.kept_until_s - read.times.born_s == 80.0
    assert not read.times.may_be_stale
    assert read.error is None


def test_a_failure_is_read_as_it_was_written() -> None:
    detail = any_pb2.Any(type_url="type.googleapis.com/a.B", value=b"\x08\x01")
    error = StatusError(Code.NOT_FOUND, "no such book", details=[detail])
    read = entry_of(KEY, stored_bytes(entry(b"", error=error), 0.0), 0.0, 1000)
    assert read is not None
    assert read.error is not None
    assert (read.error.code, read.error.message) == (Code.NOT_FOUND, "no such book")
    assert list(read.error.details) == [detail]
    assert read.message == b""


def test_large_replies_are_compressed_if_that_helps() -> None:
    assert len(stored_bytes(entry(b"words " * 10_000), 0.0)) < 10_000
    assert stored_bytes(entry(b"words"), 0.0)[:1] == b"\x01"


def test_what_is_larger_than_the_limit_is_not_read() -> None:
    assert entry_of(KEY, stored_bytes(entry(b"x" * 3000), 0.0), 0.0, 2999) is None
    bomb = b"\x02" + zlib.compress(bytes(50_000_000), 9)
    assert entry_of(KEY, bomb, 0.0, 1000) is None


def test_no_part_of_an_entry_is_read_as_one() -> None:
    for message in (b"m" * 10, b"words " * 1000):
        form = stored_bytes(entry(message), 0.0)
        for end in range(len(form) - len(message) if form[0] == 1 else len(form) - 1):
            assert entry_of(KEY, form[:end], 0.0, 10_000) is None

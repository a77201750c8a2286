"""The messages of a streamed request: raw bodies in parts, others as their decoder finds them."""

from collections.abc import AsyncGenerator, Iterator
from typing import Any, cast

import pytest

from gateway.exchange.dialects.request_messages import RequestMessages
from gateway.http.header_fields import NO_FIELDS
from gateway.http.messages import Request
from gateway.message_stream import Parts
from gateway.status import Code, StatusError
from gateway.transcoding.http_body import write_http_body
from gateway.transcoding.streams.decoder import RawStreamDecoder, RequestStreamDecoder


class Pieces:
    """A body that fails after its pieces, if a failure is given."""

    def __init__(self, *pieces: bytes, failure: StatusError | None = None) -> None:
        self._pieces, self._failure = pieces, failure
        self.is_closed = False

    async def pieces(self, _: object) -> AsyncGenerator[bytes]:
        try:
            for piece in self._pieces:
                yield piece
            if self._failure is not None:
                raise self._failure
        finally:
            self.is_closed = True


class Lines:
    """Makes a message of each piece, and one of the end."""

    is_midway = only_copies = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> Iterator[bytes]:
        yield b"end"


def raw() -> RequestStreamDecoder:
    def start(content_type: str, size: int) -> bytes:
        return write_http_body(content_type, bytes(size))[: -size or None]

    return RawStreamDecoder(lambda: b"url", start, "a/b")


def messages_of(body: Pieces | None, decoder: RequestStreamDecoder) -> RequestMessages:
    request = Request("POST", "/", NO_FIELDS, "peer")
    request.body = cast("Any", body)
    return RequestMessages(request, lambda _: decoder, lambda: None)


RAW = [write_http_body("a/b", b"one") + b"url", write_http_body("", b"two")]


async def test_each_piece_of_a_raw_body_is_a_message() -> None:
    assert [one async for one in messages_of(Pieces(b"one", b"two"), raw())] == RAW


async def test_a_piece_is_a_part_of_its_message_and_not_copied() -> None:
    pieces = b"one", b"two"
    messages = messages_of(Pieces(*pieces), raw())
    for piece, message in zip(pieces, RAW, strict=True):
        parts = await messages.following()
        assert isinstance(parts, list)
        assert parts[1] is piece
        assert b"".join(parts) == message
    with pytest.raises(StopAsyncIteration):
        await messages.following()


@pytest.mark.parametrize("body", [Pieces(), None])
async def test_an_empty_raw_body_is_one_message(body: Pieces | None) -> None:
    messages = messages_of(body, raw())
    assert [one async for one in messages] == [write_http_body("a/b", b"") + b"url"]
    assert [one async for one in messages] == []


async def test_other_bodies_are_decoded() -> None:
    messages = messages_of(Pieces(b"1", b"2"), Lines())
    assert [one async for one in messages] == [b"1", b"2", b"end"]


@pytest.mark.parametrize("decoder", [raw, Lines])
async def test_a_failure_is_the_end_and_closes_the_body(decoder: Any) -> None:
    body = Pieces(b"one", failure=StatusError(Code.INVALID_ARGUMENT, "cut"))
    messages = messages_of(body, decoder())
    first: bytes | Parts = await messages.following()
    assert first
    with pytest.raises(StatusError, match="cut"):
        await anext(messages)
    assert body.is_closed
    assert [one async for one in messages] == []


async def test_nothing_is_read_before_the_first_is_wanted_nor_after_it_is_closed() -> None:
    body = Pieces(b"one", b"two")
    messages = messages_of(body, raw())
    await messages.aclose()
    assert [one async for one in messages] == []
    messages = messages_of(body, raw())
    await anext(messages)
    await messages.aclose()
    assert body.is_closed
    assert [one async for one in messages] == []

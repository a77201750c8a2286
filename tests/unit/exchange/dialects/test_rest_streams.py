"""A streamed response whose messages are at hand: the same pieces as when each is awaited."""

from typing import Any, cast

import pytest

from gateway.exchange.dialects.rest_streams import ResponseStream
from gateway.exchange.worker_threads import LARGE_BYTES
from gateway.http.connection import StreamBrokenError
from gateway.status import Code, StatusError, UnreadableReplyError
from gateway.transcoding.http_body import write_http_body
from gateway.transcoding.response import RawEncoder
from gateway.transcoding.streams.framing import RAW_LINES, Framing

MESSAGES = [b"", b"one", b"two" * 100, bytes(LARGE_BYTES), b"last"]


class Conversation:
    """A call that has all its messages, and notes its end."""

    def __init__(self, messages: list[bytes], *, at_hand: bool) -> None:
        self.messages = list(messages)
        self.at_hand = at_hand
        self.codes: list[Code] = []

    def take(self) -> bytes | None:
        return self.messages.pop(0) if self.at_hand and self.messages else None

    def arrival(self) -> None:
        """None: only the next message can be awaited."""

    async def __anext__(self) -> bytes:
        if not self.messages:
            raise StopAsyncIteration
        return self.messages.pop(0)

    async def end(self, code: Code) -> None:
        self.codes.append(code)


def streamed(call: Conversation, framing: Framing | None = None) -> ResponseStream:
    def encode_error(error: StatusError) -> bytes:
        return error.message.encode()

    return ResponseStream(cast("Any", call), RawEncoder(), encode_error, framing)


async def written(stream: ResponseStream) -> list[bytes]:
    """All pieces, as a connection takes them."""
    pieces: list[bytes] = []
    while True:
        piece = stream.take()
        if piece is None:
            try:
                piece = await stream.following()
            except StopAsyncIteration:
                return pieces
        pieces.append(bytes(piece))


@pytest.mark.parametrize("framing", [None, RAW_LINES])
@pytest.mark.parametrize("at_hand", [True, False])
async def test_pieces_are_the_same_at_hand_or_awaited(
    framing: Framing | None, at_hand: bool
) -> None:
    call = Conversation([write_http_body("a/b", data) for data in MESSAGES], at_hand=at_hand)
    stream = streamed(call, framing)
    sizes: list[tuple[Code, int]] = []
    stream.ended = lambda code, size: sizes.append((code, size))
    pieces = await written(stream)
    if framing is None:
        assert pieces == MESSAGES
    assert sizes == [(Code.OK, sum(map(len, pieces)))]
    assert (stream.count, call.codes) == (len(MESSAGES), [Code.OK])


async def test_a_raw_piece_is_copied_only_for_those_who_iterate() -> None:
    messages = [write_http_body("a/b", data) for data in (b"one", b"two")]
    stream = streamed(Conversation(messages, at_hand=False))
    piece = await stream.following()
    assert isinstance(piece, memoryview)
    assert piece.obj is messages[0]
    assert await anext(stream) == b"two"


@pytest.mark.parametrize("at_hand", [True, False])
async def test_a_message_that_cannot_be_encoded_ends_the_stream_once(at_hand: bool) -> None:
    call = Conversation([write_http_body("", b"a"), b"\xff", b"never"], at_hand=at_hand)
    stream = streamed(call)
    with pytest.raises(StreamBrokenError):
        await written(stream)
    assert (stream.count, call.codes) == (1, [UnreadableReplyError("").code])


async def test_nothing_is_taken_before_the_opening_or_after_an_interruption() -> None:
    call = Conversation([write_http_body("", b"a")], at_hand=True)
    stream = streamed(call)
    stream.opening = b"begin"
    assert stream.take() is None
    assert await anext(stream) == b"begin"
    stream.interrupt(StatusError(Code.UNAVAILABLE, "over"))
    assert stream.take() is None
    with pytest.raises(StreamBrokenError):
        await anext(stream)
    assert (stream.take(), call.codes) == (None, [Code.UNAVAILABLE])

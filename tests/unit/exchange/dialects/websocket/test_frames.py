"""Frames to messages: what the protocol allows, and what ends the connection (RFC 6455)."""

import struct
from itertools import chain

import pytest

from gateway.exchange.dialects.websocket.frames import Frames, Message

FIN = 0x80


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True) -> bytes:
    """A frame as a client sends it."""
    first = opcode | (FIN if fin else 0)
    mask = b"\x01\x02\x03\x04" if masked else b""
    size = len(payload)
    length = bytes([size]) if size < 126 else struct.pack("!BH", 126, size)
    if masked:
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes([first, length[0] | (0x80 if masked else 0)]) + length[1:] + mask + payload


TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def told(frames: Frames) -> int | None:
    """The close code that the client is told, or None."""
    said = frames.answers
    at = said.find(b"\x88")
    return None if at < 0 else int.from_bytes(said[at + 2 : at + 4], "big")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param([frame(TEXT, b"a")], [Message(b"a", is_text=True)], id="text"),
        pytest.param([frame(BINARY, b"\xff")], [Message(b"\xff", is_text=False)], id="binary"),
        pytest.param([frame(TEXT)], [Message(b"", is_text=True)], id="empty"),
        pytest.param(
            [frame(TEXT, b"a", fin=False), frame(CONT, b"b", fin=False), frame(CONT, b"c")],
            [Message(b"abc", is_text=True)],
            id="fragments",
        ),
        pytest.param(
            [frame(TEXT, b"a", fin=False), frame(PING, b"p"), frame(CONT, b"b")],
            [Message(b"ab", is_text=True)],
            id="a ping between fragments",
        ),
        pytest.param(
            [frame(TEXT, b"\xc3", fin=False), frame(CONT, b"\xa9")],
            [Message("é".encode(), is_text=True)],
            id="a character in two fragments",
        ),
        pytest.param([frame(PONG, b"x")], [], id="an unasked pong"),
    ],
)
@pytest.mark.parametrize("slowly", [True, False], ids=["byte by byte", "at once"])
def test_messages_are_put_together(
    sent: list[bytes], expected: list[Message], slowly: bool
) -> None:
    frames, data = Frames(200), b"".join(sent)
    pieces = [data[at : at + 1] for at in range(len(data))] if slowly else [data]
    assert list(chain.from_iterable(map(frames.feed, pieces))) == expected
    assert frames.is_open
    assert not frames.peer_closed


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(frame(TEXT, b"a", masked=False), 1002, id="unmasked"),
        pytest.param(frame(3, b"a"), 1002, id="an unknown kind"),
        pytest.param(frame(TEXT | 0x40, b"a"), 1002, id="a reserved bit"),
        pytest.param(frame(CONT, b"a"), 1002, id="a fragment of nothing"),
        pytest.param(frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002, id="text in text"),
        pytest.param(frame(PING, b"a", fin=False), 1002, id="a ping in fragments"),
        pytest.param(frame(CLOSE, b"\x03\xe8", fin=False), 1002, id="a close in fragments"),
        pytest.param(frame(PING, b"x" * 126), 1002, id="a long ping"),
        pytest.param(frame(CLOSE, b"\x03"), 1002, id="half a close code"),
        pytest.param(frame(CLOSE, b"\x03\xed"), 1002, id="a close code that is never sent"),
        pytest.param(frame(TEXT, b"\xff"), 1007, id="no UTF-8"),
        pytest.param(
            frame(TEXT, b"a", fin=False) + frame(CONT, b"\xff"), 1007, id="no UTF-8 in a fragment"
        ),
        pytest.param(frame(TEXT, b"x" * 201), 1009, id="too large"),
        pytest.param(
            frame(TEXT, b"x" * 110, fin=False) + frame(CONT, b"x" * 110),
            1009,
            id="too large in all",
        ),
    ],
)
def test_what_breaks_the_rules_ends_it(sent: bytes, code: int) -> None:
    frames = Frames(200)
    assert frames.feed(sent) == []
    assert told(frames) == code == frames.violation
    assert frames.peer_closed
    assert frames.feed(frame(TEXT, b"later")) == []


def test_a_ping_is_answered_with_its_own_words() -> None:
    frames = Frames(200)
    frames.feed(frame(PING, b"who"))
    assert frames.answers == b"\x8a\x03who"


def test_a_close_is_answered_in_kind() -> None:
    frames = Frames(200)
    frames.feed(frame(CLOSE, struct.pack("!H", 1000) + b"bye"))
    assert told(frames) == 1000
    assert frames.peer_closed
    assert frames.violation is None


def test_a_long_reason_is_cut_between_characters() -> None:
    said = Frames(200).close(4005, "é" * 100)
    assert said[1] <= 125
    assert set(said[4:].decode()) == {"é"}


def test_fragments_without_content_cost_nothing() -> None:
    frames = Frames(200)
    frames.feed(frame(TEXT, b"", fin=False))
    for _ in range(1000):
        assert frames.feed(frame(CONT, b"", fin=False)) == []
    assert frames.feed(frame(CONT, b"a")) == [Message(b"a", is_text=True)]

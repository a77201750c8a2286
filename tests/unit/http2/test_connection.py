"""The state machine: bytes in, streams told, bytes out; a peer that misbehaves is left."""

import random
from collections.abc import Callable

import pytest

from gateway.http2 import frames
from gateway.http2.connection import Connection
from gateway.http2.frames import ErrorCode
from gateway.http2.incoming import ConnectionFailed
from gateway.http2.stream import CONNECTION_WINDOW, STREAM_WINDOW, Stream
from gateway.upstream.channels.http2.headers import ResponseDecoder, ResponseHeaders
from tests.support import http2_peer as peer


class Ear(Stream[ResponseHeaders]):
    """A stream that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def on_headers(self, headers: ResponseHeaders, *, ended: bool) -> None:
        self.told.append(("headers", headers.http_status or str(headers.grpc_status), ended))

    def on_data(self, data: bytes, *, ended: bool) -> None:
        self.told.append(("data", data, ended))

    def on_writable(self) -> None:
        self.told.append("writable")

    def on_failed(self, code: ErrorCode | None, *, unprocessed: bool) -> None:
        self.told.append(("failed", code, unprocessed))


@pytest.fixture
def connection() -> Connection:
    subject = Connection(ResponseDecoder())
    subject.receive(peer.settings())
    subject.take_output()
    return subject


def start(connection: Connection, data: bytes | None = b"") -> tuple[Stream[ResponseHeaders], Ear]:
    ear = Ear()
    connection.open(peer.block((":path", "/x")), ear)
    if data is not None:
        connection.send(ear, data, end=True)
    return ear, ear


def sent(connection: Connection) -> list[tuple[int, int, int, bytes]]:
    return peer.split(connection.take_output())


def test_a_client_greets_and_acknowledges_settings() -> None:
    connection = Connection(ResponseDecoder())
    greeting = connection.take_output()
    assert greeting.startswith(frames.PREFACE)
    (settings, window) = peer.split(greeting)
    assert settings[0] == frames.SETTINGS
    assert b"\x00\x01\x00\x00\x00\x00" in settings[3], "a header table of size 0"
    assert window[0] == frames.WINDOW_UPDATE
    connection.receive(peer.settings())
    assert sent(connection) == [(frames.SETTINGS, frames.ACK, 0, b"")]


def test_a_call_goes_out_as_headers_and_data(connection: Connection) -> None:
    stream, _ = start(connection, b"body")
    assert [(k, f, s) for k, f, s, _ in sent(connection)] == [
        (frames.HEADERS, frames.END_HEADERS, stream.id),
        (frames.DATA, frames.END_STREAM, stream.id),
    ]
    assert start(connection)[0].id == stream.id + 2


@pytest.mark.parametrize("size", [1, 3, 9, 10_000])
def test_a_reply_is_told_however_it_is_cut(connection: Connection, size: int) -> None:
    stream, ear = start(connection)
    wire = peer.response(stream.id) + peer.data(stream.id, b"abc") + peer.trailers(stream.id)
    for at in range(0, len(wire), size):
        connection.receive(wire[at : at + size])
    assert ear.told == [
        ("headers", "200", False),
        ("data", b"abc", False),
        ("headers", "0", True),
    ]
    assert connection.streams == {}


def test_padding_and_priority_are_taken_off(connection: Connection) -> None:
    stream, ear = start(connection)
    padded = b"\x03" + peer.block((":status", "200")) + b"\x00" * 3
    flags = frames.END_HEADERS | frames.PADDED
    connection.receive(peer.frame(frames.HEADERS, flags, stream.id, padded))
    prioritised = b"\x00\x00\x00\x00\x10" + peer.block((":status", "201"))
    flags = frames.END_HEADERS | frames.PRIORITIZED
    connection.receive(peer.frame(frames.HEADERS, flags, stream.id, prioritised))
    connection.receive(peer.frame(frames.DATA, frames.PADDED, stream.id, b"\x02ab\x00\x00"))
    assert ear.told == [
        ("headers", "200", False),
        ("headers", "201", False),
        ("data", b"ab", False),
    ]


def test_a_header_block_may_be_continued(connection: Connection) -> None:
    stream, ear = start(connection)
    block = peer.block((":status", "200"))
    connection.receive(peer.frame(frames.HEADERS, 0, stream.id, block[:1]))
    connection.receive(peer.frame(frames.CONTINUATION, frames.END_HEADERS, stream.id, block[1:]))
    assert ear.told == [("headers", "200", False)]


def test_a_large_request_block_is_continued(connection: Connection) -> None:
    connection.open(b"x" * 40_000, Ear())
    kinds = [(k, f, len(p)) for k, f, _, p in sent(connection)]
    assert kinds == [
        (frames.HEADERS, 0, 16_384),
        (frames.CONTINUATION, 0, 16_384),
        (frames.CONTINUATION, frames.END_HEADERS, 7_232),
    ]


def test_data_waits_for_both_windows(connection: Connection) -> None:
    stream, ear = start(connection, None)
    assert not connection.send(stream, b"x" * 100_000, end=True)
    assert sum(len(p) for k, _, _, p in sent(connection) if k == frames.DATA) == 65_535
    connection.receive(peer.frame(frames.WINDOW_UPDATE, 0, stream.id, (50_000).to_bytes(4, "big")))
    assert sent(connection) == [], "the connection's window is still closed"
    connection.receive(peer.frame(frames.WINDOW_UPDATE, 0, 0, (50_000).to_bytes(4, "big")))
    rest = sent(connection)
    assert sum(len(p) for _, _, _, p in rest) == 100_000 - 65_535
    assert rest[-1][1] == frames.END_STREAM
    assert ear.told == ["writable"]


def test_settings_move_the_windows_of_open_streams(connection: Connection) -> None:
    stream, _ = start(connection, None)
    connection.receive(peer.settings((frames.INITIAL_WINDOW_SIZE, 10)))
    connection.send(stream, b"x" * 30, end=True)
    assert [len(p) for k, _, _, p in sent(connection) if k == frames.DATA] == [10]
    connection.receive(peer.settings((frames.INITIAL_WINDOW_SIZE, 5)))
    connection.receive(peer.frame(frames.WINDOW_UPDATE, 0, stream.id, (5).to_bytes(4, "big")))
    assert [k for k, _, _, _ in sent(connection)] == [frames.SETTINGS], "the window is below zero"
    connection.receive(peer.settings((frames.INITIAL_WINDOW_SIZE, 100)))
    out = sent(connection)
    assert out[0][:2] == (frames.SETTINGS, frames.ACK), "the answer goes first"
    assert [len(p) for k, _, _, p in out if k == frames.DATA] == [20]


def test_a_request_ends_while_its_window_is_below_zero(connection: Connection) -> None:
    stream, _ = start(connection, None)
    connection.send(stream, bytes(10_000), end=False)
    connection.receive(peer.settings((frames.INITIAL_WINDOW_SIZE, 100)))
    connection.take_output()
    connection.end(stream)
    assert sent(connection) == [(frames.DATA, frames.END_STREAM, stream.id, b"")]


def test_a_large_message_goes_out_whole_and_is_not_copied(connection: Connection) -> None:
    connection.receive(peer.frame(frames.WINDOW_UPDATE, 0, 0, (2**20).to_bytes(4, "big")))
    message = random.Random(7).randbytes(100_000)
    stream, ear = start(connection, None)
    assert not connection.send_message(stream, b"\0\0\1\x86\xa0", message, end=True)
    assert connection.has_large
    pieces = connection.take_pieces()
    views = [piece for piece in pieces if isinstance(piece, memoryview)]
    assert all(view.obj is message for view in views)
    assert sum(map(len, views)) == 65_535 - frames.DEFAULT_FRAME_SIZE
    connection.receive(peer.frame(frames.WINDOW_UPDATE, 0, stream.id, (10**6).to_bytes(4, "big")))
    assert "writable" in ear.told
    data = peer.split(b"".join(pieces) + connection.take_output())[1:]
    assert b"".join(payload for _, _, _, payload in data) == b"\0\0\1\x86\xa0" + message
    assert [flags for _, flags, _, _ in data][-2:] == [0, frames.END_STREAM]
    assert not connection.has_large


@pytest.mark.parametrize("window", [0, 3, 16_384, 40_007, 40_008, 65_535, 10**6])
def test_a_message_in_parts_goes_out_as_one_and_is_not_copied(
    connection: Connection, window: int
) -> None:
    connection.receive(peer.settings((frames.INITIAL_WINDOW_SIZE, window)))
    connection.receive(peer.frame(frames.WINDOW_UPDATE, 0, 0, (2**20).to_bytes(4, "big")))
    connection.take_output()
    rng = random.Random(9)
    parts: list[bytes | memoryview] = [b"start", memoryview(rng.randbytes(40_000))]
    parts += [rng.randbytes(30_000), b"", b"end"]
    stream, ear = start(connection, None)
    connection.send_parts(stream, b"pre", parts)
    first = connection.take_pieces()
    assert ("writable" in ear.told) == (window > 70_000)
    connection.receive(peer.frame(frames.WINDOW_UPDATE, 0, stream.id, (10**6).to_bytes(4, "big")))
    assert ear.told == ["writable"]
    pieces = first + connection.take_pieces()
    assert [p.obj for p in pieces if isinstance(p, memoryview) and p.obj in parts[1:3]]
    data = peer.split(b"".join(pieces))[1:]
    assert b"".join(payload for _, _, _, payload in data) == b"pre" + b"".join(parts)
    assert all(payload for _, _, _, payload in data), "no frame is empty"
    assert [flags for _, flags, _, _ in data] == [0] * (len(data) - 1) + [frames.END_STREAM]


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("rest", [0, 1, 16_383])
@pytest.mark.parametrize("window", [0, 10, 16_384, 20_000, 32_768, 10**6])
def test_frames_of_the_full_size_fill_the_window(
    connection: Connection, window: int, rest: int, ends: bool
) -> None:
    connection.receive(peer.settings((frames.INITIAL_WINDOW_SIZE, window)))
    connection.receive(peer.frame(frames.WINDOW_UPDATE, 0, 0, (10**6).to_bytes(4, "big")))
    stream, _ = start(connection, None)
    connection.take_output()
    data = random.Random(rest).randbytes(3 * 16_384 + rest)
    connection.send(stream, data, end=ends)
    first = sent(connection)
    assert sum(len(payload) for _, _, _, payload in first) == min(window, len(data))
    connection.receive(peer.frame(frames.WINDOW_UPDATE, 0, stream.id, (10**6).to_bytes(4, "big")))
    both = first + sent(connection)
    assert b"".join(payload for _, _, _, payload in both) == data
    assert max(len(payload) for _, _, _, payload in both) <= 16_384
    assert all(payload for _, _, _, payload in both), "no frame is empty"
    assert [flags for _, flags, _, _ in both] == [0] * (len(both) - 1) + [int(ends)]


def test_data_waits_behind_other_data_of_its_stream(connection: Connection) -> None:
    stream, _ = start(connection, None)
    connection.send(stream, bytes(65_535), end=False)
    connection.take_output()
    connection.send(stream, b"first", end=False)
    connection.send_message(stream, b"pre", bytes(20_000), end=False)
    connection.end(stream)
    assert sent(connection) == []
    connection.receive(peer.frame(frames.WINDOW_UPDATE, 0, stream.id, (10**6).to_bytes(4, "big")))
    connection.receive(peer.frame(frames.WINDOW_UPDATE, 0, 0, (10**6).to_bytes(4, "big")))
    data = sent(connection)
    assert b"".join(payload for _, _, _, payload in data) == b"firstpre" + bytes(20_000)
    assert [flags & frames.END_STREAM for _, flags, _, _ in data] == [0, 0, frames.END_STREAM]


def test_a_stream_is_credited_only_as_it_is_read(connection: Connection) -> None:
    stream, _ = start(connection)
    for _ in range(STREAM_WINDOW // 16_384):
        connection.receive(peer.data(stream.id, bytes(16_384)))
    assert [s for k, _, s, _ in sent(connection) if k == frames.WINDOW_UPDATE and s] == []
    connection.consumed(stream, STREAM_WINDOW)
    updates = [(s, p) for k, _, s, p in sent(connection) if k == frames.WINDOW_UPDATE]
    assert updates == [(stream.id, STREAM_WINDOW.to_bytes(4, "big"))]


def test_a_ping_is_answered(connection: Connection) -> None:
    connection.receive(peer.frame(frames.PING, 0, 0, b"12345678"))
    assert sent(connection) == [(frames.PING, frames.ACK, 0, b"12345678")]
    connection.receive(peer.frame(frames.PING, frames.ACK, 0, b"abcdefgh"))
    assert sent(connection) == [], "an answer is not answered"


def test_a_goodbye_spares_calls_that_were_accepted(connection: Connection) -> None:
    (first, first_ear), (second, second_ear) = start(connection), start(connection)
    goodbye = first.id.to_bytes(4, "big") + bytes(4)
    connection.receive(peer.frame(frames.GOAWAY, 0, 0, goodbye))
    assert not connection.can_open
    assert second_ear.told == [("failed", None, True)]
    connection.receive(peer.response(first.id) + peer.trailers(first.id))
    assert first_ear.told[-1] == ("headers", "0", True)
    assert second.id not in connection.streams


@pytest.mark.parametrize(
    ("code", "unprocessed"), [(ErrorCode.REFUSED_STREAM, True), (ErrorCode.CANCEL, False)]
)
def test_a_reset_ends_its_stream_alone(
    connection: Connection, code: ErrorCode, unprocessed: bool
) -> None:
    (first, first_ear), (_, second_ear) = start(connection), start(connection)
    reset = code.to_bytes(4, "big")
    connection.receive(peer.frame(frames.RST_STREAM, 0, first.id, reset))
    assert first_ear.told == [("failed", code, unprocessed)]
    assert second_ear.told == []


def test_frames_for_a_stream_that_was_given_up_are_dropped(connection: Connection) -> None:
    stream, ear = start(connection)
    connection.reset(stream)
    connection.receive(peer.response(stream.id) + peer.data(stream.id, b"x"))
    connection.receive(peer.trailers(stream.id))
    assert ear.told == []


def test_as_many_calls_at_once_as_the_peer_allows(connection: Connection) -> None:
    connection.receive(peer.settings((frames.MAX_CONCURRENT_STREAMS, 2)))
    start(connection)
    assert connection.can_open
    stream, _ = start(connection)
    full = connection.can_open
    connection.receive(peer.trailers(stream.id))
    assert (full, connection.can_open) == (False, True)


def test_stream_ids_run_out(connection: Connection) -> None:
    connection._next_id = frames.LAST_STREAM_ID
    before = connection.can_open
    start(connection)
    assert (before, connection.can_open) == (True, False)


@pytest.mark.parametrize("size", [16_385, 100_000, 2_000_000])
@pytest.mark.parametrize("step", [1, 7, 40_000])
def test_data_in_a_frame_that_is_too_large_fails_its_stream_alone(
    connection: Connection, size: int, step: int
) -> None:
    """RFC 9113 section 4.2."""
    (broken, ear), (other, other_ear) = start(connection), start(connection)
    connection.take_output()
    received = peer.response(broken.id) + peer.frame(frames.DATA, 0, broken.id, bytes(size))
    received += peer.response(other.id) + peer.data(other.id, b"ok") + peer.trailers(other.id)
    near = [0, *range(9, min(size, 2_000), step), *range(2_000, len(received) - 200, 16_000)]
    for begin, over in zip(near, [*near[1:], len(received)], strict=True):
        connection.receive(received[begin:over])
    assert ear.told[-1] == ("failed", ErrorCode.FRAME_SIZE_ERROR, False)
    assert ("data", b"ok", False) in other_ear.told
    assert other_ear.told[-1] == ("headers", "0", True)
    code = int(ErrorCode.FRAME_SIZE_ERROR).to_bytes(4, "big")
    assert sent(connection) == [(frames.RST_STREAM, 0, broken.id, code)]


def test_data_that_is_skipped_counts_in_the_window_of_the_connection(
    connection: Connection,
) -> None:
    stream, _ = start(connection)
    connection.take_output()
    size = CONNECTION_WINDOW // 2
    connection.receive(peer.head(size, frames.DATA, frames.END_STREAM, stream.id))
    assert sent(connection) == [(frames.WINDOW_UPDATE, 0, 0, size.to_bytes(4, "big"))]
    assert not connection.streams
    for _ in range(size // 65_536):
        connection.receive(bytes(65_536))
    following, ear = start(connection)
    connection.receive(peer.response(following.id) + peer.trailers(following.id))
    assert ear.told[-1] == ("headers", "0", True)


@pytest.mark.parametrize("size", [65_537, 70_000, 98_304, 5 * 16_393 - 4, 5 * 16_393, 250_000])
@pytest.mark.parametrize("work", [1, 3, 500])
def test_frames_are_whole_wherever_large_reads_are_cut(
    connection: Connection, size: int, work: int
) -> None:
    stream, ear = start(connection)
    bodies = [random.Random(n).randbytes(16_384) for n in range(40)]
    come = peer.response(stream.id) + b"".join(peer.data(stream.id, body) for body in bodies)
    come += peer.trailers(stream.id)
    for number, at in enumerate(range(0, len(come), size)):
        connection.receive(come[at : at + size], work)
        while connection.has_more and number % 2:  # else more comes while frames wait
            connection.receive(b"", work)
    connection.receive(b"")
    assert ear.told == [
        ("headers", "200", False),
        *(("data", body, False) for body in bodies),
        ("headers", "0", True),
    ]


def many(one: bytes, times: int) -> Callable[[int], bytes]:
    return lambda _stream: one * times


HOSTILE = [
    *(
        pytest.param(lambda s, k=kind: peer.head(16_385, k, 0, s), "too large", id=f"large {kind}")
        for kind in (frames.HEADERS, frames.RST_STREAM, frames.WINDOW_UPDATE, 99)
    ),
    pytest.param(lambda _: peer.head(16_385, frames.SETTINGS, 0, 0), "too large", id="settings"),
    pytest.param(lambda _: peer.head(16_385, frames.DATA, 0, 0), "idle stream", id="large data"),
    pytest.param(lambda _: peer.frame(frames.PUSH_PROMISE, 4, 1, b"\0\0\0\2"), "push", id="push"),
    pytest.param(lambda _: peer.data(99, b"x"), "idle stream", id="data on an idle stream"),
    pytest.param(lambda _: peer.data(2, b"x"), "idle stream", id="data on a server's stream"),
    pytest.param(lambda _: peer.data(0, b"x"), "idle stream", id="data on the connection"),
    pytest.param(
        lambda s: peer.frame(frames.HEADERS, 0, s, b"x") + peer.data(s, b""),
        "interrupted",
        id="interrupted headers",
    ),
    pytest.param(
        lambda s: peer.frame(frames.CONTINUATION, 4, s, b"x"), "nothing to continue", id="stray"
    ),
    pytest.param(
        lambda s: (
            peer.frame(frames.HEADERS, 0, s, b"\0" * 16_384)
            + peer.frame(frames.CONTINUATION, 0, s, b"\0" * 1_000) * 1_025
        ),
        "headers are too large",
        id="continuation bomb",
    ),
    pytest.param(
        lambda s: (
            peer.frame(frames.HEADERS, 0, s, b"x") + peer.frame(frames.CONTINUATION, 0, s) * 20_000
        ),
        "idle frames",
        id="continuation flood",
    ),
    pytest.param(
        lambda s: peer.frame(frames.HEADERS, 4, s, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        "malformed",
        id="broken compression",
    ),
    pytest.param(many(peer.settings(), 2_000), "too many frames to answer", id="settings flood"),
    pytest.param(
        many(peer.frame(frames.PING, 0, 0, bytes(8)), 2_000), "too many frames", id="ping flood"
    ),
    pytest.param(lambda s: peer.data(s, b"") * 20_000, "idle frames", id="empty data flood"),
    pytest.param(
        many(peer.frame(frames.PRIORITY, 0, 1, bytes(5)), 20_000), "idle", id="priority flood"
    ),
    pytest.param(
        lambda s: peer.frame(frames.DATA, frames.PADDED, s, b"\x05ab"), "padding", id="padding"
    ),
    pytest.param(
        lambda _: peer.frame(frames.WINDOW_UPDATE, 0, 0, (2**31 - 1).to_bytes(4, "big")) * 2,
        "window",
        id="window overflow",
    ),
    pytest.param(
        lambda _: peer.frame(frames.WINDOW_UPDATE, 0, 0, bytes(4)), "window", id="empty update"
    ),
    pytest.param(lambda _: peer.frame(frames.PING, 0, 0, b"short"), "8 bytes", id="short ping"),
    pytest.param(lambda _: peer.frame(frames.SETTINGS, 0, 0, b"x"), "malformed", id="settings"),
    pytest.param(
        lambda _: peer.settings((frames.MAX_FRAME_SIZE, 1)), "out of range", id="frame size"
    ),
    pytest.param(
        lambda _: peer.settings((frames.INITIAL_WINDOW_SIZE, 2**31)), "out of range", id="window"
    ),
    pytest.param(lambda _: peer.frame(frames.GOAWAY, 0, 0, b""), "malformed", id="goodbye"),
]


@pytest.mark.parametrize(("attack", "says"), HOSTILE)
def test_a_hostile_peer_is_left_and_every_call_told(
    connection: Connection, attack: Callable[[int], bytes], says: str
) -> None:
    stream, ear = start(connection)
    connection.take_output()
    with pytest.raises(ConnectionFailed, match=says):
        connection.receive(attack(stream.id))
    assert connection.draining
    assert sent(connection)[-1][0] == frames.GOAWAY
    assert connection.streams == {}
    assert ear.told[-1][0] == "failed"  # type: ignore[index]


def continued(stream_id: int, block: bytes, *, end: bool = False) -> bytes:
    """A header block in as many frames as it needs."""
    size, flags = frames.DEFAULT_FRAME_SIZE, frames.END_STREAM if end else 0
    rest = [block[at : at + size] for at in range(size, len(block), size)]
    sent = [peer.frame(frames.CONTINUATION, 0, stream_id, piece) for piece in rest]
    sent.insert(0, peer.frame(frames.HEADERS, flags, stream_id, block[:size]))
    return b"".join(sent) + peer.frame(frames.CONTINUATION, frames.END_HEADERS, stream_id)


ONE_STREAM = [
    pytest.param(
        lambda s: continued(s, b"\x00\x01a\x7f\xe1\xff\x05" + b"z" * 98_400, end=True),
        ErrorCode.ENHANCE_YOUR_CALM,
        id="trailers in many frames",
    ),
    pytest.param(
        lambda s: continued(s, b"\x40\x01a\x7f\xd0\x86\x03" + b"z" * 50_007 + b"\x88" * 99_999),
        ErrorCode.ENHANCE_YOUR_CALM,
        id="headers to be indexed, in many frames",
    ),
    pytest.param(
        lambda s: continued(s, b"\x00" * 16 * 1024 * 1000),
        ErrorCode.ENHANCE_YOUR_CALM,
        id="16 MB of headers",
    ),
    pytest.param(
        lambda s: peer.frame(frames.HEADERS, frames.END_HEADERS, s, b"\x88" * 16_000),
        ErrorCode.ENHANCE_YOUR_CALM,
        id="header bomb",
    ),
    pytest.param(
        lambda s: continued(s, b"\x00\x01a\x00" * 16_000),
        ErrorCode.ENHANCE_YOUR_CALM,
        id="many small headers",
    ),
    pytest.param(
        lambda s: peer.headers(s, ("x-bin", "," * 10_000)),
        ErrorCode.ENHANCE_YOUR_CALM,
        id="many values of one name",
    ),
    pytest.param(
        lambda s: peer.data(s, bytes(16_384)) * (STREAM_WINDOW // 16_384 + 9),
        ErrorCode.FLOW_CONTROL_ERROR,
        id="window overrun",
    ),
    pytest.param(
        lambda s: peer.frame(frames.WINDOW_UPDATE, 0, s, bytes(4)),
        ErrorCode.PROTOCOL_ERROR,
        id="window opened by nothing",
    ),
    pytest.param(
        lambda s: peer.frame(frames.WINDOW_UPDATE, 0, s, (2**31 - 1).to_bytes(4, "big")),
        ErrorCode.FLOW_CONTROL_ERROR,
        id="window too large",
    ),
]


@pytest.mark.parametrize(("attack", "code"), ONE_STREAM)
def test_what_is_wrong_with_one_stream_ends_it_alone(
    connection: Connection, attack: Callable[[int], bytes], code: ErrorCode
) -> None:
    (first, first_ear), (other, other_ear) = start(connection), start(connection)
    connection.take_output()
    wire = attack(first.id)
    connection.receive(wire)
    failed = [one for one in first_ear.told if one[0] == "failed"]  # type: ignore[index]
    assert failed == [("failed", code, False)]
    assert list(connection.streams) == [other.id]
    assert frames.GOAWAY not in [kind for kind, *_ in sent(connection)]
    connection.receive(attack(first.id))  # what was on its way is dropped
    # Both sides still agree on what header blocks say.
    connection.receive(peer.response(other.id) + peer.data(other.id, b"x"))
    connection.receive(peer.trailers(other.id, "5"))
    assert other_ear.told[0] == ("headers", "200", False)
    assert other_ear.told[-1] == ("headers", "5", True)


def test_a_peer_that_sends_on_for_streams_that_are_over_is_left(connection: Connection) -> None:
    stream, _ = start(connection)
    connection.reset(stream)
    for _ in range(STREAM_WINDOW // 64):  # as much as may have been on its way is no offence
        connection.receive(peer.data(stream.id, bytes(64)))
    with pytest.raises(ConnectionFailed, match="idle frames"):
        connection.receive(peer.data(stream.id, b"x") * 10_001)


def test_a_flood_beside_a_few_calls_is_a_flood(connection: Connection) -> None:
    for _ in range(50):
        stream, _ = start(connection)
        connection.receive(peer.frame(frames.PRIORITY, 0, 1, bytes(5)) * 200)
        connection.receive(peer.response(stream.id) + peer.trailers(stream.id))
    flood = peer.frame(frames.PRIORITY, 0, 1, bytes(5)) * 2_000
    with pytest.raises(ConnectionFailed, match="idle frames") as raised:
        connection.receive(flood)
    assert raised.value.code is ErrorCode.ENHANCE_YOUR_CALM


def test_windows_opened_as_data_goes_are_no_flood(connection: Connection) -> None:
    stream, _ = start(connection, None)
    update = peer.frame(frames.WINDOW_UPDATE, 0, stream.id, (10).to_bytes(4, "big"))
    both = update + peer.frame(frames.WINDOW_UPDATE, 0, 0, (10).to_bytes(4, "big"))
    for _ in range(20_000):
        connection.send(stream, b"0123456789", end=False)
        connection.receive(both)
    assert not connection.draining


def test_no_more_is_taken_at_once_than_was_allowed(connection: Connection) -> None:
    stream, ear = start(connection)
    connection.receive(peer.response(stream.id) + peer.data(stream.id, b"x") * 500, 100)
    assert len(ear.told) == 100
    assert connection.has_more
    for _ in range(5):
        connection.receive(b"", 100)
    assert len(ear.told) == 501
    assert not connection.has_more


def test_a_peer_that_does_not_speak_http_2_is_left() -> None:
    for greeting in (b"HTTP/1.1 400 Bad Request\r\n\r\n", peer.data(1, b"x"), b"SSH-2.0-OpenSSH\n"):
        with pytest.raises(ConnectionFailed):
            Connection(ResponseDecoder()).receive(greeting)


def test_losing_the_socket_ends_every_call(connection: Connection) -> None:
    ears = [start(connection)[1] for _ in range(3)]
    connection.take_output()
    connection.lost()
    assert [ear.told for ear in ears] == [[("failed", None, False)]] * 3


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(lambda i: peer.data(i, b"abc") + peer.trailers(i), id="a reply"),
        pytest.param(lambda i: peer.data(i, b"abc") + peer.trailers(i, "5"), id="a failure"),
        pytest.param(lambda i: peer.data(i, b"") + peer.trailers(i), id="an empty body"),
        pytest.param(lambda i: peer.data(i, b"abc", end=True), id="no trailers"),
        pytest.param(peer.trailers, id="no body"),
        pytest.param(lambda i: peer.data(i, b"a") * 2 + peer.trailers(i), id="two frames"),
        pytest.param(lambda i: peer.data(i + 2, b"a") + peer.trailers(i + 2), id="another's"),
        pytest.param(lambda i: peer.data(i, b"a") + peer.trailers(i + 2), id="another's trailers"),
        pytest.param(lambda i: peer.data(i + 2, b"a") + peer.trailers(i), id="another's data"),
        pytest.param(
            lambda i: peer.frame(frames.DATA, frames.PADDED, i, b"\x01ab\0") + peer.trailers(i),
            id="padded",
        ),
    ],
)
def test_what_comes_at_once_is_told_as_if_it_came_in_bits(rest: Callable[[int], bytes]) -> None:
    told = []
    for size in (1, 100_000):
        connection = Connection(ResponseDecoder())
        connection.receive(peer.settings())
        ears = []
        for _ in range(2):  # the second time all header blocks are known
            stream, ear = start(connection)
            _, other = start(connection)
            wire = peer.response(stream.id) + rest(stream.id)
            for at in range(0, len(wire), size):
                connection.receive(wire[at : at + size])
            ears += [ear, other]
        told.append([[ear.told for ear in ears], sorted(connection.streams)])
    assert told[0] == told[1]


def test_a_whole_reply_is_told_in_one_step_although_its_headers_are_new() -> None:
    class Whole(Ear):
        def on_whole(
            self, headers: ResponseHeaders, data: bytes, trailers: ResponseHeaders
        ) -> None:
            self.told.append((headers.http_status, data, trailers.grpc_status))

    connection, ear = Connection(ResponseDecoder()), Whole()
    connection.receive(peer.settings())
    connection.open(peer.block((":path", "/x")), ear)
    connection.receive(peer.response(ear.id) + peer.data(ear.id, b"abc") + peer.trailers(ear.id))
    assert ear.told == [("200", b"abc", 0)]


def test_whole_replies_have_their_own_headers_whichever_came_before(connection: Connection) -> None:
    class Whole(Ear):
        def on_whole(
            self, headers: ResponseHeaders, data: bytes, trailers: ResponseHeaders
        ) -> None:
            self.told.append((headers.metadata, trailers.metadata))

    pairs = [("a", "1"), ("a", "1"), ("b", "1"), ("b", "2"), ("a", "2"), ("a", "1")]
    for first, last in pairs:
        ear = Whole()
        connection.open(peer.block((":path", "/x")), ear)
        opening = peer.response(ear.id, ("x", first))
        closing = peer.trailers(ear.id, "0", ("y", last))
        connection.receive(opening + peer.data(ear.id, b"abc") + closing)
        assert ear.told == [((("x", first),), (("y", last),))]


def test_a_whole_reply_with_malformed_trailers_ends_the_connection(connection: Connection) -> None:
    stream, ear = start(connection)
    sent(connection)
    rest = peer.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream.id, b"\xff")
    with pytest.raises(ConnectionFailed, match="malformed"):
        connection.receive(peer.response(stream.id) + peer.data(stream.id, b"abc") + rest)
    assert ear.told[1:] == [("data", b"abc", False), ("failed", None, False)]


def test_whole_replies_use_up_windows_that_are_opened_again(connection: Connection) -> None:
    body = bytes(frames.DEFAULT_FRAME_SIZE)
    for _ in range(2 * CONNECTION_WINDOW // len(body)):
        stream, ear = start(connection)
        connection.receive(
            peer.response(stream.id) + peer.data(stream.id, body) + peer.trailers(stream.id)
        )
        assert len(ear.told) == 3
    opened = [payload for kind, _, _, payload in sent(connection) if kind == frames.WINDOW_UPDATE]
    assert sum(int.from_bytes(payload, "big") for payload in opened) >= CONNECTION_WINDOW


def test_a_whole_reply_to_a_call_still_being_sent_ends_the_sending(connection: Connection) -> None:
    start(connection)
    wire = peer.response(1) + peer.data(1, b"abc") + peer.trailers(1)
    connection.receive(wire)
    stream, ear = start(connection, None)
    sent(connection)
    connection.receive(peer.response(3) + peer.data(3, b"abc") + peer.trailers(3))
    assert ear.told[-1] == ("headers", "0", True)
    no_error = ErrorCode.NO_ERROR.to_bytes(4, "big")
    assert sent(connection) == [(frames.RST_STREAM, 0, stream.id, no_error)]

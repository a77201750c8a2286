"""Whatever a server sends, the connection takes it or is over; it never breaks."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http2 import frames
from gateway.http2.connection import Connection
from gateway.http2.frames import ErrorCode
from gateway.http2.incoming import ConnectionFailed
from gateway.http2.stream import Stream
from gateway.upstream.channels.http2.headers import ResponseDecoder, ResponseHeaders
from tests.support import http2_peer as peer

BLOCKS = st.sampled_from(
    [
        peer.block((":status", "200"), ("content-type", "application/grpc")),
        peer.block(("grpc-status", "0")),
        peer.block(("grpc-status", "x"), ("a-bin", "!!")),
        b"",
    ]
)
PAYLOADS = st.one_of(BLOCKS, st.binary(max_size=40))
FRAMES = st.builds(
    peer.frame,
    st.one_of(st.sampled_from(range(10)), st.integers(0, 255)),
    st.sampled_from([0, 1, 4, 5, 8, 0x20, 0x2D, 0xFF]),
    st.sampled_from([0, 1, 3, 5, 2]),
    PAYLOADS,
)
OPENING = st.sampled_from([peer.settings(), b""])


class Ending(Stream[ResponseHeaders]):
    """Counts how often a stream ends."""

    def __init__(self) -> None:
        self.count = 0

    def on_headers(self, headers: ResponseHeaders, *, ended: bool) -> None:
        self.count += ended

    def on_data(self, data: bytes, *, ended: bool) -> None:
        self.count += ended

    def on_writable(self) -> None:
        pass

    def on_failed(self, code: ErrorCode | None, *, unprocessed: bool) -> None:
        self.count += 1


def started(connection: Connection) -> list[Ending]:
    endings = [Ending(), Ending()]
    for ending in endings:
        connection.open(peer.block((":path", "/x")), ending)
        connection.send(ending, b"hello", end=True)
    return endings


@settings(max_examples=300, deadline=None)
@given(OPENING, st.lists(FRAMES, max_size=12), st.integers(1, 60))
def test_every_stream_ends_once_whatever_comes_and_however_it_is_cut(
    opening: bytes, sent: list[bytes], size: int
) -> None:
    connection = Connection(ResponseDecoder())
    endings = started(connection)
    everything = opening + b"".join(sent)
    try:
        for at in range(0, len(everything), size):
            connection.receive(everything[at : at + size])
    except ConnectionFailed as failure:
        goodbye = frames.goaway(failure.code)
        assert connection.take_output().endswith(goodbye)
        assert not connection.streams
    open_streams = len(connection.streams)
    assert sum(ending.count for ending in endings) + open_streams == len(endings)
    connection.lost()
    assert [ending.count for ending in endings] == [1, 1]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_taken_or_refused(noise: bytes) -> None:
    connection = Connection(ResponseDecoder())
    endings = started(connection)
    try:
        connection.receive(peer.settings() + noise)
    except ConnectionFailed:
        assert [ending.count for ending in endings] == [1, 1]

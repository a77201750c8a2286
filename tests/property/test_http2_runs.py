"""Frames that come at once do what the same frames do one by one, wherever the reads are cut.

What comes in large pieces is in memory that is used again.
"""

import asyncio
import random
from typing import Any

import pytest

from gateway.http2.incoming import ConnectionFailed
from gateway.http2.lent import MUCH_BYTES, LentConnection
from gateway.upstream.channels.http2.socket import Http2Socket
from gateway.upstream.channels.http2.streaming_call import StreamingCall
from gateway.upstream.channels.large_replies import LargeReplies
from tests.support import http2_peer as peer

HEADERS = peer.block((":status", "200"), ("content-type", "application/grpc"))
SIZES = (0, 1, 4, 5, 9, 90, 4091, 4096, 5000, 16_384, 16_400, 40_000, 70_000)
CUTS = (1, 3, 5, 100, 4095, 4096, 4100, 9000, 16_384)
DATA, PADDED, ENDED = 0, 8, 1


def body(chance: random.Random) -> bytes:
    """Messages: now and then one is compressed, too large, has a wrong flag, or does not end."""
    wire = b""
    for _ in range(chance.randrange(1, 8)):
        message = chance.randbytes(chance.choice(SIZES))
        flag = chance.choice((1, 2)) if chance.random() < 0.2 else 0
        wire += bytes([flag]) + len(message).to_bytes(4, "big") + message
    if chance.random() < 0.05:
        wire += (100_001).to_bytes(5, "big") + bytes(9000)
    return wire if chance.random() < 0.9 else wire[: -chance.randrange(1, 6)]


def frames_of(chance: random.Random, stream_id: int) -> list[bytes]:
    """A reply in frames: mostly plain, some empty, padded or of the longest size."""
    wire, usual = body(chance), chance.choice(CUTS)
    # The empty frame: a whole reply of three frames is not taken frame by frame.
    frames = [peer.frame(1, 4, stream_id, HEADERS), peer.frame(DATA, 0, stream_id, b"")]
    least = 200 if len(wire) > 20_000 else 1
    while wire:
        size = max(usual if chance.random() < 0.8 else chance.choice(CUTS), least)
        part, wire = wire[:size], wire[size:]
        kind = chance.random()
        if kind < 0.03 and len(part) < 16_000:
            frames.append(peer.frame(DATA, PADDED, stream_id, b"\x05" + part + bytes(5)))
        elif kind < 0.05 and not wire:
            frames.append(peer.frame(DATA, ENDED, stream_id, part))
        else:
            frames.append(peer.frame(DATA, 0, stream_id, part))
        if kind > 0.98:
            frames.append(peer.frame(DATA, 0, stream_id, b""))
    if chance.random() < 0.8:
        frames.append(peer.frame(1, 5, stream_id, peer.block(("grpc-status", "0"))))
    return frames


def mixed(chance: random.Random, *streams: list[bytes]) -> list[bytes]:
    """The frames of all streams, those of one mostly together."""
    left, mixed = [list(reversed(one)) for one in streams], []
    while left := [one for one in left if one]:
        one = chance.choice(left)
        mixed += [one.pop() for _ in range(min(len(one), chance.randrange(1, 9)))]
    return mixed


def give(connection: LentConnection, piece: bytes, work: int) -> None:
    """Lets a connection take what came, as its socket does; large pieces are only lent."""
    if len(piece) < MUCH_BYTES:
        connection.receive(piece, work)
        return
    memory = bytearray(piece)
    connection.receive_lent(memoryview(memory), work)
    memory[:] = bytes(len(memory))


def taken(pieces: list[bytes], work: int) -> tuple[Any, ...]:
    """The state of a connection and of its two calls after it was given these pieces."""
    socket = Http2Socket(asyncio.get_running_loop(), lambda _: None)
    connection = socket.connection
    connection._note_idle(5000)  # data pays for them
    calls = []
    for _ in range(2):
        call = StreamingCall("echo", 100_000, socket, LargeReplies("echo", 10_000_000, 1.0))
        connection.open(b"", call)
        calls.append(call)
    failure = ""
    try:
        for piece in (peer.settings(), *pieces):
            give(connection, piece, work)
            while connection.has_more:
                connection.receive(b"", work)
    except ConnectionFailed as error:
        failure = str(error)
    states = [
        (
            [bytes(message) for message in call._messages],
            call.ended,
            str(call.error),
            call.received_bytes,
            call.room + call.credit + call._owed,
            # Nothing of the reads is kept: they may be much larger than the part.
            any(type(part) is memoryview for part in call._parts or ()),
        )
        for call in calls
    ]
    idle, late = (connection._idle_frames, connection._useful_frames), connection._late_room
    return failure, states, connection._room, idle, late, sorted(connection.streams)


@pytest.mark.parametrize("seed", range(60))
async def test_frames_together_do_what_they_do_alone(seed: int) -> None:
    chance = random.Random(seed)
    frames = mixed(chance, frames_of(chance, 1), frames_of(chance, 3))
    alone = taken(frames, 500)
    everything, at, reads = b"".join(frames), 0, []
    while at < len(everything):
        size = chance.choice((2, 9, 12, 100, 20_000, 100_000, 256_000))
        reads.append(everything[at : at + size])
        at += size
    assert taken(reads, chance.choice((1, 2, 7, 500))) == alone
    assert not any(state[-1] for state in alone[1])


async def test_a_stream_that_overruns_its_window_fails_at_the_same_frame() -> None:
    chance = random.Random(1)
    message = chance.randbytes(90_000)
    wire = (len(message).to_bytes(5, "big") + message) * 14  # a window is 1 MiB
    frames = [peer.frame(1, 4, 1, HEADERS)]
    frames += [peer.frame(DATA, 0, 1, wire[at : at + 16_384]) for at in range(0, len(wire), 16_384)]
    alone = taken(frames, 500)
    assert taken([b"".join(frames)], 500) == alone
    assert alone[1][0][1]
    assert len(alone[1][0][0]) == 11

"""The server's side of HTTP/2, frame by frame: what it should say, and what none should."""

import struct

import hpack

from gateway.http2 import frames


def head(length: int, kind: int, flags: int, stream_id: int) -> bytes:
    """A frame's head, built without the code under test."""
    return length.to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big")


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    return head(len(payload), kind, flags, stream_id) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(frames.SETTINGS, 0, 0, b"".join(struct.pack(">HL", *pair) for pair in pairs))


def block(*headers: tuple[str, str]) -> bytes:
    """A header block that needs no dynamic table."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return encoder.encode(headers, huffman=True)


def headers(stream_id: int, *pairs: tuple[str, str], end: bool = False) -> bytes:
    """A HEADERS frame."""
    flags = frames.END_HEADERS | (frames.END_STREAM if end else 0)
    return frame(frames.HEADERS, flags, stream_id, block(*pairs))


def response(stream_id: int, *more: tuple[str, str]) -> bytes:
    """The headers that open a gRPC reply."""
    return headers(stream_id, (":status", "200"), ("content-type", "application/grpc"), *more)


def data(stream_id: int, payload: bytes, *, end: bool = False) -> bytes:
    """A DATA frame."""
    return frame(frames.DATA, frames.END_STREAM if end else 0, stream_id, payload)


def message(payload: bytes, *, packed: bool = False) -> bytes:
    """A message as gRPC frames it."""
    return bytes((packed,)) + len(payload).to_bytes(4, "big") + payload


def trailers(stream_id: int, status: str = "0", *more: tuple[str, str]) -> bytes:
    """The trailers that close a gRPC reply."""
    return headers(stream_id, ("grpc-status", status), *more, end=True)


def split(sent: bytes) -> list[tuple[int, int, int, bytes]]:
    """What a client sent behind its preface, as (type, flags, stream, payload)."""
    sent = sent.removeprefix(frames.PREFACE)
    found = []
    while sent:
        size = int.from_bytes(sent[:3], "big")
        stream_id = int.from_bytes(sent[5:9], "big")
        found.append((sent[3], sent[4], stream_id, sent[9 : 9 + size]))
        sent = sent[9 + size :]
    return found

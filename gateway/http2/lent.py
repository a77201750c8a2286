"""The client's side of a connection whose bytes come in memory that is used again.

Large parts of bodies are copied from there once, into the messages that they belong to.
"""

import struct
from typing import Any, Final

from gateway.http2.connection import Connection
from gateway.http2.frames import DATA, DEFAULT_FRAME_SIZE, HEAD_BYTES
from gateway.http2.stream import CONNECTION_WINDOW, PART_BYTES, Stream

MUCH_BYTES: Final = 2 * DEFAULT_FRAME_SIZE
"""The size from which it pays to lend bytes; fewer are copied."""
_FRAME_BYTES: Final = DEFAULT_FRAME_SIZE + HEAD_BYTES
_FEW_BYTES: Final = 512
"""The first bytes that are copied behind large parts: most often the end of a message."""
_STREAM_ID: Final = 2**31 - 1

_head: Final = struct.Struct(">LBL").unpack_from
"""The nine bytes of a frame's head as three numbers: length << 8 | type, flags, and stream id."""


class LentConnection(Connection):
    """A connection to which received bytes are lent, each time until `receive_lent` returns."""

    def receive_lent(self, lent: memoryview, work: int) -> None:
        """Takes bytes from the peer, as `receive`; messages are the same however they come."""
        if self.has_more:
            self.receive(bytes(lent), work)
            return
        touched: dict[int, Stream[Any]] = {}
        self._work = work
        try:
            self._take_all(lent, touched)
        finally:
            for stream in touched.values():
                stream.on_parts_end()

    def _take_all(self, lent: memoryview, touched: dict[int, Stream[Any]]) -> None:
        at, size, count = 0, len(lent), _FRAME_BYTES
        while at < size:
            if not (self._buffer or self._skip_bytes or self._due is not None):
                over = self._take_parts(lent, at, touched)
                if over > at:
                    at, count = over, _FEW_BYTES
            end = min(at + (self._lacks() or count), size)
            self.receive(bytes(lent[at:end]), self._work)
            if self.has_more:
                self._buffer += bytes(lent[end:])
                return
            left = len(self._buffer)
            if end == size or left > end - at:
                at = end
            else:  # a frame that was not copied whole may be a large part
                self._buffer = b""
                count = _FRAME_BYTES if left == end - at else min(2 * count, _FRAME_BYTES)
                at = end - left

    def _lacks(self) -> int:
        """The bytes that the frame lacks which has begun; 0 if that is not known."""
        begun = self._buffer
        if len(begun) < HEAD_BYTES:
            return 0
        return max(0, HEAD_BYTES + int.from_bytes(begun[:3], "big") - len(begun))

    def _take_parts(self, lent: memoryview, at: int, touched: dict[int, Stream[Any]]) -> int:
        """Takes frames with large parts of bodies, and the ends of messages; returns their end.

        All others are left, and those that break a rule.
        """
        size, last_id = len(lent), 0
        word: int
        flags: int
        stream_id: int
        while at + HEAD_BYTES <= size and self._work > 0:
            word, flags, stream_id = _head(lent, at)
            kind, length = word & 255, word >> 8
            stream_id &= _STREAM_ID
            start = at + HEAD_BYTES
            over = start + length
            if kind != DATA or flags or not length or length > DEFAULT_FRAME_SIZE or over > size:
                break
            stream = self.streams.get(stream_id)
            if stream is None or length > stream.room or length > self._room:
                break
            is_large = length >= PART_BYTES
            if not is_large and stream_id != last_id:
                break
            self._work -= 1
            self._useful_frames += 1
            stream.room -= length
            self._room -= length
            if self._room <= CONNECTION_WINDOW // 2:
                self._make_room()
            if is_large:
                touched[stream_id] = stream
                stream.on_part(lent[start:over])
                last_id = stream_id
            else:
                stream.on_data(bytes(lent[start:over]), ended=False)
                last_id = 0
            at = over
        return at

"""The client's side of one HTTP/2 connection as a state machine: no socket, no waiting.

`receive` takes bytes and tells the streams of them; bytes to send collect for `take_output`.
A peer that breaks the protocol, or floods, ends the connection with a `ConnectionFailed` and a
GOAWAY, and all streams fail (RFC 9113). An error of one stream ends that stream only: its window
overrun or opened wrongly, headers that are too large.
"""

import time
from collections.abc import Callable
from typing import Any, Final

from gateway.http2 import frames, incoming
from gateway.http2.frames import ErrorCode
from gateway.http2.headers import HeaderBlock, HeaderDecoder, HeaderError, HeadersTooLargeError
from gateway.http2.incoming import ConnectionFailed
from gateway.http2.outgoing import Outgoing
from gateway.http2.stream import CONNECTION_WINDOW, Stream

_UNLIMITED: Final = 2**31
_BLOCK_BYTES_A_FRAME: Final = 64
"""Bytes of headers not seen before that cost about as much as a small frame."""


class Connection(Outgoing):
    """The client's side of one connection."""

    def __init__(
        self,
        decoder: HeaderDecoder[Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(clock, decoder.max_bytes)
        self.settings_seen = 0
        """The number of SETTINGS frames received; the first is the peer's preface."""
        self.pings_too_often = False
        """True if the peer sent GOAWAY because of our pings."""
        self.max_header_bytes = _UNLIMITED
        """The largest list of headers that the peer accepts."""
        self.goaway_code: ErrorCode | None = None
        """The error code of the peer's GOAWAY, or None."""
        self._buffer = b""
        self._header_bytes = decoder.max_bytes
        self._decoder = decoder
        self._known = self._decoder.known
        # The first and the last block of a whole reply, as they were last; at first, empty ones.
        self._first = self._last = b""
        self._opening: HeaderBlock = decoder.read([])
        self._closing = self._opening
        self._skip_bytes = 0
        """The rest of a frame that is too large; it is dropped as it comes."""
        # The only kind of frame that may come next, or None for any.
        self._due: int | None = frames.SETTINGS
        self._block: incoming.PartialBlock | None = None

    def __repr__(self) -> str:
        state = "draining" if self.draining else "open"
        return f"<Connection {state}, {len(self.streams)} streams, next {self._next_id}>"

    def lost(self) -> None:
        """Ends every stream: the socket is gone."""
        self.draining = True
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            # A call that was never sent was certainly not processed.
            stream.on_failed(None, unprocessed=stream.id >= self._unsent_id)

    def receive(self, data: bytes, work: int = _UNLIMITED) -> None:
        """Takes bytes from the peer, up to `work` frames of them.

        If frames remain, `has_more` is true, and the next `receive` continues with them. A frame
        that costs more than usual counts as several.

        Raises:
            ConnectionFailed: the peer broke the protocol. All streams have failed, and a GOAWAY is
                in the output.
        """
        self._work = work
        if self._skip_bytes:
            skipped = min(self._skip_bytes, len(data))
            self._skip_bytes -= skipped
            data = data[skipped:]
        try:
            self._receive(self._buffer + data if self._buffer else data)
        except ConnectionFailed as failure:
            self.output.append(frames.goaway(failure.code))
            self.lost()
            raise

    def _receive(self, buffer: bytes) -> None:
        at, end = 0, len(buffer)
        self.has_more = False
        while end - at >= frames.HEAD_BYTES:
            self._work -= 1
            if self._work < 0:
                self.has_more = True
                break
            # A frame's head (RFC 9113 section 4.1), read byte by byte: as machine code this takes a
            # tenth of what `struct` does.
            length = buffer[at] << 16 | buffer[at + 1] << 8 | buffer[at + 2]
            start = at + frames.HEAD_BYTES
            is_too_large = length > frames.DEFAULT_FRAME_SIZE
            if start + length > end and not is_too_large:
                break
            kind, flags = buffer[at + 3], buffer[at + 4]
            # The first bit of the id is reserved, and ignored.
            stream_id = (buffer[at + 5] & 127) << 24 | buffer[at + 6] << 16
            stream_id |= buffer[at + 7] << 8 | buffer[at + 8]
            if self._due is not None and kind != self._due:
                raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, incoming.MISSING[self._due])
            at = start + length
            if is_too_large:
                self._on_too_large(kind, flags, stream_id, length)
                self._skip_bytes = max(0, at - end)
                continue
            payload = buffer[start:at]
            if kind == frames.DATA:
                self._on_data(flags, stream_id, payload)
            elif kind == frames.HEADERS and flags == frames.END_HEADERS:
                over = self._on_whole(buffer, start, at, stream_id, payload)
                if over:
                    at = over
                else:
                    self._on_block(stream_id, payload, ended=False)
            elif kind == frames.HEADERS:
                self._on_headers(flags, stream_id, payload)
            elif kind == frames.WINDOW_UPDATE:
                self._on_window_update(stream_id, payload)
            else:
                self._on_rare(kind, flags, stream_id, payload)
        self._buffer = buffer[at:]

    def _on_whole(self, buffer: bytes, start: int, at: int, stream_id: int, block: bytes) -> int:
        """Takes a reply whose frames all follow its headers; returns its end, or 0 if it is none.

        Most replies are three frames that come at once: that costs a third less. Frame by frame,
        one with blocks that cannot be decoded fails as it has to.
        """
        sent_id = buffer[start - 4 : start]
        ends = incoming.next_whole(buffer, at, frames.DATA, 0, sent_id)
        if not ends:
            return 0
        over = incoming.next_whole(buffer, ends, frames.HEADERS, frames.WHOLE_HEADERS, sent_id)
        stream = self.streams.get(stream_id)
        if not over or stream is None:
            return 0
        at += frames.HEAD_BYTES
        size = ends - at
        if not 0 < size <= frames.DEFAULT_FRAME_SIZE or size > stream.room:
            return 0
        last = buffer[ends + frames.HEAD_BYTES : over]
        try:
            # Replies mostly begin and end as the one before: to compare costs less than a look-up.
            if block != self._first:
                self._opening = self._decoded(block)
                self._first = block
            if last != self._last:
                self._closing = self._decoded(last)
                self._last = last
        except HeaderError:
            return 0
        if self._opening.interim:
            return 0
        self._room -= size
        if self._room <= CONNECTION_WINDOW // 2:
            self._make_room()
        self._useful_frames += 1
        self._remote_ended(stream)
        stream.on_whole(self._opening, buffer[at:ends], self._closing)
        return over

    def _on_rare(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        # None of these carries data: an endless series of them is a flood.
        self._note_idle()
        match kind:  # PRIORITY and unknown kinds are ignored
            case frames.CONTINUATION:
                self._on_continuation(flags, stream_id, payload)
            case frames.RST_STREAM:
                self._on_reset(stream_id, payload)
            case frames.SETTINGS:
                self._on_settings(flags, stream_id, payload)
            case frames.PING:
                self._on_ping(flags, stream_id, payload)
            case frames.GOAWAY:
                self._on_goaway(stream_id, payload)
            case frames.PUSH_PROMISE:
                raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "a push was not asked for")

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        stream = self._take_room(stream_id, size)
        if stream is None:
            self._on_late_data(size)
            return
        if stream.room < 0:
            self._fail(stream, ErrorCode.FLOW_CONTROL_ERROR)
            return
        if flags & frames.PADDED:
            payload = incoming.unpadded(payload)
            stream.credit += size - len(payload)
        if flags & frames.END_STREAM:
            self._remote_ended(stream)
            stream.on_data(payload, ended=True)
        elif payload:
            self._useful_frames += 1
            stream.on_data(payload, ended=False)
        else:
            self._note_idle()

    def _on_too_large(self, kind: int, flags: int, stream_id: int, size: int) -> None:
        """Fails the stream of a frame over our SETTINGS_MAX_FRAME_SIZE, if it is DATA.

        Any other may change the state of the connection (RFC 9113 section 4.2). The connection's
        window bounds the bytes that are skipped, which count in it like all data.
        """
        if kind != frames.DATA:
            raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "a frame is too large")
        stream = self._take_room(stream_id, size)
        if stream is None:
            self._note_idle(size // frames.DEFAULT_FRAME_SIZE)
            return
        if flags & frames.END_STREAM:
            self._remote_ended(stream)
            stream.on_breach(ErrorCode.FRAME_SIZE_ERROR)
        else:
            self._fail(stream, ErrorCode.FRAME_SIZE_ERROR)

    def _take_room(self, stream_id: int, size: int) -> Stream[Any] | None:
        """Counts data in the windows of the connection and of its stream; None if that is over."""
        self._room -= size
        if self._room <= CONNECTION_WINDOW // 2:
            self._make_room()
        stream = self.streams.get(stream_id)
        if stream is None:
            self._check_was_open(stream_id)
        else:
            stream.room -= size
        return stream

    def _on_late_data(self, size: int) -> None:
        """Drops data of a stream that is over; more than could be on its way counts as idle."""
        if 0 < size <= self._late_room:
            self._late_room -= size
        else:
            self._note_idle()

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        ended = bool(flags & frames.END_STREAM)
        if flags & (frames.PADDED | frames.PRIORITIZED):
            payload = incoming.fragment(flags, payload)
        if flags & frames.END_HEADERS:
            self._on_block(stream_id, payload, ended=ended)
        else:
            self._block = incoming.PartialBlock(stream_id, payload, self._header_bytes, ended=ended)
            self._due = frames.CONTINUATION

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is None:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "nothing to continue")
        self._block.add(stream_id, payload)
        if flags & frames.END_HEADERS:
            block, self._block, self._due = self._block, None, None
            if block.too_large:
                self._on_oversized(stream_id, ended=block.ended)
            else:
                self._on_block(stream_id, bytes(block.text), ended=block.ended)

    def _on_block(self, stream_id: int, block: bytes, *, ended: bool) -> None:
        stream = self.streams.get(stream_id)
        if stream is None:
            # With a header table of size 0 no other block depends on this one: it can be skipped.
            self._note_idle()
            self._check_was_open(stream_id)
            return
        try:
            headers = self._decoded(block)
        except HeadersTooLargeError:
            self._on_oversized(stream_id, ended=ended)
            return
        except HeaderError:
            # Section 4.3 has the connection end, not the stream alone.
            raise ConnectionFailed(ErrorCode.COMPRESSION_ERROR, "headers are malformed") from None
        if ended:
            self._remote_ended(stream)
        elif headers.interim:
            self._note_idle(1 + len(block) // _BLOCK_BYTES_A_FRAME)
        stream.on_headers(headers, ended=ended)

    def _decoded(self, block: bytes) -> HeaderBlock:
        """Decodes a block, and counts the work for one that was not seen before."""
        found: HeaderBlock | None = self._known(block)
        if found is None:
            self._work -= len(block) // _BLOCK_BYTES_A_FRAME
            found = self._decoder.decode(block)
        return found

    def _on_oversized(self, stream_id: int, *, ended: bool) -> None:
        """Ends a stream whose headers or trailers are too large, and it alone.

        They were skipped, or read in part. With a header table of size 0 no other block depends
        on them, so both sides are still in step (RFC 7541 section 4.2).
        """
        self._note_idle()
        stream = self.streams.get(stream_id)
        if stream is None:
            self._check_was_open(stream_id)
            return
        if ended:
            self._remote_ended(stream)
        else:
            self.reset(stream)
        stream.on_oversized(self._header_bytes)

    def _on_reset(self, stream_id: int, payload: bytes) -> None:
        code = incoming.read_reset(payload)
        self._check_was_open(stream_id)
        stream = self.streams.pop(stream_id, None)
        if stream is not None:
            stream.on_failed(code, unprocessed=code is ErrorCode.REFUSED_STREAM)

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "settings on a stream")
        if flags & frames.ACK:
            if payload or self._due is not None:
                raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "settings are malformed")
            return
        values = incoming.read_settings(payload)
        # The answer goes first: data may use the larger windows only after it.
        self._answer(frames.SETTINGS_ACK)
        if not self.settings_seen:
            self.max_streams = _UNLIMITED
        self._due = None
        self.settings_seen += 1
        # MAX_FRAME_SIZE is not used: larger frames would only make other calls wait longer.
        self.max_streams = values.get(frames.MAX_CONCURRENT_STREAMS, self.max_streams)
        self.max_header_bytes = values.get(frames.MAX_HEADER_LIST_SIZE, self.max_header_bytes)
        window = values.get(frames.INITIAL_WINDOW_SIZE, self._initial_send_window)
        if window != self._initial_send_window:
            self._resize(window)

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "a ping on a stream")
        if len(payload) != 8:
            raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "a ping has 8 bytes")
        if not flags & frames.ACK:
            self._answer(frames.PING_ACK_HEAD + payload)

    def _on_goaway(self, stream_id: int, payload: bytes) -> None:
        last, self.goaway_code, self.pings_too_often = incoming.read_goaway(stream_id, payload)
        self.draining = True
        self.spend(len(self.streams))
        for stream in [s for s in self.streams.values() if s.id > last]:
            del self.streams[stream.id]
            stream.on_failed(None, unprocessed=True)

"""One HTTP/2 connection of a gRPC client as a state machine: no socket, no waiting.

Bytes received go into `receive`, which tells each stream's listener what happened; bytes to send
pile up for `take_output`. A peer that breaks the protocol, or floods, ends the connection with a
`ConnectionFailed` and a GOAWAY; every stream is told (RFC 9113).
"""

import time
from collections.abc import Callable

from gateway.upstream.http2 import frames, incoming
from gateway.upstream.http2.frames import ErrorCode, pack_head, unpack_head
from gateway.upstream.http2.headers import HeaderError, ResponseDecoder
from gateway.upstream.http2.incoming import MAX_HEADER_BYTES, ConnectionFailed
from gateway.upstream.http2.stream import CONNECTION_WINDOW, STREAM_WINDOW, Listener, Stream

_MAX_UNANSWERED = 1000
_UNLIMITED = 2**31


class Connection:
    """The client's side of one connection."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.streams: dict[int, Stream] = {}
        self.max_streams = 0
        """What the peer allows at once; nothing before its first settings."""
        self.settings_seen = 0
        """How often the peer has sent settings; its first are its greeting."""
        self.draining = False
        """Whether no call may start here any more."""
        self.pings_too_often = False
        """Whether the peer has left because of our pings."""
        self.max_header_bytes = _UNLIMITED
        """The largest list of headers the peer says it takes."""
        self._out: list[bytes] = [
            frames.greeting(STREAM_WINDOW, CONNECTION_WINDOW, MAX_HEADER_BYTES)
        ]
        self._buffer = b""
        self._decoder = ResponseDecoder(MAX_HEADER_BYTES)
        self._next_id = self._unsent_id = 1
        self._send_window = self._initial_send_window = frames.DEFAULT_WINDOW
        self._starved = False
        self._room = CONNECTION_WINDOW
        # The kind of frame that has to come next, where only one may.
        self._due: int | None = frames.SETTINGS
        self._block: incoming.PartialBlock | None = None
        self._unanswered = 0
        self._patience = incoming.Patience(clock)

    def __repr__(self) -> str:
        state = "draining" if self.draining else "open"
        return f"<Connection {state}, {len(self.streams)} streams, next {self._next_id}>"

    @property
    def can_open(self) -> bool:
        """Whether another call may start here now."""
        return not self.draining and len(self.streams) < self.max_streams

    @property
    def unused(self) -> bool:
        """Whether no call ever started here."""
        return self._next_id == 1

    @property
    def has_output(self) -> bool:
        """Whether there are bytes to send."""
        return bool(self._out)

    def take_output(self) -> bytes:
        """The bytes to send, in order; they are not handed out again."""
        out, self._out = self._out, []
        self._unanswered = 0
        self._unsent_id = self._next_id
        return b"".join(out)

    def open(self, block: bytes, listener: Listener) -> Stream:
        """Starts a call with its encoded headers."""
        stream_id = self._next_id
        self._next_id = stream_id + 2
        if stream_id == frames.LAST_STREAM_ID:
            self.draining = True
        stream = self.streams[stream_id] = Stream(stream_id, listener, self._initial_send_window)
        size = len(block)
        if size <= frames.DEFAULT_FRAME_SIZE:
            head = pack_head(size << 8 | frames.HEADERS, frames.END_HEADERS, stream_id)
            self._out += (head, block)
        else:
            self._out.append(frames.headers(stream_id, block))
        return stream

    def send(self, stream: Stream, data: bytes, *, end: bool) -> bool:
        """Sends data, as far as the peer's windows allow; False if some must wait."""
        stream.local_ended = end
        # What a peer says while we send, it may say in answer to that.
        self._patience.tried = 0
        size = len(data)
        if (
            stream.pending is None
            and size <= stream.send_window
            and size <= self._send_window
            and size <= frames.DEFAULT_FRAME_SIZE
        ):
            # Saves the general path for what nearly every message is: one frame, room enough.
            self._send_window -= size
            stream.send_window -= size
            flags = frames.END_STREAM if end else 0
            self._out += (pack_head(size << 8 | frames.DATA, flags, stream.id), data)
            return True
        if stream.pending is not None:
            data = bytes(stream.pending) + data
        stream.pending = memoryview(data)
        self._send_pending(stream)
        return stream.pending is None

    def end(self, stream: Stream) -> None:
        """Says that no more data follows."""
        if not stream.local_ended:
            self.send(stream, b"", end=True)

    def reset(self, stream: Stream, code: ErrorCode = ErrorCode.CANCEL) -> None:
        """Gives a call up; its listener is told nothing more."""
        if self.streams.pop(stream.id, None) is not None:
            self._out.append(frames.rst_stream(stream.id, code))

    def consumed(self, stream: Stream, size: int) -> None:
        """Lets the peer send as much more as someone has taken."""
        stream.credit += size
        # Half a window is early enough, and saves many small updates.
        if stream.credit >= STREAM_WINDOW // 2 and stream.id in self.streams:
            self._out.append(frames.window_update(stream.id, stream.credit))
            stream.room += stream.credit
            stream.credit = 0

    def ping(self) -> None:
        """Asks the peer for a sign of life; whatever it sends next is one."""
        self._out.append(frames.ping(bytes(8), ack=False))

    def close(self) -> None:
        """Says goodbye."""
        self.draining = True
        self._out.append(frames.goaway(ErrorCode.NO_ERROR))

    def lost(self) -> None:
        """Ends every stream: the socket is gone."""
        self.draining = True
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            # A call that never left is sure not to have been processed.
            stream.listener.on_failed(None, unprocessed=stream.id >= self._unsent_id)

    def receive(self, data: bytes) -> None:
        """Takes what came from the peer.

        Raises:
            ConnectionFailed: the peer broke the protocol. All streams have been told, and a GOAWAY
                is among the output.
        """
        try:
            self._receive(data)
        except ConnectionFailed as failure:
            self._out.append(frames.goaway(failure.code))
            self.lost()
            raise

    def _receive(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        at, end = 0, len(buffer)
        while end - at >= frames.HEAD_BYTES:
            length_and_kind, flags, stream_id = unpack_head(buffer, at)
            length = length_and_kind >> 8
            if length > frames.DEFAULT_FRAME_SIZE:
                raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "a frame is too large")
            start = at + frames.HEAD_BYTES
            if start + length > end:
                break
            at = start + length
            kind, payload = length_and_kind & 255, buffer[start:at]
            stream_id &= 0x7FFFFFFF
            if self._due is not None and kind != self._due:
                raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, incoming.MISSING[self._due])
            # Here and not in a function of its own: there are three frames for each call.
            if kind == frames.HEADERS and flags | frames.END_STREAM == frames.WHOLE_HEADERS:
                self._on_block(stream_id, payload, ended=flags != frames.END_HEADERS)
            elif kind == frames.DATA:
                self._on_data(flags, stream_id, payload)
            elif kind == frames.HEADERS:
                self._on_headers(flags, stream_id, payload)
            elif kind == frames.WINDOW_UPDATE:
                self._on_window_update(stream_id, payload)
            else:
                self._on_rare(kind, flags, stream_id, payload)
        self._buffer = buffer[at:]

    def _on_rare(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        # None of these brings anything for itself; whoever sends them without end is a flood.
        self._patience.try_it()
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
        self._room -= size
        if self._room <= CONNECTION_WINDOW // 2:
            self._make_room()
        stream = self.streams.get(stream_id)
        if stream is None:
            self._check_was_open(stream_id)
            return
        stream.room -= size
        if stream.room < 0:
            raise ConnectionFailed(ErrorCode.FLOW_CONTROL_ERROR, "a stream's window was overrun")
        if flags & frames.PADDED:
            payload = incoming.unpadded(payload)
            stream.credit += size - len(payload)
        if flags & frames.END_STREAM:
            self._remote_ended(stream)
            stream.listener.on_data(payload, ended=True)
        elif payload:
            self._patience.tried = 0
            stream.listener.on_data(payload, ended=False)
        else:
            self._patience.try_it()

    def _make_room(self) -> None:
        """Opens the connection's window again, whoever reads: one who is slow holds back no other.

        What waits for each is bounded by its own stream's window.
        """
        if self._room < 0:
            raise ConnectionFailed(ErrorCode.FLOW_CONTROL_ERROR, "the window was overrun")
        self._out.append(frames.window_update(0, CONNECTION_WINDOW - self._room))
        self._room = CONNECTION_WINDOW

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        ended = bool(flags & frames.END_STREAM)
        if flags & (frames.PADDED | frames.PRIORITIZED):
            payload = incoming.fragment(flags, payload)
        if flags & frames.END_HEADERS:
            self._on_block(stream_id, payload, ended=ended)
        else:
            self._block = incoming.PartialBlock(stream_id, payload, ended=ended)
            self._due = frames.CONTINUATION

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is None:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "nothing to continue")
        self._block.add(stream_id, payload)
        if flags & frames.END_HEADERS:
            block, self._block, self._due = self._block, None, None
            self._on_block(stream_id, bytes(block.text), ended=block.ended)

    def _on_block(self, stream_id: int, block: bytes, *, ended: bool) -> None:
        try:
            headers = self._decoder.decode(block)
        except HeaderError:
            raise ConnectionFailed(
                ErrorCode.COMPRESSION_ERROR, "headers are malformed or too large"
            ) from None
        stream = self.streams.get(stream_id)
        if stream is None:
            self._patience.try_it()
            self._check_was_open(stream_id)
            return
        if ended:
            self._remote_ended(stream)
        elif headers.interim:
            self._patience.try_it()
        stream.listener.on_headers(headers, ended=ended)

    def _on_window_update(self, stream_id: int, payload: bytes) -> None:
        self._patience.try_it()
        increment = incoming.read_increment(payload)
        stream = self.streams.get(stream_id)
        if stream_id == 0:
            self._widen(increment)
        elif stream is None:
            self._check_was_open(stream_id)
        elif not increment:
            self._fail(stream, ErrorCode.PROTOCOL_ERROR)
        elif stream.send_window + increment > frames.LARGEST_WINDOW:
            self._fail(stream, ErrorCode.FLOW_CONTROL_ERROR)
        else:
            stream.send_window += increment
            if stream.pending is not None:
                self._send_pending(stream)

    def _widen(self, increment: int) -> None:
        if not increment:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "a window is opened by nothing")
        self._send_window += increment
        if self._send_window > frames.LARGEST_WINDOW:
            raise ConnectionFailed(ErrorCode.FLOW_CONTROL_ERROR, "the window is too large")
        if self._starved:
            self._starved = False
            self._send_all_pending()

    def _on_reset(self, stream_id: int, payload: bytes) -> None:
        code = incoming.read_reset(payload)
        self._check_was_open(stream_id)
        stream = self.streams.pop(stream_id, None)
        if stream is not None:
            stream.listener.on_failed(code, unprocessed=code is ErrorCode.REFUSED_STREAM)

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "settings on a stream")
        if flags & frames.ACK:
            if payload or self._due is not None:
                raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "settings are malformed")
            return
        values = incoming.read_settings(payload)
        # The answer goes first: what follows may use larger windows only behind it.
        self._answer(frames.SETTINGS_ACK)
        if not self.settings_seen:
            self.max_streams = _UNLIMITED
        self._due = None
        self.settings_seen += 1
        # MAX_FRAME_SIZE stays unused: larger frames would only make other calls wait longer.
        self.max_streams = values.get(frames.MAX_CONCURRENT_STREAMS, self.max_streams)
        self.max_header_bytes = values.get(frames.MAX_HEADER_LIST_SIZE, self.max_header_bytes)
        window = values.get(frames.INITIAL_WINDOW_SIZE, self._initial_send_window)
        if window != self._initial_send_window:
            self._resize(window)

    def _resize(self, window: int) -> None:
        """Changes every stream's window, even to less than nothing (RFC 9113 section 6.9.2)."""
        change, self._initial_send_window = window - self._initial_send_window, window
        for stream in self.streams.values():
            stream.send_window += change
            if stream.send_window > frames.LARGEST_WINDOW:
                raise ConnectionFailed(ErrorCode.FLOW_CONTROL_ERROR, "a window is too large")
        self._send_all_pending()

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        incoming.check_ping(stream_id, payload)
        if not flags & frames.ACK:
            self._answer(frames.ping(payload, ack=True))

    def _on_goaway(self, stream_id: int, payload: bytes) -> None:
        last, self.pings_too_often = incoming.read_goodbye(stream_id, payload)
        self.draining = True
        for stream in [s for s in self.streams.values() if s.id > last]:
            del self.streams[stream.id]
            stream.listener.on_failed(None, unprocessed=True)

    def _answer(self, frame: bytes) -> None:
        """Queues an answer; a peer that reads none of them gets no more."""
        self._unanswered += 1
        if self._unanswered > _MAX_UNANSWERED:
            raise ConnectionFailed(ErrorCode.ENHANCE_YOUR_CALM, "too many frames to answer")
        self._out.append(frame)

    def _check_was_open(self, stream_id: int) -> None:
        if stream_id % 2 == 0 or stream_id >= self._next_id:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "a frame on an idle stream")

    def _remote_ended(self, stream: Stream) -> None:
        """The peer is done with a stream; what we still had to send nobody wants."""
        del self.streams[stream.id]
        if not stream.local_ended or stream.pending is not None:
            self._out.append(frames.rst_stream(stream.id, ErrorCode.NO_ERROR))

    def _send_pending(self, stream: Stream) -> None:
        pending = stream.pending
        while pending is not None:
            room = min(stream.send_window, self._send_window, frames.DEFAULT_FRAME_SIZE)
            if room <= 0 and len(pending):
                self._starved = self._starved or self._send_window <= 0
                break
            piece, pending = pending[:room], pending[room:] if len(pending) > room else None
            flags = frames.END_STREAM if pending is None and stream.local_ended else 0
            stream.send_window -= len(piece)
            self._send_window -= len(piece)
            self._patience.tried = 0
            self._out += (frames.head(len(piece), frames.DATA, flags, stream.id), bytes(piece))
        stream.pending = pending
        if pending is None:
            stream.listener.on_writable()

    def _send_all_pending(self) -> None:
        for stream in [s for s in self.streams.values() if s.pending is not None]:
            self._send_pending(stream)

    def _fail(self, stream: Stream, code: ErrorCode) -> None:
        self.reset(stream, code)
        stream.listener.on_failed(code, unprocessed=False)

"""One HTTP/2 connection of a gRPC client as a state machine: no socket, no clock, no waiting.

Bytes received go into `receive`, which tells each stream's listener what happened; bytes to send
pile up for `take_output`. A peer that breaks the protocol, or floods, ends the connection with a
`ConnectionFailed` and a GOAWAY; every stream is told (RFC 9113).
"""

from gateway.upstream.http2 import frames
from gateway.upstream.http2.frames import ErrorCode, unpack_head
from gateway.upstream.http2.headers import HeaderError, ResponseDecoder
from gateway.upstream.http2.stream import (
    STREAM_WINDOW,
    ConnectionFailed,
    Listener,
    Stream,
    error_code,
    unpadded,
)

CONNECTION_WINDOW = 16 * 1024 * 1024
MAX_HEADER_BYTES = 64 * 1024
_MAX_UNANSWERED = 1000
_MAX_IDLE_FRAMES = 10_000


class Connection:
    """The client's side of one connection."""

    def __init__(self) -> None:
        self.streams: dict[int, Stream] = {}
        self.max_streams = 100
        """What the peer allows at once; gRPC servers that say nothing allow at least this."""
        self.draining = False
        self._out: list[bytes] = [
            frames.greeting(STREAM_WINDOW, CONNECTION_WINDOW, MAX_HEADER_BYTES)
        ]
        self._buffer = b""
        self._decoder = ResponseDecoder(MAX_HEADER_BYTES)
        self._next_id = 1
        self._send_window = frames.DEFAULT_WINDOW
        self._initial_send_window = frames.DEFAULT_WINDOW
        self._frame_size = frames.DEFAULT_FRAME_SIZE
        self._room = CONNECTION_WINDOW
        self._settled = False
        self._block: bytearray | None = None
        self._block_stream = 0
        self._block_ends = False
        self._unanswered = 0
        self._idle_frames = 0

    def __repr__(self) -> str:
        state = "draining" if self.draining else "open"
        return f"<Connection {state}, {len(self.streams)} streams, next {self._next_id}>"

    @property
    def can_open(self) -> bool:
        """Whether another call may start here now."""
        return (
            not self.draining
            and len(self.streams) < self.max_streams
            and self._next_id <= frames.LAST_STREAM_ID
        )

    @property
    def has_output(self) -> bool:
        """Whether there are bytes to send."""
        return bool(self._out)

    def take_output(self) -> bytes:
        """The bytes to send, in order; they are not handed out again."""
        out, self._out = self._out, []
        self._unanswered = 0
        return b"".join(out)

    def open(self, block: bytes, listener: Listener) -> Stream:
        """Starts a call with its encoded headers."""
        stream = Stream(self._next_id, listener, self._initial_send_window)
        self._next_id += 2
        self.streams[stream.id] = stream
        self._out.append(frames.headers(stream.id, block, self._frame_size, end_stream=False))
        return stream

    def send(self, stream: Stream, data: bytes, *, end: bool) -> bool:
        """Sends data, as far as the peer's windows allow; False if some must wait."""
        stream.local_ended = end
        size = len(data)
        if (
            stream.pending is None
            and size <= stream.send_window
            and size <= self._send_window
            and size <= self._frame_size
        ):
            # Saves the general path for what nearly every message is: one frame, room enough.
            self._send_window -= size
            stream.send_window -= size
            flags = frames.END_STREAM if end else 0
            self._out.append(frames.head(size, frames.DATA, flags, stream.id) + data)
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

    def close(self) -> None:
        """Says goodbye."""
        self.draining = True
        self._out.append(frames.goaway(ErrorCode.NO_ERROR))

    def lost(self) -> None:
        """Ends every stream: the socket is gone."""
        self.draining = True
        self._fail_all(ErrorCode.INTERNAL_ERROR)

    def receive(self, data: bytes) -> None:
        """Takes what came from the peer.

        Raises:
            ConnectionFailed: the peer broke the protocol. All streams have been told, and a GOAWAY
                is among the output.
        """
        try:
            self._receive(data)
        except ConnectionFailed as failure:
            self.draining = True
            self._out.append(frames.goaway(failure.code))
            self._fail_all(failure.code)
            raise

    def _receive(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        at, end = 0, len(buffer)
        while end - at >= frames.HEAD_BYTES:
            high, low, kind, flags, stream_id = unpack_head(buffer, at)
            length = high << 8 | low
            if length > frames.DEFAULT_FRAME_SIZE:
                raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "a frame is too large")
            start = at + frames.HEAD_BYTES
            if start + length > end:
                break
            at = start + length
            self._frame(kind, flags, stream_id & 0x7FFFFFFF, buffer[start:at])
        self._buffer = buffer[at:]

    def _frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if not self._settled and kind != frames.SETTINGS:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "no HTTP/2 server preface")
        if self._block is not None and kind != frames.CONTINUATION:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "a header block was interrupted")
        if kind == frames.DATA:
            self._on_data(flags, stream_id, payload)
        elif kind == frames.HEADERS:
            self._on_headers(flags, stream_id, payload)
        elif kind == frames.WINDOW_UPDATE:
            self._on_window_update(stream_id, payload)
        else:
            self._on_rare(kind, flags, stream_id, payload)

    def _on_rare(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        match kind:
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
            case _:
                self._count_idle()  # PRIORITY and unknown types are ignored

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self._take_room(size)
        if not size and not flags & frames.END_STREAM:
            self._count_idle()
        stream = self.streams.get(stream_id)
        if stream is None:
            self._check_was_open(stream_id)
            return
        stream.room -= size
        if stream.room < 0:
            raise ConnectionFailed(ErrorCode.FLOW_CONTROL_ERROR, "a stream's window was overrun")
        if flags & frames.PADDED:
            payload = unpadded(payload)
            stream.credit += size - len(payload)
        ended = bool(flags & frames.END_STREAM)
        if ended:
            self._remote_ended(stream)
        stream.listener.on_data(payload, ended=ended)

    def _take_room(self, size: int) -> None:
        """Counts data against the connection's window, and opens it again.

        It is opened whoever reads: what one slow reader holds back is bounded by its own stream's
        window, and must not hold back the others.
        """
        self._room -= size
        if self._room < 0:
            raise ConnectionFailed(ErrorCode.FLOW_CONTROL_ERROR, "the window was overrun")
        if self._room <= CONNECTION_WINDOW // 2:
            self._out.append(frames.window_update(0, CONNECTION_WINDOW - self._room))
            self._room = CONNECTION_WINDOW

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if flags & frames.PADDED:
            payload = unpadded(payload)
        if flags & frames.PRIORITIZED:
            payload = payload[5:]
        if flags & frames.END_HEADERS:
            self._on_block(stream_id, payload, ended=bool(flags & frames.END_STREAM))
            return
        self._block = bytearray(payload)
        self._block_stream = stream_id
        self._block_ends = bool(flags & frames.END_STREAM)
        self._check_block()

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is None or stream_id != self._block_stream:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "nothing to continue")
        self._block += payload
        self._check_block()
        if not payload:
            self._count_idle()
        if flags & frames.END_HEADERS:
            block, self._block = bytes(self._block), None
            self._on_block(stream_id, block, ended=self._block_ends)

    def _check_block(self) -> None:
        if self._block is not None and len(self._block) > MAX_HEADER_BYTES:
            raise ConnectionFailed(ErrorCode.ENHANCE_YOUR_CALM, "headers are too large")

    def _on_block(self, stream_id: int, block: bytes, *, ended: bool) -> None:
        try:
            headers = self._decoder.decode(block)
        except HeaderError:
            raise ConnectionFailed(
                ErrorCode.COMPRESSION_ERROR, "headers are malformed or too large"
            ) from None
        stream = self.streams.get(stream_id)
        if stream is None:
            self._check_was_open(stream_id)
            return
        if ended:
            self._remote_ended(stream)
        stream.listener.on_headers(headers, ended=ended)

    def _on_window_update(self, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "a window update has 4 bytes")
        increment = int.from_bytes(payload, "big") & 0x7FFFFFFF
        if stream_id == 0:
            self._send_window += increment
            if not increment or self._send_window > frames.LARGEST_WINDOW:
                raise ConnectionFailed(ErrorCode.FLOW_CONTROL_ERROR, "a window of a wrong size")
            for stream in [s for s in self.streams.values() if s.pending is not None]:
                self._send_pending(stream)
            return
        waiting = self.streams.get(stream_id)
        if waiting is None:
            self._check_was_open(stream_id)
            return
        waiting.send_window += increment
        if not increment or waiting.send_window > frames.LARGEST_WINDOW:
            self._fail(waiting, ErrorCode.FLOW_CONTROL_ERROR)
        elif waiting.pending is not None:
            self._send_pending(waiting)

    def _on_reset(self, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "a reset has 4 bytes")
        self._check_was_open(stream_id)
        stream = self.streams.pop(stream_id, None)
        if stream is not None:
            code = error_code(payload)
            refused = code is ErrorCode.REFUSED_STREAM
            stream.listener.on_failed(code, unprocessed=refused)

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id or len(payload) % 6:
            raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "settings are malformed")
        if flags & frames.ACK:
            return
        self._settled = True
        # The answer goes first: what follows may use larger windows only behind it.
        self._answer(frames.SETTINGS_ACK)
        for number, value in frames.read_settings(payload):
            self._set(number, value)

    def _set(self, number: int, value: int) -> None:
        if number == frames.MAX_CONCURRENT_STREAMS:
            self.max_streams = value
        elif number == frames.MAX_FRAME_SIZE:
            if not frames.DEFAULT_FRAME_SIZE <= value < 2**24:
                raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "a frame size out of range")
            # Larger frames would only make others on this connection wait longer.
            self._frame_size = frames.DEFAULT_FRAME_SIZE
        elif number == frames.INITIAL_WINDOW_SIZE:
            if value > frames.LARGEST_WINDOW:
                raise ConnectionFailed(ErrorCode.FLOW_CONTROL_ERROR, "a window out of range")
            change, self._initial_send_window = value - self._initial_send_window, value
            for stream in list(self.streams.values()):
                stream.send_window += change
                if stream.pending is not None:
                    self._send_pending(stream)

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id or len(payload) != 8:
            raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "a ping has 8 bytes")
        if flags & frames.ACK:
            self._count_idle()  # an answer to nothing: we send no pings
        else:
            self._answer(frames.pong(payload))

    def _on_goaway(self, stream_id: int, payload: bytes) -> None:
        if stream_id or len(payload) < 8:
            raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "a goodbye is malformed")
        self.draining = True
        last = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
        for stream in [s for s in self.streams.values() if s.id > last]:
            del self.streams[stream.id]
            stream.listener.on_failed(ErrorCode.REFUSED_STREAM, unprocessed=True)

    def _answer(self, frame: bytes) -> None:
        """Queues an answer; a peer that reads none of them gets no more."""
        self._unanswered += 1
        if self._unanswered > _MAX_UNANSWERED:
            raise ConnectionFailed(ErrorCode.ENHANCE_YOUR_CALM, "too many frames to answer")
        self._count_idle()
        self._out.append(frame)

    def _count_idle(self) -> None:
        """Counts frames that bring nothing, so that nobody can keep us busy with them."""
        self._idle_frames += 1
        if self._idle_frames > _MAX_IDLE_FRAMES:
            raise ConnectionFailed(ErrorCode.ENHANCE_YOUR_CALM, "too many idle frames")

    def _check_was_open(self, stream_id: int) -> None:
        if stream_id % 2 == 0 or stream_id >= self._next_id:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "a frame on an idle stream")

    def _remote_ended(self, stream: Stream) -> None:
        """The peer is done with a stream; what we still had to send nobody wants."""
        del self.streams[stream.id]
        self._idle_frames = 0
        if not stream.local_ended or stream.pending is not None:
            self._out.append(frames.rst_stream(stream.id, ErrorCode.NO_ERROR))

    def _send_pending(self, stream: Stream) -> None:
        pending = stream.pending
        while pending is not None:
            room = min(stream.send_window, self._send_window, self._frame_size)
            if room <= 0 and len(pending):
                break
            piece, pending = pending[:room], pending[room:] if len(pending) > room else None
            flags = frames.END_STREAM if pending is None and stream.local_ended else 0
            stream.send_window -= len(piece)
            self._send_window -= len(piece)
            self._out += (frames.head(len(piece), frames.DATA, flags, stream.id), bytes(piece))
        stream.pending = pending
        if pending is None:
            stream.listener.on_writable()

    def _fail(self, stream: Stream, code: ErrorCode) -> None:
        self.reset(stream, code)
        stream.listener.on_failed(code, unprocessed=False)

    def _fail_all(self, code: ErrorCode) -> None:
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            stream.listener.on_failed(code, unprocessed=False)

"""The sending half of a connection: starts calls, and sends data as far as windows allow."""

from collections.abc import Callable
from typing import Any, Final

from gateway.http2 import frames
from gateway.http2.frames import ErrorCode
from gateway.http2.incoming import ConnectionFailed
from gateway.http2.stream import (
    CONNECTION_WINDOW,
    JOINED_BYTES,
    STREAM_WINDOW,
    Stream,
)

_LARGE_BYTES: Final = 4096
_MAX_UNANSWERED: Final = 1000
"""The most answers that wait to be written, for a peer that does not read them."""
_MAX_IDLE_FRAMES: Final = 10_000
"""The most frames without data that are accepted within `_IDLE_FRAMES_PERIOD_S`."""
_IDLE_FRAMES_PERIOD_S: Final = 60.0
_IDLE_FRAMES_EARNED: Final = 20
"""Idle frames that one useful frame pays for: a peer may open windows and ping as data is sent."""
_BLOCK: Final = frames.HEADERS << 40 | frames.END_HEADERS << 32
_LAST_DATA: Final = frames.DATA << 40 | frames.END_STREAM << 32
"""The kind and the flags of these frames, as `frames.head` puts them; all are 0 for other data."""


class Outgoing:
    """Streams, and the bytes to send for them, which collect for `take_output`."""

    def __init__(self, clock: Callable[[], float], header_bytes: int) -> None:
        self.streams: dict[int, Stream[Any]] = {}
        self.max_streams = 0
        """The most streams that the peer allows at once; 0 before its first settings."""
        self.draining = False
        """True if no call may start here any more."""
        self.output: list[bytes | memoryview] = [
            frames.greeting(STREAM_WINDOW, CONNECTION_WINDOW, header_bytes)
        ]
        """The bytes to send, in order; `take_output` hands them out."""
        self.has_large = False
        """True if some of it is large: a copy would cost more than a write of many pieces."""
        self.has_more = False
        """True if whole frames may remain, because the allowed work was done."""
        self._next_id = self._unsent_id = 1
        self._send_window = self._initial_send_window = frames.DEFAULT_WINDOW
        self._starved = False
        self._unanswered = 0
        self._work = 0
        """The frames that may still be taken in this turn."""
        self._clock = clock
        # The frames without data, less those that useful ones paid for; and the useful ones since.
        self._idle_frames = self._useful_frames = 0
        self._idle_since_s = clock()
        # Bytes a peer may send on all streams, before the window is opened again.
        self._room = CONNECTION_WINDOW
        # Bytes a peer may still send on streams that were reset, before it receives the reset.
        self._late_room = 0

    @property
    def can_open(self) -> bool:
        """True if another call may start here now."""
        return not self.draining and len(self.streams) < self.max_streams

    @property
    def unused(self) -> bool:
        """True if no call ever started here."""
        return self._next_id == 1

    @property
    def calls_begun(self) -> int:
        """The number of calls that started here, so far."""
        return self._next_id >> 1

    def take_output(self) -> bytes:
        """The bytes to send, in order; they are not handed out again."""
        return b"".join(self.take_pieces())

    def take_pieces(self) -> list[bytes | memoryview]:
        """The bytes to send, as they were given; see `take_output`."""
        out, self.output = self.output, []
        self.has_large = False
        if not self.has_more:  # bytes received at once are one flood, even over many turns
            self._unanswered = 0
        self._unsent_id = self._next_id
        return out

    def open(self, block: bytes, stream: Stream[Any]) -> None:
        """Starts a call with its encoded headers."""
        stream_id = self._begin(stream)
        size = len(block)
        if size <= frames.DEFAULT_FRAME_SIZE:
            head = (size << 48 | _BLOCK | stream_id).to_bytes(frames.HEAD_BYTES, "big")
            self.output += (head, block)
        else:
            self.output.append(frames.headers(stream_id, block))

    def open_whole(self, block: bytes, data: bytes, stream: Stream[Any]) -> None:
        """Starts a call with its whole request; in one step, if each part fits into one frame."""
        size = len(data)
        if (
            size > self._send_window
            or size > self._initial_send_window
            or size > frames.DEFAULT_FRAME_SIZE
            or len(block) > frames.DEFAULT_FRAME_SIZE
        ):
            self.open(block, stream)
            self.send(stream, data, end=True)
            return
        stream_id = self._begin(stream)
        stream.local_ended = True
        stream.send_window -= size
        self._send_window -= size
        # Frames that a peer sends while we send may answer ours: they do not count as a flood.
        self._useful_frames += 1
        self.output += (
            (len(block) << 48 | _BLOCK | stream_id).to_bytes(frames.HEAD_BYTES, "big"),
            block,
            (size << 48 | _LAST_DATA | stream_id).to_bytes(frames.HEAD_BYTES, "big"),
            data,
        )

    def _begin(self, stream: Stream[Any]) -> int:
        """Gives a stream its id and its windows; returns the id."""
        stream_id = stream.id = self._next_id
        self._next_id = stream_id + 2
        if stream_id == frames.LAST_STREAM_ID:
            self.draining = True
        stream.send_window, stream.room = self._initial_send_window, STREAM_WINDOW
        stream.pending, stream.local_ended, stream.credit = None, False, 0
        self.streams[stream_id] = stream
        return stream_id

    def send(self, stream: Stream[Any], data: bytes, *, end: bool) -> bool:
        """Sends data, as far as the peer's windows allow; False if some must wait."""
        stream.local_ended = end
        # Frames that a peer sends while we send may answer ours: they do not count as a flood.
        self._useful_frames += 1
        size = len(data)
        if (
            stream.pending is None
            and size <= stream.send_window
            and size <= self._send_window
            and size <= frames.DEFAULT_FRAME_SIZE
        ):
            # The short way for nearly every message: one frame, and room enough for it.
            self._send_window -= size
            stream.send_window -= size
            head = size << 48 | (_LAST_DATA if end else 0) | stream.id
            self.output += (head.to_bytes(frames.HEAD_BYTES, "big"), data)
            return True
        self._send_later(stream, memoryview(data))
        return stream.pending is None

    def send_message(
        self, stream: Stream[Any], prefix: bytes, message: bytes, *, end: bool
    ) -> bool:
        """Sends a message after its prefix, as `send`; one that is large is not copied."""
        if len(message) <= JOINED_BYTES:
            return self.send(stream, prefix + message, end=end)
        first = frames.DEFAULT_FRAME_SIZE - len(prefix)
        data = memoryview(message)
        self.send(stream, b"".join((prefix, data[:first])), end=False)
        stream.local_ended = end
        self._send_later(stream, data[first:])
        return stream.pending is None

    def send_parts(
        self,
        stream: Stream[Any],
        prefix: bytes,
        parts: list[bytes | memoryview],
        *,
        end: bool = True,
    ) -> None:
        """Sends a message in parts after its prefix; only the first, which is small, is copied.

        What has to wait is in `stream.pending`.
        """
        first = b"".join((prefix, parts[0]))
        views = [memoryview(part) for part in (first, *parts[1:]) if part]
        if stream.pending is None:
            stream.pending = views
        else:
            stream.pending += views
        stream.local_ended = end
        self._send_pending(stream)

    def end(self, stream: Stream[Any]) -> None:
        """Ends the request: no more data follows."""
        if not stream.local_ended:
            self.send(stream, b"", end=True)

    def reset(self, stream: Stream[Any], code: ErrorCode = ErrorCode.CANCEL) -> None:
        """Cancels a call; its stream receives no more events."""
        if self.streams.pop(stream.id, None) is not None:
            late = self._late_room + max(0, stream.room)
            self._late_room = min(late, CONNECTION_WINDOW)
            self.output.append(frames.rst_stream(stream.id, code))

    def consumed(self, stream: Stream[Any], size: int) -> None:
        """Lets the peer send as many bytes as have been taken."""
        stream.credit += size
        # Waits for half a window: early enough, and avoids many small updates.
        if stream.credit >= STREAM_WINDOW // 2 and stream.id in self.streams:
            self.output.append(frames.window_update(stream.id, stream.credit))
            stream.room += stream.credit
            stream.credit = 0

    def spend(self, work: int) -> None:
        """Counts work that one frame caused in addition to its own."""
        self._work -= work

    def _make_room(self) -> None:
        """Opens the connection's window again, even for slow readers, who would hold back others.

        The data that waits for each reader is limited by its stream's window.
        """
        if self._room < 0:
            raise ConnectionFailed(ErrorCode.FLOW_CONTROL_ERROR, "the window was overrun")
        self.output.append(frames.window_update(0, CONNECTION_WINDOW - self._room))
        self._room = CONNECTION_WINDOW

    def ping(self) -> None:
        """Pings the peer; any frame that it sends next shows that it is alive."""
        self.output.append(frames.OWN_PING)

    def close(self) -> None:
        """Sends a GOAWAY."""
        self.draining = True
        self.output.append(frames.goaway(ErrorCode.NO_ERROR))

    def _answer(self, frame: bytes) -> None:
        """Queues an answer, up to a limit for a peer that does not read them."""
        self._unanswered += 1
        if self._unanswered > _MAX_UNANSWERED:
            raise ConnectionFailed(ErrorCode.ENHANCE_YOUR_CALM, "too many frames to answer")
        self.output.append(frame)

    def _remote_ended(self, stream: Stream[Any]) -> None:
        """The peer ended a stream: data that still waits to be sent is dropped."""
        del self.streams[stream.id]
        if not stream.local_ended or stream.pending is not None:
            self.output.append(frames.rst_stream(stream.id, ErrorCode.NO_ERROR))

    def _send_later(self, stream: Stream[Any], data: memoryview) -> None:
        """Sends data after what waits already, as far as the windows allow."""
        if stream.pending is None:
            stream.pending = [data]
        elif len(data):
            stream.pending.append(data)
        self._send_pending(stream)

    def _send_pending(self, stream: Stream[Any]) -> None:
        pending = stream.pending
        while pending:
            data = pending[0]
            end = len(data)
            is_last = stream.local_ended and len(pending) == 1
            room = min(stream.send_window, self._send_window)
            # The last frame of a stream has a head of its own.
            at = self._send_whole_frames(stream, data, min(room, end - 1 if is_last else end))
            size = max(0, min(end - at, room - at))
            if size > 0 or not end:
                flags = frames.END_STREAM if is_last and at + size == end else 0
                self.output += (
                    frames.head(size, frames.DATA, flags, stream.id),
                    data[at : at + size],
                )
                self.has_large = self.has_large or size > _LARGE_BYTES
                at += size
                self._useful_frames += 1
            stream.send_window -= at
            self._send_window -= at
            if at < end:
                pending[0] = data[at:]
                self._starved = self._starved or self._send_window <= 0
                return
            del pending[0]
        stream.pending = None
        stream.on_writable()

    def _send_whole_frames(self, stream: Stream[Any], data: memoryview, most: int) -> int:
        """Sends frames of the full size, up to `most` bytes; they have one head, made once."""
        count = most // frames.DEFAULT_FRAME_SIZE
        if count <= 0:
            return 0
        head = frames.head(frames.DEFAULT_FRAME_SIZE, frames.DATA, 0, stream.id)
        output = self.output
        at = 0
        for _ in range(count):
            output.append(head)
            output.append(data[at : at + frames.DEFAULT_FRAME_SIZE])
            at += frames.DEFAULT_FRAME_SIZE
        self.has_large = True
        self._useful_frames += count
        return at

    def _send_all_pending(self) -> None:
        for stream in [s for s in self.streams.values() if s.pending is not None]:
            self._send_pending(stream)

    def _note_idle(self, count: int = 1) -> None:
        """Counts a frame without data, or one that costs as much as `count` of them.

        Too many end the connection. Their number falls with each useful frame that is received or
        sent, and starts anew after a minute. It does not fall to zero at once, or a few calls would
        cover an endless flood.
        """
        earned, self._useful_frames = self._useful_frames * _IDLE_FRAMES_EARNED, 0
        self._idle_frames = max(0, self._idle_frames - earned) + count
        if self._idle_frames > _MAX_IDLE_FRAMES:
            now_s = self._clock()
            if now_s - self._idle_since_s < _IDLE_FRAMES_PERIOD_S:
                raise ConnectionFailed(ErrorCode.ENHANCE_YOUR_CALM, "too many idle frames")
            self._idle_frames, self._idle_since_s = 0, now_s

    def _on_window_update(self, stream_id: int, payload: bytes) -> None:
        self._note_idle()
        if len(payload) != 4:
            raise ConnectionFailed(ErrorCode.FRAME_SIZE_ERROR, "a window update has 4 bytes")
        increment = int.from_bytes(payload, "big") & 0x7FFFFFFF
        stream = self.streams.get(stream_id)
        if stream_id == 0:
            if not increment:
                raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "a window is opened by nothing")
            self._send_window += increment
            if self._send_window > frames.LARGEST_WINDOW:
                raise ConnectionFailed(ErrorCode.FLOW_CONTROL_ERROR, "the window is too large")
            if self._starved:
                self._starved = False
                self.spend(len(self.streams))
                self._send_all_pending()
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

    def _resize(self, window: int) -> None:
        """Changes the windows of all streams, even to negative sizes (RFC 9113 section 6.9.2)."""
        change, self._initial_send_window = window - self._initial_send_window, window
        self.spend(len(self.streams))
        for stream in self.streams.values():
            stream.send_window += change
            if stream.send_window > frames.LARGEST_WINDOW:
                raise ConnectionFailed(ErrorCode.FLOW_CONTROL_ERROR, "a window is too large")
        self._send_all_pending()

    def _check_was_open(self, stream_id: int) -> None:
        if stream_id % 2 == 0 or stream_id >= self._next_id:
            raise ConnectionFailed(ErrorCode.PROTOCOL_ERROR, "a frame on an idle stream")

    def _fail(self, stream: Stream[Any], code: ErrorCode) -> None:
        self.reset(stream, code)
        stream.on_breach(code)

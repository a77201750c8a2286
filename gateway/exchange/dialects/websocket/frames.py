"""WebSocket frames to messages and back (RFC 6455); it does no I/O.

The framing is the `websockets` library's. What is added: text is UTF-8, a message that comes in
any number of fragments costs no more than its bytes, and compression has a bound.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from websockets.extensions import Extension
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

# It tells of every connection, which the access log does already.
_log = logging.getLogger("gateway.frames")
_log.setLevel(logging.WARNING)

# All frames of a piece are looked at in one go. A ping has six bytes; where there are few frames,
# larger pieces cost less.
_MIN_PIECE_BYTES = 512
_MAX_PIECE_BYTES = 8 * 1024
_FEW_FRAMES = 8
# One read of compressed bytes could become a thousand times as much before anybody looks at it.
_COMPRESSED_PIECE_BYTES = 1024
_RATIO_FREE_BYTES = 64 * 1024
_MAX_REASON_BYTES = 123  # RFC 6455 section 5.5: a control frame has 125, and two are the code
_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message of the client's."""

    payload: bytes
    is_text: bool


class Frames:
    """The frames of one WebSocket, from the server's side."""

    def __init__(
        self, limit_bytes: int, ratio: int = 100, extensions: Iterable[Extension] = ()
    ) -> None:
        """`limit_bytes` is how large a message may be; `ratio`, how well compressed."""
        protocol = ServerProtocol(state=State.OPEN, max_size=limit_bytes, logger=_log)
        protocol.extensions = list(extensions)
        self._protocol = protocol
        self._is_compressed = bool(protocol.extensions)
        self._max_piece_bytes = _COMPRESSED_PIECE_BYTES if self._is_compressed else _MAX_PIECE_BYTES
        self.piece_bytes = _MIN_PIECE_BYTES
        """How much is to be fed at a time."""
        self._ratio = ratio
        self._received_bytes = self._inflated_bytes = 0
        self._parts: bytearray | None = None
        self._is_text = False

    @property
    def is_open(self) -> bool:
        """Whether neither side has begun to close."""
        return self._protocol.state is State.OPEN

    @property
    def peer_closed(self) -> bool:
        """Whether the client has said that it closes, or has broken the rules."""
        return self._protocol.eof_sent

    @property
    def violation(self) -> int | None:
        """The close code that a client was told which has broken the rules."""
        sent = self._protocol.close_sent
        return sent.code if self._protocol.close_rcvd is None and sent is not None else None

    def feed(self, data: bytes) -> list[Message]:
        """Parses bytes and returns the messages they complete; `data_to_send` has the replies."""
        protocol = self._protocol
        protocol.receive_data(data)
        messages: list[Message] = []
        events = protocol.events_received()
        if len(events) > _FEW_FRAMES:
            self.piece_bytes = _MIN_PIECE_BYTES
        elif self.piece_bytes < self._max_piece_bytes and len(data) == self.piece_bytes:
            self.piece_bytes *= 2
        for event in events:
            if isinstance(event, Frame) and event.opcode in _DATA:
                self._collect(event, messages)
        if self._is_compressed:
            self._received_bytes += len(data)
            if self._inflated_bytes > self._received_bytes * self._ratio + _RATIO_FREE_BYTES:
                protocol.fail(CloseCode.MESSAGE_TOO_BIG, f"compressed more than {self._ratio}-fold")
        return messages

    def data_to_send(self) -> bytes:
        """What answers pings, a close and what breaks the rules."""
        return b"".join(self._protocol.data_to_send())

    def text(self, payload: bytes) -> bytes:
        """A text frame."""
        self._protocol.send_text(payload)
        return self.data_to_send()

    def binary(self, payload: bytes) -> bytes:
        """A binary frame."""
        self._protocol.send_binary(payload)
        return self.data_to_send()

    def ping(self) -> bytes:
        """A question whether the client is there."""
        self._protocol.send_ping(b"")
        return self.data_to_send()

    def close(self, code: int, reason: str) -> bytes:
        """The beginning of the end; a reason that is too long is cut."""
        cut = reason.encode("utf-8", "replace")[:_MAX_REASON_BYTES].decode("utf-8", "ignore")
        self._protocol.send_close(code, cut)
        return self.data_to_send()

    def _collect(self, frame: Frame, messages: list[Message]) -> None:
        self._inflated_bytes += len(frame.data)
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
            if frame.fin:
                self._complete(bytes(frame.data), messages)
                return
            self._parts = bytearray()
        assert self._parts is not None  # noqa: S101 - the library refuses others
        self._parts += frame.data
        if frame.fin:
            payload, self._parts = bytes(self._parts), None
            self._complete(payload, messages)

    def _complete(self, payload: bytes, messages: list[Message]) -> None:
        if self._is_text and not payload.isascii():
            try:
                payload.decode()
            except UnicodeDecodeError:
                # RFC 6455 section 8.1.
                self._protocol.fail(CloseCode.INVALID_DATA, "text is not UTF-8")
                return
        messages.append(Message(payload, self._is_text))

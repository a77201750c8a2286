"""Converts WebSocket frames to messages and back (RFC 6455); does no I/O.

The `websockets` library does the framing. This module adds: a check that text is UTF-8, messages
of many fragments without copying each of them again, and a limit for compression.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from websockets.extensions import Extension
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

# The library logs every connection; the access log already does.
_log = logging.getLogger("gateway.frames")
_log.setLevel(logging.WARNING)

# All frames of a piece are parsed without a pause. A ping has only six bytes, so pieces start
# small; while they contain few frames, larger pieces cost less.
_MIN_PIECE_BYTES = 512
_MAX_PIECE_BYTES = 8 * 1024
_FEW_FRAMES = 8
# Compressed bytes can grow a thousandfold before the ratio is checked, so keep pieces small.
_COMPRESSED_PIECE_BYTES = 1024
_RATIO_FREE_BYTES = 64 * 1024
_MAX_REASON_BYTES = 123  # RFC 6455 section 5.5: a control frame holds 125, two for the code
_NOT_UTF8 = "text is not UTF-8"
# The library's reasons for a protocol error, and the client's; others get that of their code.
_BROKEN_RULES = {
    "incorrect masking": "expected masked frames",
    "invalid opcode": "expected frames with an opcode of RFC 6455 section 5.2",
    "reserved bits must be 0": "expected frames whose reserved bits are 0",
    "control frame too long": "expected control frames of at most 125 bytes",
    "fragmented control frame": "expected control frames in one piece",
    "unexpected continuation frame": "expected a frame that begins a message",
    "expected a continuation frame": "expected a frame that continues the message",
    "close frame too short": "expected a close frame with a code of two bytes",
    "invalid status code": "expected a close code of RFC 6455 section 7.4",
    "decompression failed": "expected a message that can be decompressed",
}
_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


@dataclass(frozen=True, slots=True)
class Message:
    """A complete message from the client."""

    payload: bytes
    is_text: bool


class _Protocol(ServerProtocol):
    """The library's protocol, whose reasons for a failure are those of the gateway."""

    limit_bytes: int
    """The maximum size of a message."""

    def fail(self, code: int, reason: str = "") -> None:
        """Fails the connection; the library calls it with a text that clients do not get."""
        self.refuse(code, self._reason(code, reason))

    def refuse(self, code: int, reason: str) -> None:
        """Fails the connection with this reason."""
        super().fail(code, reason)

    def _reason(self, code: int, said: str) -> str:
        if code == CloseCode.MESSAGE_TOO_BIG:
            return f"a message is larger than {self.limit_bytes} bytes"
        if code == CloseCode.INVALID_DATA:
            return _NOT_UTF8
        return _BROKEN_RULES.get(said, "expected frames of RFC 6455")


class Frames:
    """Parses and creates the frames of one WebSocket, as the server."""

    def __init__(
        self, limit_bytes: int, ratio: int = 100, extensions: Iterable[Extension] = ()
    ) -> None:
        """Takes the maximum size of a message, and the maximum compression ratio."""
        protocol = _Protocol(state=State.OPEN, max_size=limit_bytes, logger=_log)
        protocol.limit_bytes, protocol.extensions = limit_bytes, list(extensions)
        self._protocol = protocol
        self._is_compressed = bool(protocol.extensions)
        self._max_piece_bytes = _COMPRESSED_PIECE_BYTES if self._is_compressed else _MAX_PIECE_BYTES
        self.piece_bytes = _MIN_PIECE_BYTES
        """The maximum number of bytes to pass to `feed` at a time."""
        self._ratio = ratio
        self._received_bytes = self._inflated_bytes = 0
        self._parts: bytearray | None = None
        self._is_text = False
        self.answers = b""
        """The frames to send after `feed`: answers to pings, to a close, to protocol errors."""
        self.is_open = True
        """True while neither side has started to close."""
        self.peer_closed = False
        """True if the client has sent a close frame, or has violated the protocol."""

    @property
    def violation(self) -> int | None:
        """The close code sent to a client that violated the protocol; otherwise None."""
        sent = self._protocol.close_sent
        return sent.code if self._protocol.close_rcvd is None and sent is not None else None

    def feed(self, data: bytes) -> list[Message]:
        """Parses bytes and returns the messages they complete; `answers` has the replies."""
        protocol = self._protocol
        protocol.receive_data(data)
        messages: list[Message] = []
        events = protocol.events_received()
        if len(events) > _FEW_FRAMES:
            self.piece_bytes = _MIN_PIECE_BYTES
        elif self.piece_bytes < self._max_piece_bytes and len(data) == self.piece_bytes:
            self.piece_bytes *= 2
        for event in events:
            if not isinstance(event, Frame) or event.opcode not in _DATA:
                continue
            self._inflated_bytes += len(event.data)
            if event.opcode is not Opcode.CONT:
                self._is_text = event.opcode is Opcode.TEXT
            if self._parts is not None:
                self._parts += event.data
            elif not event.fin:
                self._parts = bytearray(event.data)
            if event.fin:
                payload = bytes(event.data if self._parts is None else self._parts)
                self._parts = None
                if self._is_text and not (payload.isascii() or _is_utf8(payload)):
                    # RFC 6455 section 8.1.
                    protocol.refuse(CloseCode.INVALID_DATA, _NOT_UTF8)
                else:
                    messages.append(Message(payload, self._is_text))
        if self._is_compressed:
            self._received_bytes += len(data)
            if self._inflated_bytes > self._received_bytes * self._ratio + _RATIO_FREE_BYTES:
                reason = f"compressed more than {self._ratio}-fold"
                protocol.refuse(CloseCode.MESSAGE_TOO_BIG, reason)
        self.is_open, self.peer_closed = protocol.state is State.OPEN, protocol.eof_sent
        self.answers = b"".join(protocol.data_to_send())
        return messages

    def text(self, payload: bytes) -> bytes:
        """Returns the bytes of a text frame."""
        self._protocol.send_text(payload)
        return b"".join(self._protocol.data_to_send())

    def binary(self, payload: bytes) -> bytes:
        """Returns the bytes of a binary frame."""
        self._protocol.send_binary(payload)
        return b"".join(self._protocol.data_to_send())

    def ping(self) -> bytes:
        """Returns the bytes of a ping, which the client must answer."""
        self._protocol.send_ping(b"")
        return b"".join(self._protocol.data_to_send())

    def close(self, code: int, reason: str) -> bytes:
        """Returns the bytes of a close frame; a reason that is too long is cut."""
        cut = reason.encode("utf-8", "replace")[:_MAX_REASON_BYTES].decode("utf-8", "ignore")
        self._protocol.send_close(code, cut)
        self.is_open = False
        return b"".join(self._protocol.data_to_send())


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True

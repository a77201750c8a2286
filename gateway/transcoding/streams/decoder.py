"""Decodes a request body, fed in pieces, to the messages of a call that streams its request.

The first message includes the values of the URL. Later ones have only the body's; they may repeat
the path's values but not contradict them. A stream without messages whose URL has values is one
message with these values, so that no input is lost.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from gateway.message_stream import Parts
from gateway.transcoding.streams.deframing import Deframer, StatusError, invalid_argument
from gateway.transcoding.streams.form import Field, File, Form, FormFields

PIECE_BYTES = 256 * 1024
"""The largest piece of a raw body in one message.

A connection is read in pieces of nearly this size, which are messages as they come. Servers of
gRPC accept 4 MB in a message unless they are told otherwise.
"""

MessageReader = tuple[bytes, Callable[[bytes], bytes]]
"""The wire bytes of the URL's values, and the reader of one payload, which also checks it."""


class MessageDecoder:
    """Decodes the request messages of one stream, in order."""

    def __init__(self, url: bytes, read: Callable[[bytes], bytes]) -> None:
        """Takes the parts of a `MessageReader`."""
        self._url: bytes = url
        self._read = read
        self.count = 0
        """The number of messages so far."""
        self.default: bytes | None = url or None
        """The message of a stream without messages; None if the URL has no values, or one came."""

    def decode(self, payload: bytes) -> bytes:
        """Decodes the next message to wire bytes.

        Raises:
            StatusError: INVALID_ARGUMENT that names the message by its number, from 1.
        """
        self.count += 1
        self.default = None
        try:
            wire = self._read(payload)
        except StatusError as error:
            raise numbered(error, self.count) from None
        return wire + self._url if self.count == 1 else wire


class RequestStreamDecoder(Protocol):
    """Decodes a body piece by piece to its messages, as wire bytes."""

    @property
    def is_midway(self) -> bool:
        """True if the client has begun something and must send the rest."""
        ...

    @property
    def only_copies(self) -> bool:
        """True if `feed` does nothing to the next bytes but copy them, at once and into few."""
        ...

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yields the messages that these bytes complete.

        Raises:
            StatusError: the body is not valid.
        """
        ...

    def finish(self) -> Iterator[bytes]:
        """Yields the messages that the end of the body completes.

        Raises:
            StatusError: the body is not complete.
        """
        ...


class FramedStreamDecoder:
    """Decodes a body of many messages, each one when it is consumed."""

    only_copies = False
    """Always False: decoding a message takes time."""

    def __init__(self, deframer: Deframer, decoder: MessageDecoder) -> None:
        self._deframer = deframer
        self._decoder = decoder

    @property
    def is_midway(self) -> bool:
        """True if a message has begun."""
        return self._deframer.is_midway

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yields the messages that these bytes complete."""
        return self._decoded(self._deframer.feed(data))

    def finish(self) -> Iterator[bytes]:
        """Yields the last message, or the default message of an empty stream."""
        yield from self._decoded(self._deframer.finish())
        if self._decoder.default is not None:
            yield self._decoder.default

    def _decoded(self, payloads: Iterator[bytes]) -> Iterator[bytes]:
        decoder = self._decoder
        while True:
            try:
                payload = next(payloads, None)
            except StatusError as error:
                raise numbered(error, decoder.count + 1) from None
            if payload is None:
                return
            yield decoder.decode(payload)


class RawStreamDecoder:
    """Passes a raw body on in pieces; only the first has the media type."""

    is_midway = True
    """Always True: a body that has begun must be sent to its end."""
    only_copies = True
    """Always True: the bytes are not looked at."""

    def __init__(
        self, url: Callable[[], bytes], start: Callable[[str, int], bytes], content_type: str
    ) -> None:
        """`start` encodes what comes before a piece of this size, with its media type if any."""
        self._url = url
        self._start = start
        self._content_type = content_type
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yields these bytes, in pieces."""
        for at in range(0, len(data) if self._begun else len(data) or 1, PIECE_BYTES):
            yield b"".join(self.parts([data[at : at + PIECE_BYTES]]))

    def parts(self, piece: Parts) -> Parts:
        """Returns the message with a piece that is not larger than `PIECE_BYTES`, in parts."""
        size = sum(map(len, piece))
        if self._begun:
            return [self._start("", size), *piece]
        self._begun = True
        return [self._start(self._content_type, size), *piece, self._url()]

    def finish(self) -> Iterator[bytes]:
        """Yields one empty piece for an empty body."""
        if not self._begun:
            yield from self.feed(b"")


class FormStreamDecoder:
    """Decodes a form: its fields go into the first message, its file is passed on as a raw body.

    Fields must come before the file: the first message is sent before the file's second piece.
    """

    is_midway = True
    """Always True, as for a raw body."""

    def __init__(
        self,
        fields: FormFields,
        content_type: str,
        decode: Callable[[list[tuple[str, str]]], bytes],
    ) -> None:
        """`decode` encodes the values of the URL and of these form fields as wire bytes."""
        self._form = Form(fields, content_type)
        self._start = fields.start
        self._decode = decode
        self._fields: list[tuple[str, str]] = []
        self._file: RawStreamDecoder | None = None

    @property
    def only_copies(self) -> bool:
        """True once the file has begun: only its end is looked for."""
        return self._file is not None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yields the pieces of the file in these bytes."""
        for event in self._form.feed(data):
            match event:
                case Field(name=name, value=value):
                    if self._file is not None:
                        raise invalid_argument(name, "comes after the file: send it before")
                    self._fields.append((name, value))
                case File(content_type=stated):
                    self._file = RawStreamDecoder(self._first_fields, self._start, stated)
                case bytes() if self._file is not None:
                    yield from self._file.feed(event)

    def finish(self) -> Iterator[bytes]:
        """Yields the message of an empty file, or of a form without one."""
        self._form.finish()
        if self._file is not None:
            yield from self._file.finish()
        else:
            yield self._first_fields()

    def _first_fields(self) -> bytes:
        return self._decode(self._fields)


def numbered(error: StatusError, number: int) -> StatusError:
    """Returns the error with the number of its message."""
    return StatusError(
        error.code,
        f"message {number}: {error.message}",
        details=error.details,
        http_status=error.http_status,
        headers=error.headers,
    )

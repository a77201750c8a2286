"""One request body, fed in pieces, to the request messages of a call that streams them.

The first message carries what the URL says; later ones carry the body's alone, and may repeat what
the path says but not contradict it. A stream without messages whose URL says something is one
message of that, so that nothing a client said is lost.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from gateway.status import StatusError, invalid_argument
from gateway.transcoding.streams.deframing import Deframer
from gateway.transcoding.streams.form import Field, File, Form, FormFields

PIECE_BYTES = 64 * 1024
"""The largest piece of a raw body that travels as one message."""


class MessageDecoder:
    """Makes the request messages of one stream, in the order they come."""

    def __init__(self, url: bytes, read: Callable[[bytes], bytes]) -> None:
        """`url`: the wire bytes of what the URL sets; `read` decodes and checks one payload."""
        self._url: bytes = url
        self._read = read
        self.count = 0
        """How many messages there have been."""

    def decode(self, payload: bytes) -> bytes:
        """The wire bytes of the next message.

        Raises:
            StatusError: INVALID_ARGUMENT that names the message by its number, from 1.
        """
        self.count += 1
        try:
            wire = self._read(payload)
        except StatusError as error:
            raise numbered(error, self.count) from None
        return wire + self._url if self.count == 1 else wire

    def instead(self) -> bytes | None:
        """The one message of a stream that has none, or None where the URL says nothing."""
        return self._url if self._url and not self.count else None


class RequestStreamDecoder(Protocol):
    """Takes a body piece by piece and gives the messages it holds, as wire bytes."""

    @property
    def is_midway(self) -> bool:
        """Whether the client owes the rest of something it has begun."""
        ...

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that these bytes complete.

        Raises:
            StatusError: the body is not what it should be.
        """
        ...

    def finish(self) -> Iterator[bytes]:
        """The messages that the end of the body completes.

        Raises:
            StatusError: the body is not complete.
        """
        ...


class FramedStreamDecoder:
    """A body of many messages, each decoded when its turn comes."""

    def __init__(self, deframer: Deframer, decoder: MessageDecoder) -> None:
        self._deframer = deframer
        self._decoder = decoder

    @property
    def is_midway(self) -> bool:
        """Whether a message has begun."""
        return self._deframer.is_midway

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that these bytes complete."""
        return self._decoded(self._deframer.feed(data))

    def finish(self) -> Iterator[bytes]:
        """The last message, or the one that stands for none."""
        yield from self._decoded(self._deframer.finish())
        instead = self._decoder.instead()
        if instead is not None:
            yield instead

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
    """A body that travels as it is, in pieces; only the first states the media type."""

    is_midway = True
    """A body that has begun is to be sent, however many messages it becomes."""

    def __init__(
        self, url: Callable[[], bytes], write: Callable[[str, bytes], bytes], content_type: str
    ) -> None:
        self._url = url
        self._write = write
        self._content_type = content_type
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """These bytes, in pieces."""
        if not self._begun:
            self._begun = True
            first, data = data[:PIECE_BYTES], data[PIECE_BYTES:]
            yield self._write(self._content_type, first) + self._url()
        for start in range(0, len(data), PIECE_BYTES):
            yield self._write("", data[start : start + PIECE_BYTES])

    def finish(self) -> Iterator[bytes]:
        """An empty body is one empty piece."""
        if not self._begun:
            yield from self.feed(b"")


class FormStreamDecoder:
    """A form: its fields go into the first message, its file travels as a raw body does.

    Fields come before the file: the first message has left when the file's second piece comes.
    """

    is_midway = True
    """As for a raw body."""

    def __init__(
        self,
        fields: FormFields,
        content_type: str,
        decode: Callable[[list[tuple[str, str]]], bytes],
    ) -> None:
        """`decode`: the wire bytes of what the URL and these fields of the form set."""
        self._form = Form(fields, content_type)
        self._write = fields.write
        self._decode = decode
        self._fields: list[tuple[str, str]] = []
        self._file: RawStreamDecoder | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The pieces of the file in these bytes."""
        for event in self._form.feed(data):
            match event:
                case Field(name=name, value=value):
                    if self._file is not None:
                        raise invalid_argument(name, "comes behind the file: put it before")
                    self._fields.append((name, value))
                case File(content_type=stated):
                    self._file = RawStreamDecoder(self._bound, self._write, stated)
                case bytes() if self._file is not None:
                    yield from self._file.feed(event)

    def finish(self) -> Iterator[bytes]:
        """What an empty file, or a form without one, becomes."""
        self._form.finish()
        if self._file is not None:
            yield from self._file.finish()
        else:
            yield self._bound()

    def _bound(self) -> bytes:
        return self._decode(self._fields)


def numbered(error: StatusError, number: int) -> StatusError:
    """An error of one message, told apart from those of others by its number."""
    return StatusError(
        error.code,
        f"message {number}: {error.message}",
        details=error.details,
        http_status=error.http_status,
        headers=error.headers,
    )

"""Splits a request body, fed in pieces, into messages: lines, a JSON array, delimited protobuf.

Each deframer yields a message as soon as it is complete, and buffers at most one incomplete
message: a body of any size takes the memory of its largest message, which has a limit.
"""

import re
from collections.abc import Iterator
from typing import Protocol

from gateway.status import Code, StatusError, invalid_argument
from gateway.transcoding.repeats import repeated

__all__ = ["StatusError", "invalid_argument"]
__all__ += ["ArrayItems", "Deframer", "Delimited", "Lines", "message_too_large"]

_WHITE_SPACE = b" \t\r\n"
_MAX_VARINT_BYTES = 10

_FAST_DEPTH = 3
_MAX_DEPTH = 100  # the nesting limit of messages, for any `limits.json_depth`


def _balanced(depth: int) -> str:
    """Makes a pattern for text with matching brackets outside strings, at most `depth` deep."""
    deeper = _balanced(depth - 1) if depth else ""
    inner = rf"|\{{{deeper}\}}|\[{deeper}\]" if depth else ""
    return repeated(rf'[^"\[\]{{}}]++|{_STRING}{inner}')


# Possessive throughout: no character is read twice, whatever a client sends.
_STRING = r'"(?:[^"\\]++|\\.)*+"'
_STRING_REST = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_SPACES = re.compile(rb"[ \t\r\n]*+")
_TO_BRACKET = re.compile(_balanced(2).encode(), re.DOTALL)
_TO_SCALAR_END = re.compile(rb"[^,\]\s]*+")
_WHOLE = re.compile(
    rb'[ \t\r\n]*+(\{%b\}|\[%b\]|%b|[^\s,"\[\]{}]++)[ \t\r\n]*+,'
    % (_balanced(_FAST_DEPTH).encode(), _balanced(_FAST_DEPTH).encode(), _STRING.encode()),
    re.DOTALL,
)


class Deframer(Protocol):
    """Splits a body into messages."""

    @property
    def is_midway(self) -> bool:
        """True if an incomplete message has begun."""
        ...

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yields the messages that these bytes complete; the caller must exhaust the iterator.

        Raises:
            StatusError: the body is not of its media type, or a message is over the limit; raised
            after the messages before.
        """
        ...

    def finish(self) -> Iterator[bytes]:
        """Yields the message that the end of the body completes, if there is one.

        Raises:
            StatusError: the body ends within a message.
        """
        ...


class _Buffered:
    """The base of deframers that buffer an incomplete message, and nothing else."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()

    @property
    def is_midway(self) -> bool:
        """True if a message, or its length, has begun."""
        return bool(self._buffer)


class Lines(_Buffered):
    """Splits lines of one JSON text each (application/x-ndjson); blank lines are skipped."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yields the lines that these bytes complete."""
        first, *rest = data.split(b"\n")
        self._begin(first)
        if not rest:
            return
        lines = [bytes(self._buffer), *rest[:-1]]
        self._buffer.clear()
        for line in lines:
            if len(line) > self._limit_bytes:
                raise message_too_large(self._limit_bytes)
            if line.strip(_WHITE_SPACE):
                yield line
        self._begin(rest[-1])

    def finish(self) -> Iterator[bytes]:
        """Yields the last line, which needs no line feed."""
        last = bytes(self._buffer)
        self._buffer.clear()
        if last.strip(_WHITE_SPACE):
            yield last

    def _begin(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > self._limit_bytes:
            raise message_too_large(self._limit_bytes)


class Delimited(_Buffered):
    """Splits delimited protobuf messages: each one follows its length as a varint."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yields the messages that these bytes complete."""
        buffer = self._buffer
        buffer += data
        at = 0
        while (head := self._head(at)) is not None:
            start, end = head
            if end > len(buffer):
                break
            yield bytes(memoryview(buffer)[start:end])
            at = end
        del buffer[:at]

    def finish(self) -> Iterator[bytes]:
        """Yields nothing; raises `StatusError` if a message is incomplete."""
        yield from ()
        if self._buffer:
            raise invalid_argument("", "the body ends within a message")

    def _head(self, at: int) -> tuple[int, int] | None:
        """Returns the start and end of the message whose length is at `at`, if it is known."""
        size = 0
        for number, byte in enumerate(self._buffer[at : at + _MAX_VARINT_BYTES]):
            size |= (byte & 127) << 7 * number
            if byte < 128:
                if size > self._limit_bytes:
                    raise message_too_large(self._limit_bytes)
                start = at + number + 1
                return start, start + size
        if len(self._buffer) - at >= _MAX_VARINT_BYTES:
            raise invalid_argument("", "expected the length of a message, as a varint")
        return None


class ArrayItems:
    """Splits one JSON array into its elements; a body that is not an array is one message.

    Only brackets and quotes separate elements: the reader of an element checks that it is valid
    JSON.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()
        self._begin = 0
        """The start of the current element in the buffer."""
        self._at = 0
        """The end of the part of the buffer that has been read."""
        self._depth = 0
        """The number of open brackets of the element."""
        self._in_string = False
        self._step = self._start
        self._found: list[bytes] = []

    @property
    def is_midway(self) -> bool:
        """True if an element, or a body that is not an array, has begun."""
        return self._step in (self._bracketed, self._string, self._scalar, self._single)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yields the elements that these bytes complete."""
        self._buffer += data
        failure = self._advance()
        found, self._found = self._found, []
        yield from found
        if failure is not None:
            raise failure

    def finish(self) -> Iterator[bytes]:
        """Yields the only message of a body that is not an array."""
        last = self._end_of_body()
        if last is not None:
            yield last

    def _end_of_body(self) -> bytes | None:
        """Returns the message that the end of the body completes, or None."""
        if self._step == self._single:
            return bytes(self._buffer)
        if self._step not in (self._start, self._end):
            raise invalid_argument("", "the body is a JSON array without its end")
        return None

    def _advance(self) -> StatusError | None:
        """Reads the buffer as far as possible; returns the error in it, or None."""
        try:
            # Each step reads a part and returns True if the buffer may have more to read.
            while self._step():
                pass
        except StatusError as error:
            return error
        done = self._begin if self.is_midway else self._at
        del self._buffer[:done]
        self._begin, self._at = 0, self._at - done
        over = len(self._buffer) > self._limit_bytes
        return message_too_large(self._limit_bytes) if over else None

    def _next_character(self) -> str:
        """Returns the next character that is not white space, or "" if there is none yet."""
        self._at = _end_of(_SPACES, self._buffer, self._at)
        return chr(self._buffer[self._at]) if self._at < len(self._buffer) else ""

    def _start(self) -> bool:
        character = self._next_character()
        if character == "[":
            self._at += 1
            self._step = self._first
        elif character:
            self._begin = self._at
            self._step = self._single
        return character == "["

    def _single(self) -> bool:
        """In a body that is not an array: its end is the message's end."""
        return False

    def _first(self) -> bool:
        """After the opening bracket: an element, or the end of an empty array."""
        character = self._next_character()
        if character == "]":
            self._at += 1
            self._step = self._end
        elif character:
            self._step = self._element
        return bool(character)

    def _element(self) -> bool:
        """At the start of an element."""
        # Take complete elements, the usual case, with one search each and without the steps below.
        while whole := _WHOLE.match(self._buffer, self._at):
            self._hand_on(whole[1])
            self._at = whole.end()
        return self._open_next("an element of the array")

    def _open_next(self, wanted: str) -> bool:
        """Begins the next element; returns False if its first character has not arrived."""
        character = self._next_character()
        if not character:
            return False
        if character in ",]}:":
            raise invalid_argument("", f"expected {wanted}, got {character}")
        return self._open(character)

    def _open(self, character: str) -> bool:
        """Begins the element whose first character is the next one."""
        self._begin = self._at
        if character in '"[{':
            self._at += 1
            self._depth = int(character != '"')
            self._step = self._bracketed if self._depth else self._string
        else:
            self._step = self._scalar
        return True

    def _bracketed(self) -> bool:
        """In an object or an array."""
        buffer = self._buffer
        if self._in_string and not self._close_string():
            return False
        while True:
            self._at = _end_of(_TO_BRACKET, buffer, self._at)
            if self._at == len(buffer):
                return False
            character = chr(buffer[self._at])
            self._at += 1
            if character == '"':
                # The pattern skips complete strings, so this one continues in the next piece.
                self._in_string = True
                return self._close_string()
            self._depth += 1 if character in "[{" else -1
            if self._depth > _MAX_DEPTH:
                raise invalid_argument("", f"the message is nested deeper than {_MAX_DEPTH} levels")
            if not self._depth:
                return self._take()

    def _close_string(self) -> bool:
        """Searches for the end of a string that has begun, without reading a byte twice."""
        self._at = _end_of(_STRING_REST, self._buffer, self._at)
        if self._buffer[self._at : self._at + 1] != b'"':
            return False
        self._at += 1
        self._in_string = False
        return True

    def _string(self) -> bool:
        return self._close_string() and self._take()

    def _scalar(self) -> bool:
        """In a number or a word, which ends at the next separator."""
        self._at = _end_of(_TO_SCALAR_END, self._buffer, self._at)
        return self._at < len(self._buffer) and self._take()

    def _take(self) -> bool:
        self._hand_on(bytes(memoryview(self._buffer)[self._begin : self._at]))
        self._step = self._after_element
        return True

    def _hand_on(self, element: bytes) -> None:
        if len(element) > self._limit_bytes:
            raise message_too_large(self._limit_bytes)
        self._found.append(element)

    def _after_element(self) -> bool:
        """After an element: a comma, or the end."""
        character = self._next_character()
        if not character:
            return False
        if character not in ",]":
            raise invalid_argument("", "expected a comma or ] after an element of the array")
        self._at += 1
        self._step = self._element if character == "," else self._end
        return True

    def _end(self) -> bool:
        if self._next_character():
            raise invalid_argument("", "expected nothing after the end of the array")
        return False


def _end_of(pattern: re.Pattern[bytes], buffer: bytearray, at: int) -> int:
    """Returns the end of the match of `pattern` at `at`, or `at`."""
    found = pattern.match(buffer, at)
    return found.end() if found else at


def message_too_large(limit_bytes: int) -> StatusError:
    """The 413 for one message of a stream."""
    return StatusError(
        Code.RESOURCE_EXHAUSTED,
        f"a message of the stream is larger than {limit_bytes} bytes",
        http_status=413,
    )

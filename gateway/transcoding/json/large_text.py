"""Parses a large JSON text piece by piece, so that its tree never stands at once.

A value of a few bytes takes up to a hundred in the parser's tree. Here an object or array that is
larger than the window is a node: iterating over it parses its members or items one after the other.
A value that fits into the window is a tree, as in `text.py`. Offsets are those of bytes.
"""

import re
import sys
import time
from codecs import utf_8_decode
from collections.abc import Iterator
from json import JSONDecodeError
from typing import Final

from gateway.transcoding.json.long_strings import long_string
from gateway.transcoding.json.text import (
    Scan,
    StatusError,
    check_utf8,
    exact_scanner,
    lone_surrogate,
    scanner_of,
    syntax_error,
)

WINDOW_BYTES: Final = 16 * 1024
"""The bytes that are parsed at once: a tree of them takes a megabyte at most."""
_SPACE: Final = re.compile(rb"[ \t\n\r]*+")
_NONE: Final = -1
_ARRAY: Final = 0x5B
_ARRAY_END: Final = 0x5D
_OBJECT: Final = 0x7B
_OBJECT_END: Final = 0x7D
_COMMA: Final = 0x2C
_COLON: Final = 0x3A
_QUOTE: Final = 0x22
_GROWING: Final = b'{["-0123456789'
"""The first characters of values that may be larger than the window."""
_FAULT_AT_COMMA: Final = sys.version_info >= (3, 13)
"""True if the standard library finds the fault of a comma without a value at the comma."""


class LargeText:
    """A JSON text whose nesting is checked, and the window of it that is decoded."""

    def __init__(self, body: bytes, window_bytes: int = WINDOW_BYTES) -> None:
        """Prepares the parsing of a body.

        Raises:
            StatusError: INVALID_ARGUMENT if the body is not UTF-8.
        """
        check_utf8(body)
        self._body = body
        self._size = window_bytes
        self._window = ""
        self._base = 0
        self._stop = 0
        self._scan: Scan = scanner_of("")
        self._is_ascii = True
        # An offset in the window, and the index of its character.
        self._known_at = 0
        self._known_index = 0
        # Objects and arrays between these offsets are nodes, however small: each try that fails
        # parses a window, so time would not be in step with the size.
        self._nodes_from = 0
        self._nodes_to = 0
        self._run_from = 0
        """No run is looked for before this offset: a window is tried once."""
        self._ends: dict[int, int] = {}
        """The end of each node that is not small, so that none is parsed twice to find it."""

    def root(self) -> object:
        """Returns the value: a tree, or a node.

        Raises:
            StatusError: INVALID_ARGUMENT if the text is not JSON, as far as it is parsed.
        """
        root, end = self.value(self.spaces(0))
        if not isinstance(root, Node):
            self._check_end(end)
        return root

    def check(self) -> None:
        """Parses all of the text.

        Raises:
            StatusError: INVALID_ARGUMENT at the first fault.
        """
        root = self.root()
        if isinstance(root, Node):
            self._check_end(root.passed())
        lone = lone_surrogate(self._body)
        if lone >= 0:
            raise self.fault(lone, "half of a surrogate pair at ")

    def has_lone_surrogate(self) -> bool:
        """True if the text has an escape of half a surrogate pair, or is no JSON there."""
        return lone_surrogate(self._body) >= 0

    def finish(self, root: object) -> None:
        """Checks what follows the value, which has been read."""
        if isinstance(root, Node):
            self._check_end(root.end())

    def _check_end(self, at: int) -> None:
        at = self.spaces(at)
        if at != len(self._body):
            raise self.fault(at)

    def value(self, at: int) -> tuple[object, int]:
        """Parses the value at an offset; returns it and its end, which is -1 for a node."""
        first = self.byte(at)
        is_node = first in (_ARRAY, _OBJECT)
        size = self._size
        while True:
            if not self._base <= at < self._stop:
                self._decode(at, size)
            if is_node and self._nodes_from <= at < self._nodes_to:
                return (LargeArray(self, at) if first == _ARRAY else LargeObject(self, at)), _NONE
            found, end = self._scanned(at, is_closed=is_node or first == _QUOTE)
            if end != _NONE:
                if size > self._size:
                    self._forget()
                return found, end
            # The value is cut off by the window.
            if at != self._base:
                self._decode(at, size)
            elif is_node:
                self._nodes_from, self._nodes_to = at, at + size // 2
            elif first == _QUOTE:
                found, end = long_string(self._body, at)
                if found is None:
                    raise self.fault(end)
                return found, end
            else:
                size *= 2
                self._decode(at, size)

    def run(self, at: int, opening: str, closing: str) -> tuple[object, int]:
        """Parses as many members or items as a window has at once; returns them and their end.

        The end is -1 if they are to be parsed one by one: the last comma is inside of one.
        """
        if at < self._run_from:
            return None, _NONE
        self._decode(at, self._size)
        self._run_from = self._stop
        last = self._window.rfind("},") + 1 if self.byte(at) == _OBJECT else 0
        cut = last or self._window.rfind(",")
        if cut <= 0:
            return None, _NONE
        text = f"{opening}{self._window[:cut]}{closing}"
        try:
            found, end = self._scan(text, 0)
        except (StopIteration, ValueError):
            return None, _NONE
        if end != len(text):
            return None, _NONE
        end = self._offset(cut)
        self._run_from = end
        return found, end

    def tree(self, at: int) -> object:
        """Parses a small value, which is no node then."""
        nodes_to, self._nodes_to = self._nodes_to, 0
        found = self.value(at)[0]
        self._nodes_to = nodes_to
        return found

    def is_small(self, start: int, end: int) -> bool:
        """True if what is between these offsets fits into the window."""
        return end - start < self._size - 4  # the window ends between characters

    def _scanned(self, at: int, *, is_closed: bool) -> tuple[object, int]:
        """Parses the value at an offset in the window; its end is -1 if the window cuts it off.

        `is_closed` is true for values that end with a character of their own.
        """
        at_end = self._stop == len(self._body)
        index = self._index(at)
        while True:
            try:
                found, end = self._scan(self._window, index)
            except StopIteration as error:
                fault = error.value
            except JSONDecodeError as error:
                fault = error.pos
            except ValueError:  # an integer has more digits than `int` takes
                self._scan = exact_scanner()
                continue
            else:
                # The first part of a number may be a number, before `.`, `e` or `e+`.
                if end < len(self._window) - 2 or is_closed or at_end:
                    return found, self._offset(end)
                return None, _NONE
            # Text that is no value is refused here: only values grow the window.
            if at_end or (at == self._base and self.byte(at) not in _GROWING):
                raise self.fault(self._offset(fault))
            return None, _NONE

    def spaces(self, at: int) -> int:
        """Returns the end of the white space at an offset."""
        found = _SPACE.match(self._body, at)
        return at if found is None else found.end()

    def byte(self, at: int) -> int:
        """Returns the byte at an offset; -1 at the end."""
        return self._body[at] if at < len(self._body) else _NONE

    def fault(self, at: int, what: str = "") -> StatusError:
        """Makes the error of a text that is not JSON because of what is at an offset."""
        line = self._body.rfind(b"\n", 0, at) + 1
        column = len(self._body[line:at].decode()) + 1
        return syntax_error(self._body.count(b"\n", 0, at) + 1, column, what)

    def end_of(self, start: int) -> int:
        """Returns the end of the node that starts at an offset; -1 if it is not known."""
        return self._ends.get(start, _NONE)

    def found_end(self, start: int, end: int) -> None:
        """Remembers the end of a node, unless it is small."""
        if not self.is_small(start, end):
            self._ends[start] = end

    def _decode(self, at: int, size: int) -> None:
        """Moves the window to an offset."""
        piece = self._body[at : at + size]
        text, used = utf_8_decode(piece, "strict", at + len(piece) == len(self._body))
        self._window = text
        self._base = self._known_at = at
        self._known_index = 0
        self._stop = at + used
        self._is_ascii = len(text) == used
        self._scan = scanner_of(text)
        time.sleep(0)  # lets other threads run: machine code keeps the interpreter lock

    def _forget(self) -> None:
        """Frees the window."""
        self._window = ""
        self._base = self._stop = 0

    def _index(self, at: int) -> int:
        """Returns the index in the window of the character at an offset."""
        if self._is_ascii:
            return at - self._base
        if at < self._known_at:
            self._known_at, self._known_index = self._base, 0
        self._known_index += len(self._body[self._known_at : at].decode())
        self._known_at = at
        return self._known_index

    def _offset(self, index: int) -> int:
        """Returns the offset of the character at an index in the window."""
        if self._is_ascii:
            return self._base + index
        if index < self._known_index:
            self._known_at, self._known_index = self._base, 0
        while self._known_index < index:  # in pieces, to limit memory
            stop = min(index, self._known_index + self._size)
            piece = self._window[self._known_index : stop]
            self._known_at += len(piece.encode())
            self._known_index += len(piece)
        return self._known_at


class Node:
    """An object or array that is parsed while it is iterated over, each time anew.

    The nodes among its members or items can be kept, and read at any time.
    """

    def __init__(self, text: LargeText, start: int) -> None:
        self._text = text
        self._start = start
        self._end = text.end_of(start)

    def end(self) -> int:
        """Returns the offset after the value, which is parsed for that if it was not."""
        return self.passed() if self._end == _NONE else self._end

    def passed(self) -> int:
        """Parses all of the value; returns its end."""
        for _ in self:
            pass
        return self._end

    def __iter__(self) -> Iterator[object]:
        """Yields the members or items."""
        raise NotImplementedError

    def next(self, at: int, closing: int) -> int:
        """Returns the offset of the member or item after the one that ends at `at`; -1 if none."""
        text = self._text
        comma = text.spaces(at)
        byte = text.byte(comma)
        if byte == closing:
            self._end = comma + 1
            text.found_end(self._start, self._end)
            return _NONE
        if byte != _COMMA:
            raise text.fault(comma)
        at = text.spaces(comma + 1)
        if _FAULT_AT_COMMA and text.byte(at) == closing:
            raise text.fault(comma)
        return at

    def first(self, closing: int) -> int:
        """Returns the offset of the first member or item; -1 if there is none."""
        at = self._text.spaces(self._start + 1)
        if self._text.byte(at) != closing:
            return at
        self._end = at + 1
        return _NONE


class LargeArray(Node):
    """An array as a node."""

    def __str__(self) -> str:
        return "an array"

    def __iter__(self) -> Iterator[object]:
        """Yields the items."""
        at = self.first(_ARRAY_END)
        while at != _NONE:
            items, end = self._text.run(at, "[", "]")
            if isinstance(items, list):
                for item in items:
                    yield item
            else:
                item, end = self._text.value(at)
                yield item
                if isinstance(item, Node):
                    end = item.end()
            at = self.next(end, _ARRAY_END)


class LargeObject(Node):
    """An object as a node; members of the name `hidden` are left out."""

    def __init__(self, text: LargeText, start: int, hidden: str | None = None) -> None:
        super().__init__(text, start)
        self._hidden = hidden

    def __str__(self) -> str:
        return "an object"

    def __iter__(self) -> Iterator[tuple[str | bytes, object]]:
        """Yields the members, each a name and a value."""
        text = self._text
        at = self.first(_OBJECT_END)
        while at != _NONE:
            members, end = text.run(at, "{", "}")
            if isinstance(members, tuple):
                for member in members:
                    if member[0] != self._hidden:
                        yield member
                at = self.next(end, _OBJECT_END)
                continue
            if text.byte(at) != _QUOTE:
                raise text.fault(at)
            name, end = text.value(at)
            assert isinstance(name, str | bytes)  # noqa: S101 # it begins with a quote
            at = text.spaces(end)
            if text.byte(at) != _COLON:
                raise text.fault(at)
            item, end = text.value(text.spaces(at + 1))
            if name != self._hidden:
                yield name, item
            if isinstance(item, Node):
                end = item.end()
            at = self.next(end, _OBJECT_END)

    def without(self, name: str) -> "LargeObject":
        """Returns the object without the members of a name."""
        return LargeObject(self._text, self._start, name)

    def if_large(self) -> "LargeObject | tuple[tuple[str | bytes, object], ...]":
        """Returns the object itself, or the tree of one that is small: it is read faster."""
        if not self._text.is_small(self._start, self.end()):
            return self
        found = self._text.tree(self._start)
        assert isinstance(found, tuple)  # noqa: S101 # it begins with a brace
        return found

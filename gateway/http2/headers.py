"""Header blocks (RFC 7541), for whatever is carried: string literals, decoding, and size limits.

Nothing is ever put into a dynamic table: we advertise one of size 0, and use only literals and the
static table ourselves.
"""

from abc import ABC, abstractmethod
from typing import Final, Generic, TypeVar

import hpack

MAX_HEADER_BYTES: Final = 64 * 1024
"""The largest block of headers, as sent and decoded, where no setting says otherwise."""
FIELD_OVERHEAD: Final = 32
"""Bytes that a field adds to the size of a list beyond its own (RFC 9113 section 6.5.2)."""
LONG: Final = 127
"""The first size of a string literal that does not fit into one byte."""
LENGTHS: Final = [bytes((size,)) for size in range(LONG)]
"""The size of a string literal, where one byte can hold it."""
_NEW_NAME: Final = b"\x00"
_NEVER_INDEXED: Final = b"\x10"
_SIZE_0: Final = b"\x20"
"""Says that the dynamic table has no room (RFC 7541 section 6.3)."""
_SENSITIVE: Final = frozenset({"authorization", "cookie", "proxy-authorization"})

# Remembering takes at most a few hundred kilobytes a connection; then it starts anew.
_REMEMBERED_BLOCKS: Final = 512
_REMEMBERED_BLOCK_BYTES: Final = 512
_PIECE_BYTES: Final = 1024
"""Blocks are decoded in pieces of about this size, to take time in proportion to theirs."""


class HeaderError(ValueError):
    """A header block that is malformed or too large."""


class HeadersTooLargeError(HeaderError):
    """A header block that is larger than allowed once decoded."""


class HeaderBlock:
    """A decoded block of headers or trailers; each role adds the fields that it needs."""

    __slots__ = ("interim",)

    interim: bool
    """True for a 1xx response, which another one follows (RFC 9110 section 15.2)."""


Block = TypeVar("Block", bound=HeaderBlock)


def string(text: bytes) -> bytes:
    """A string literal without Huffman coding (RFC 7541 section 5.2)."""
    size = len(text)
    if size < LONG:
        return LENGTHS[size] + text
    rest, out = size - LONG, bytearray((LONG,))
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    out.append(rest)
    return bytes(out) + text


def literal_start(name: str) -> bytes:
    """The start of a literal field with a new name, up to its value (RFC 7541 section 6.2.2).

    Secret fields are marked as never indexed, for all that handle them later (section 7.1.3).
    """
    kind = _NEVER_INDEXED if name in _SENSITIVE else _NEW_NAME
    return kind + string(name.encode("ascii"))


def fits(block: bytes, limit_bytes: int) -> bool:
    """True if a header list is no larger than a peer takes (RFC 9113 section 6.5.2)."""
    try:
        hpack.Decoder(limit_bytes).decode(block, raw=True)
    except hpack.OversizedHeaderListError:
        return False
    return True


class HeaderDecoder(ABC, Generic[Block]):
    """Decodes the blocks of one connection, and remembers the common ones by their bytes."""

    def __init__(self, max_bytes: int = MAX_HEADER_BYTES) -> None:
        self.max_bytes = max_bytes
        """The largest block and the largest decoded list."""
        self._decoder = hpack.Decoder(max_header_list_size=max_bytes)
        self._decoder.max_allowed_table_size = 0
        self._decoder.header_table_size = 0
        self._known: dict[bytes, Block] = {}
        self.known = self._known.get
        """The decoded form of a block that was seen before, or None."""

    @abstractmethod
    def read(self, fields: list[tuple[bytes, bytes]]) -> Block:
        """Reads the fields of a block into what this role needs.

        Raises:
            HeadersTooLargeError: the fields hold more than allowed.
        """

    def decode(self, block: bytes) -> Block:
        """Decodes `block`.

        Raises:
            HeadersTooLargeError: it is larger than allowed.
            HeaderError: it is malformed.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        if len(block) > self.max_bytes:
            raise HeadersTooLargeError("the block is too large")
        try:
            fields = self._fields(block)
        except hpack.OversizedHeaderListError:
            raise HeadersTooLargeError("the list is too large") from None
        except (hpack.HPACKError, ValueError, IndexError) as error:
            raise HeaderError(type(error).__name__) from None
        read = self.read(fields)
        if len(block) <= _REMEMBERED_BLOCK_BYTES:
            if len(self._known) >= _REMEMBERED_BLOCKS:
                self._known.clear()
            self._known[block] = read
            # A server begins its first block with the size of the table, which is 0 before too (RFC
            # 7541 section 4.2); the blocks after it are the same without.
            if block.startswith(_SIZE_0):
                self._known[block.lstrip(_SIZE_0)] = read
        return read

    def _fields(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """Decodes a block in pieces, as `hpack` copies all that is left for each field."""
        fields: list[tuple[bytes, bytes]] = []
        left, start = self.max_bytes, 0
        while start < len(block):
            end = len(block)
            if end - start > _PIECE_BYTES:
                end = _piece(block, start)
            self._decoder.max_header_list_size = left
            for name, value, *_ in self._decoder.decode(block[start:end], raw=True):
                fields.append((name, value))
                left -= len(name) + len(value) + FIELD_OVERHEAD
            start = end
        return fields


def _piece(block: bytes, start: int) -> int:
    """The end of the first field that reaches `_PIECE_BYTES` after `start`.

    Raises:
        IndexError: the block ends within an integer.
        HeaderError: an integer is too large.
    """
    at, end = start, len(block)
    while at < end and at - start < _PIECE_BYTES:
        first = block[at]
        if first & 0x80:  # all of it is in the table (RFC 7541 section 6.1)
            at = _integer(block, at, 0x7F)[1]
        elif first & 0xE0 == 0x20:  # a change of the table's size (section 6.3)
            at = _integer(block, at, 0x1F)[1]
        else:  # literals (section 6.2), whose names may be in the table
            index, at = _integer(block, at, 0x3F if first & 0x40 else 0x0F)
            for _ in range(1 if index else 2):
                length, at = _integer(block, at, 0x7F)
                at += length
    return min(at, end)


def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """An integer whose first bits are those of `mask`, and its end (RFC 7541 section 5.1)."""
    value = block[at] & mask
    at += 1
    if value < mask:
        return value, at
    for shift in range(0, 28, 7):
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise HeaderError("an integer is too large")

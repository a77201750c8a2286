"""Header blocks of gRPC over HTTP/2: requests encoded once, responses decoded once.

Sources: gRPC over HTTP/2 (PROTOCOL-HTTP2.md), RFC 7541. Nothing is ever put into a dynamic table:
we advertise one of size 0, and use only literals and the static table ourselves.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Final
from urllib.parse import unquote

import hpack

from gateway.call import Metadata
from gateway.upstream.channels.status_details import DETAILS

# What is remembered is a few hundred kilobytes a connection; then it starts anew.
_REMEMBERED_BLOCKS: Final = 512
_REMEMBERED_BLOCK_BYTES: Final = 512
_REMEMBERED_PAIRS: Final = 1024
_REMEMBERED_NAMES: Final = 1024

_POST: Final = b"\x83"
_SCHEMES: Final = {False: b"\x86", True: b"\x87"}
_AUTHORITY: Final = b"\x01"
_PATH: Final = b"\x04"
_CONTENT_TYPE: Final = b"\x0f\x10"
_USER_AGENT: Final = b"\x0f\x2b"
_NEW_NAME: Final = b"\x00"
_NEVER_INDEXED: Final = b"\x10"

_SENSITIVE: Final = frozenset({"authorization", "cookie", "proxy-authorization"})
_UNIQUE: Final = _SENSITIVE | {"x-request-id", "traceparent", "tracestate"}
"""What is different in every call, or must not linger: not worth remembering."""
_NAME: Final = re.compile(r"[0-9a-z_.\-]+")
_NOT_METADATA: Final = frozenset({"content-length", "content-type", "te", "date", "connection"})
_NEVER_SENT: Final = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    }
)
"""Names that belong to the connection, or that the request states itself (RFC 9113 8.2.2)."""
_GRPC_CONTENT: Final = re.compile(r"application/grpc(?:[+;].*)?", re.DOTALL)
_RAW_NAME: Final = re.compile(rb":status|[!-9;-@\[-~]+")
"""What a response's field can be called: no blanks, no capitals, one pseudo-header."""
_BAD_VALUE: Final = re.compile(rb"[\0\r\n]")
_FIELD_OVERHEAD: Final = 32
"""What a field counts for beyond its bytes, in the size of a list (RFC 9113 section 6.5.2)."""
_PIECE_BYTES: Final = 1024
"""Blocks are decoded in pieces of about this size, to take time in proportion to theirs."""
_STATUS: Final = re.compile(r"[0-9]{1,9}")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_LONG: Final = 127
_LENGTHS: Final = [bytes((size,)) for size in range(_LONG)]
"""How many bytes follow, where one byte can say it."""


class HeaderError(ValueError):
    """A header block that is malformed or too large."""


class HeadersTooLargeError(HeaderError):
    """A header block that is larger than allowed once decoded."""


def _string(text: bytes) -> bytes:
    """A string literal without Huffman coding (RFC 7541 section 5.2)."""
    size = len(text)
    if size < _LONG:
        return _LENGTHS[size] + text
    rest, out = size - _LONG, bytearray((_LONG,))
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    out.append(rest)
    return bytes(out) + text


class RequestHeaders:
    """Encodes the request headers of calls to one authority."""

    def __init__(
        self, authority: str, user_agent: str, *, tls: bool, encoding: str = "identity"
    ) -> None:
        self._start = _POST + _SCHEMES[tls] + _AUTHORITY + _string(authority.encode())
        self._rest = (
            _CONTENT_TYPE
            + _string(b"application/grpc")
            + _USER_AGENT
            + _string(user_agent.encode())
            + _NEW_NAME
            + _string(b"te")
            + _string(b"trailers")
            + _NEW_NAME
            + _string(b"grpc-accept-encoding")
            + _string(b"identity,gzip")
        )
        if encoding != "identity":
            self._rest += _NEW_NAME + _string(b"grpc-encoding") + _string(encoding.encode())
        # Saves encoding what does not change between a method's calls ...
        self._methods: dict[str, bytes] = {}
        # ... and the headers that most clients send alike.
        self._pairs = Pairs()

    def block(self, path: str, metadata: Metadata, timeout_s: float | None) -> bytes:
        """The header block of one call.

        Raises:
            HeaderError: metadata that gRPC cannot carry.
        """
        start = self._methods.get(path) or self._start_of(path)
        timeout = b"" if timeout_s is None else encode_timeout(timeout_s)
        pairs = self._pairs
        return b"".join([start, timeout, *[pairs.encoded(name, value) for name, value in metadata]])

    def _start_of(self, path: str) -> bytes:
        block = self._start + _PATH + _string(path.encode()) + self._rest
        return self._methods.setdefault(path, block)


class Pairs:
    """Metadata as it is sent, each pair encoded when it is first asked for."""

    __slots__ = ("_count", "_known", "_names")

    def __init__(self) -> None:
        # By name, then by value: a pair would be hashed anew each time.
        self._known: dict[str, dict[str | bytes, bytes]] = {}
        self._count = 0
        # Saves checking a name again whose value is always another.
        self._names: dict[str, bytes] = {}

    def __len__(self) -> int:
        return self._count

    def encoded(self, name: str, value: str | bytes) -> bytes:
        """A field of a header block.

        Raises:
            HeaderError: metadata that gRPC cannot carry.
        """
        values = self._known.get(name)
        if values is not None:
            known = values.get(value)
            if known is not None:
                return known
        return self._encode(name, value)

    def _encode(self, name: str, value: str | bytes) -> bytes:
        start = self._names.get(name)
        if start is None:
            start = self._start_of(name)
        elif name in _UNIQUE and isinstance(value, str) and _is_plain(value):
            # Saves half of what it takes to send what is different in every call.
            return start + _LENGTHS[len(value)] + value.encode()
        if isinstance(value, bytes) is not name.endswith("-bin"):
            raise HeaderError(f"{name} has a value of the wrong kind: bytes go with -bin")
        if isinstance(value, bytes):
            text = b64encode(value).rstrip(b"=")
        elif value.isascii() and value.isprintable():
            # gRPC lets spaces around a value be stripped, HTTP/2 wants it (RFC 9113 8.2.1).
            text = value.strip(" ").encode("ascii")
        else:
            raise HeaderError(f"the value of {name} is not printable ASCII")
        encoded = start + _string(text)
        if name not in _UNIQUE and len(encoded) <= _REMEMBERED_BLOCK_BYTES:
            self._remember(name, value, encoded)
        return encoded

    def _remember(self, name: str, value: str | bytes, encoded: bytes) -> None:
        if self._count >= _REMEMBERED_PAIRS:
            self._known.clear()
            self._count = 0
        self._known.setdefault(name, {})[value] = encoded
        self._count += 1

    def _start_of(self, name: str) -> bytes:
        if not _NAME.fullmatch(name) or name.startswith("grpc-") or name in _NEVER_SENT:
            raise HeaderError(f"{name!r} is not a metadata name")
        kind = _NEVER_INDEXED if name in _SENSITIVE else _NEW_NAME
        if len(self._names) >= _REMEMBERED_NAMES:
            self._names.clear()
        return self._names.setdefault(name, kind + _string(name.encode("ascii")))


def _is_plain(value: str) -> bool:
    """Whether a value can be sent as it is, and is short."""
    return (
        0 < len(value) < _LONG
        and value.isascii()
        and value.isprintable()
        and value[0] != " " != value[-1]
    )


def fits(block: bytes, limit_bytes: int) -> bool:
    """Whether a header list is no larger than a peer takes (RFC 9113 section 6.5.2)."""
    try:
        hpack.Decoder(limit_bytes).decode(block, raw=True)
    except hpack.OversizedHeaderListError:
        return False
    return True


def encode_timeout(timeout_s: float) -> bytes:
    """The field grpc-timeout, of at most eight digits and never shorter than asked."""
    if timeout_s < 1:
        return _TIMEOUT + _string(b"%du" % max(1, ceil(timeout_s * 1e6)))
    return _timeout_of(ceil(timeout_s * 1e3))


# Most calls have the default deadline, and leave at once: saves writing the same few numbers anew.
@lru_cache(maxsize=1024)
def _timeout_of(milliseconds: int) -> bytes:
    if milliseconds < _NINE_DIGITS:
        return _TIMEOUT + _string(b"%dm" % milliseconds)
    return _TIMEOUT + _string(b"%dS" % min(_NINE_DIGITS - 1, ceil(milliseconds / 1000)))


_TIMEOUT: Final = _NEW_NAME + _string(b"grpc-timeout")
_NINE_DIGITS: Final = 100_000_000


@dataclass(frozen=True, slots=True)
class ResponseHeaders:
    """A block of headers or trailers, read."""

    http_status: str
    interim: bool
    """Whether it is a 1xx response, which another one follows (RFC 9110 section 15.2)."""
    is_grpc: bool
    """Whether it can open a reply: HTTP status 200, and gRPC's content type."""
    encoding: str
    grpc_status: int | None
    """None where there is none, negative where it is malformed."""
    grpc_message: str
    metadata: tuple[tuple[str, str | bytes], ...]
    malformed: bool = False
    """Whether a name or a value is none (RFC 9113 section 8.2.1)."""
    content_length: int = -1
    """How many bytes the body has to have, negative where that is not said."""


class ResponseDecoder:
    """Decodes blocks, and remembers the common ones by their bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._decoder = hpack.Decoder(max_header_list_size=max_bytes)
        self._decoder.max_allowed_table_size = 0
        self._decoder.header_table_size = 0
        self._known: dict[bytes, ResponseHeaders] = {}
        self.known = self._known.get
        """What a block says that was seen before, or None."""

    def decode(self, block: bytes) -> ResponseHeaders:
        """What `block` says.

        Raises:
            HeadersTooLargeError: it is larger than allowed.
            HeaderError: it is malformed.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        if len(block) > self._max_bytes:
            raise HeadersTooLargeError("the block is too large")
        try:
            headers = self._fields(block)
        except hpack.OversizedHeaderListError:
            raise HeadersTooLargeError("the list is too large") from None
        except (hpack.HPACKError, ValueError, IndexError) as error:
            raise HeaderError(type(error).__name__) from None
        read = _read(headers, self._max_bytes)
        if len(block) <= _REMEMBERED_BLOCK_BYTES:
            if len(self._known) >= _REMEMBERED_BLOCKS:
                self._known.clear()
            self._known[block] = read
        return read

    def _fields(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """The fields of a block, decoded piece by piece, as `hpack` copies what is left at each."""
        fields: list[tuple[bytes, bytes]] = []
        left, start = self._max_bytes, 0
        while start < len(block):
            end = _piece(block, start)
            self._decoder.max_header_list_size = left
            for name, value, *_ in self._decoder.decode(block[start:end], raw=True):
                fields.append((name, value))
                left -= len(name) + len(value) + _FIELD_OVERHEAD
            start = end
        return fields


def _piece(block: bytes, start: int) -> int:
    """Where the field ends that is the first to reach `_PIECE_BYTES` behind `start`.

    Raises:
        IndexError: the block ends within an integer.
        HeaderError: an integer is too large.
    """
    at, end = start, len(block)
    if end - start <= _PIECE_BYTES:
        return end
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
    """An integer whose first bits are those of `mask`, and where it ends (section 5.1)."""
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


def _read(headers: Iterable[tuple[bytes, bytes]], max_bytes: int) -> ResponseHeaders:
    own: dict[str, str] = {}
    metadata: list[tuple[str, str | bytes]] = []
    malformed = False
    for raw_name, raw_value in headers:
        if not _RAW_NAME.fullmatch(raw_name) or _BAD_VALUE.search(raw_value):
            malformed = True
            continue
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        reserved = name.startswith((":", "grpc-")) and name != DETAILS
        if reserved or name in _NOT_METADATA:
            own[name] = value
        elif name.endswith("-bin"):
            if value.count(",") * _FIELD_OVERHEAD > max_bytes:
                raise HeadersTooLargeError("too many values in one field")
            metadata.extend((name, _binary(part)) for part in value.split(","))
        else:
            metadata.append((name, value))
    http_status, status = own.get(":status", ""), own.get("grpc-status")
    content_type = own.get("content-type", "")
    length = own.get("content-length", "")
    malformed = malformed or (length != "" and not _LENGTH.fullmatch(length))
    return ResponseHeaders(
        http_status,
        http_status.startswith("1"),
        http_status == "200"
        and not malformed
        and _GRPC_CONTENT.fullmatch(content_type) is not None,
        own.get("grpc-encoding", "identity"),
        -1 if malformed else None if status is None else _status(status),
        _message(own.get("grpc-message", "")),
        tuple(metadata),
        malformed,
        int(length) if length and not malformed else -1,
    )


def _status(text: str) -> int:
    """grpc-status as a number; text that is none becomes a negative one."""
    return int(text) if _STATUS.fullmatch(text) else -1


def _message(text: str) -> str:
    """grpc-message, percent-decoded once; malformed escapes stay as they are."""
    return unquote(text, errors="replace") if "%" in text else text


def _binary(text: str) -> bytes:
    digits = text.strip().rstrip("=")
    try:
        return b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError:
        return b""

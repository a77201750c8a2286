"""Header blocks of gRPC over HTTP/2: requests encoded once, responses decoded once.

Sources: gRPC over HTTP/2 (PROTOCOL-HTTP2.md), RFC 7541. Nothing is ever put into a dynamic table:
we advertise one of size 0, and use only literals and the static table ourselves.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from math import ceil
from typing import Final
from urllib.parse import unquote

from gateway.call import CallMetadata, Metadata
from gateway.http2.headers import (
    FIELD_OVERHEAD,
    LENGTHS,
    LONG,
    HeaderBlock,
    HeaderDecoder,
    HeaderError,
    HeadersTooLargeError,
    literal_start,
    string,
)
from gateway.upstream.channels.failures import DETAILS, PREVIOUS_ATTEMPTS, PUSHBACK

_REMEMBERED_PAIR_BYTES: Final = 512
_REMEMBERED_PAIRS: Final = 1024
_REMEMBERED_NAMES: Final = 1024

_POST: Final = b"\x83"
_SCHEMES: Final = {False: b"\x86", True: b"\x87"}
_AUTHORITY: Final = b"\x01"
_PATH: Final = b"\x04"
_CONTENT_TYPE: Final = b"\x0f\x10"
_USER_AGENT: Final = b"\x0f\x2b"
_NEW_NAME: Final = b"\x00"

_UNIQUE: Final = frozenset(
    {
        *("authorization", "cookie", "proxy-authorization"),
        *("x-request-id", "traceparent", "tracestate"),
    }
)
"""Fields that differ in each call, or are secret: their values are not remembered."""
_NAME: Final = re.compile(r"[0-9a-z_.\-]+")
_NOT_METADATA: Final = frozenset({"content-length", "content-type", "te", "connection"})
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
"""The valid names of response fields: no blanks, no capitals, one pseudo-header."""
_BAD_VALUE: Final = re.compile(rb"[\0\r\n]")
_STATUS: Final = re.compile(r"[0-9]{1,9}")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")


class RequestHeaders:
    """Encodes the request headers of calls to one authority."""

    def __init__(
        self, authority: str, user_agent: str, *, tls: bool, encoding: str = "identity"
    ) -> None:
        self._start = _POST + _SCHEMES[tls] + _AUTHORITY + string(authority.encode())
        self._rest = (
            _CONTENT_TYPE
            + string(b"application/grpc")
            + _USER_AGENT
            + string(user_agent.encode())
            + _NEW_NAME
            + string(b"te")
            + string(b"trailers")
            + _NEW_NAME
            + string(b"grpc-accept-encoding")
            + string(b"identity,gzip")
        )
        if encoding != "identity":
            self._rest += _NEW_NAME + string(b"grpc-encoding") + string(encoding.encode())
        # Keeps the part that all calls of a method share, encoded once ...
        self._methods: dict[str, MethodBlock] = {}
        # ... and the headers that many clients send with the same value.
        self._pairs = Pairs()

    def block(self, path: str, metadata: CallMetadata, timeout_s: float | None) -> bytes:
        """The header block of one call.

        Raises:
            HeaderError: metadata that gRPC cannot carry.
        """
        method = self._methods.get(path) or self._block_of(path)
        start = method.plain if timeout_s is None else method.within(timeout_s)
        if not isinstance(metadata, list):
            return start + metadata.encoded
        parts = [start]
        self._pairs.encode(metadata, parts)
        return b"".join(parts)

    def _block_of(self, path: str) -> "MethodBlock":
        block = self._start + _PATH + string(path.encode()) + self._rest
        return self._methods.setdefault(path, MethodBlock(block))


class MethodBlock:
    """The fields that all calls of a method share, and those of them with the same timeout."""

    __slots__ = ("_milliseconds", "_timed", "plain")

    def __init__(self, plain: bytes) -> None:
        self.plain = plain
        """The fields without a timeout."""
        self._milliseconds = 0
        self._timed = plain

    def within(self, timeout_s: float) -> bytes:
        """The fields with a timeout: most calls have the default one, and leave at once."""
        if timeout_s < 1:
            return self.plain + encode_timeout(timeout_s)
        milliseconds = ceil(timeout_s * 1e3)
        if milliseconds != self._milliseconds:
            self._timed = self.plain + encode_timeout(timeout_s)
            self._milliseconds = milliseconds
        return self._timed


class Pairs:
    """Encodes metadata, and remembers the pairs that may come again."""

    __slots__ = ("_count", "_known", "_names")

    def __init__(self) -> None:
        # By name, then by value: the hash of a tuple would be computed each time.
        self._known: dict[str, dict[str | bytes, bytes]] = {}
        self._count = 0
        # Names that passed the check, for fields whose value differs each time.
        self._names: dict[str, bytes] = {}

    def __len__(self) -> int:
        return self._count

    def encode(self, metadata: Metadata, parts: list[bytes]) -> None:
        """Appends the fields of a header block to `parts`.

        Raises:
            HeaderError: metadata that gRPC cannot carry.
        """
        known = self._known
        for name, value in metadata:
            values = known.get(name)
            field = None if values is None else values.get(value)
            parts.append(self.encoded(name, value) if field is None else field)

    def encoded(self, name: str, value: str | bytes) -> bytes:
        """One field of a header block, which is remembered if it may come again.

        Raises:
            HeaderError: metadata that gRPC cannot carry.
        """
        start = self._names.get(name)
        if start is None:
            start = self._start_of(name)
        elif (
            name in _UNIQUE
            and isinstance(value, str)
            and 0 < len(value) < LONG
            and value.isascii()
            and value.isprintable()
            and value[0] != " " != value[-1]
        ):
            # The value needs no other check, and is not remembered: half of the usual cost.
            return start + LENGTHS[len(value)] + value.encode()
        if isinstance(value, bytes) is not name.endswith("-bin"):
            raise HeaderError(f"{name} has a value of the wrong kind: bytes go with -bin")
        if isinstance(value, bytes):
            text = b64encode(value).rstrip(b"=")
        elif value.isascii() and value.isprintable():
            # gRPC lets spaces around a value be stripped, HTTP/2 wants it (RFC 9113 8.2.1).
            text = value.strip(" ").encode("ascii")
        else:
            raise HeaderError(f"the value of {name} is not printable ASCII")
        encoded = start + string(text)
        if name not in _UNIQUE and len(encoded) <= _REMEMBERED_PAIR_BYTES:
            self._remember(name, value, encoded)
        return encoded

    def _remember(self, name: str, value: str | bytes, encoded: bytes) -> None:
        if self._count >= _REMEMBERED_PAIRS:
            self._known.clear()
            self._count = 0
        self._known.setdefault(name, {})[value] = encoded
        self._count += 1

    def _start_of(self, name: str) -> bytes:
        reserved = name.startswith("grpc-") and name != PREVIOUS_ATTEMPTS
        if not _NAME.fullmatch(name) or reserved or name in _NEVER_SENT:
            raise HeaderError(f"{name!r} is not a metadata name")
        if len(self._names) >= _REMEMBERED_NAMES:
            self._names.clear()
        return self._names.setdefault(name, literal_start(name))


def encode_timeout(timeout_s: float) -> bytes:
    """The field grpc-timeout, of at most eight digits and never shorter than asked."""
    if timeout_s < 1:
        return _timeout(b"%du" % max(1, ceil(timeout_s * 1e6)))
    milliseconds = ceil(timeout_s * 1e3)
    if milliseconds < _NINE_DIGITS:
        return _timeout(b"%dm" % milliseconds)
    return _timeout(b"%dS" % min(_NINE_DIGITS - 1, ceil(milliseconds / 1000)))


def _timeout(digits: bytes) -> bytes:
    return _TIMEOUT + LENGTHS[len(digits)] + digits


_TIMEOUT: Final = _NEW_NAME + string(b"grpc-timeout")
_NINE_DIGITS: Final = 100_000_000


class ResponseHeaders(HeaderBlock):
    """A block of headers or trailers, read."""

    __slots__ = (
        "content_length",
        "encoding",
        "grpc_message",
        "grpc_status",
        "http_status",
        "is_grpc",
        "malformed",
        "metadata",
    )

    def __init__(
        self,
        own: Mapping[str, str],
        metadata: tuple[tuple[str, str | bytes], ...],
        *,
        malformed: bool,
    ) -> None:
        http_status, status = own.get(":status", ""), own.get("grpc-status")
        length = own.get("content-length", "")
        malformed = malformed or (length != "" and not _LENGTH.fullmatch(length))
        self.interim = http_status.startswith("1")
        self.http_status = http_status
        self.malformed = malformed
        """True if a name or a value is not valid (RFC 9113 section 8.2.1)."""
        self.is_grpc = (
            http_status == "200"
            and not malformed
            and _GRPC_CONTENT.fullmatch(own.get("content-type", "")) is not None
        )
        """True if it can open a reply: HTTP status 200, and gRPC's content type."""
        self.encoding = own.get("grpc-encoding", "identity")
        self.grpc_status = -1 if malformed else None if status is None else _status(status)
        """None if there is none, negative if it is malformed."""
        message = own.get("grpc-message", "")
        # Percent-decoded once; malformed escapes stay as they are.
        self.grpc_message = unquote(message, errors="replace") if "%" in message else message
        self.metadata = metadata
        self.content_length = int(length) if length and not malformed else -1
        """The bytes that the body has to have, negative if that is not stated."""


_KEPT: Final = frozenset({DETAILS, PUSHBACK})
"""Fields of gRPC that are kept with the metadata, for those who handle a failed call."""


class ResponseDecoder(HeaderDecoder[ResponseHeaders]):
    """Decodes the header blocks of a gRPC server."""

    def read(self, fields: list[tuple[bytes, bytes]]) -> ResponseHeaders:
        """Sorts the fields into those of HTTP and gRPC, and metadata.

        Raises:
            HeadersTooLargeError: one field holds too many values.
        """
        own: dict[str, str] = {}
        metadata: list[tuple[str, str | bytes]] = []
        malformed = False
        for raw_name, raw_value in fields:
            if not _RAW_NAME.fullmatch(raw_name) or _BAD_VALUE.search(raw_value):
                malformed = True
                continue
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            reserved = name.startswith((":", "grpc-")) and name not in _KEPT
            if reserved or name in _NOT_METADATA:
                own[name] = value
            elif name.endswith("-bin"):
                if value.count(",") * FIELD_OVERHEAD > self.max_bytes:
                    raise HeadersTooLargeError("too many values in one field")
                metadata.extend((name, _binary(part)) for part in value.split(","))
            else:
                metadata.append((name, value))
        return ResponseHeaders(own, tuple(metadata), malformed=malformed)


def _status(text: str) -> int:
    """grpc-status as a number; text that is none becomes a negative one."""
    return int(text) if _STATUS.fullmatch(text) else -1


def _binary(text: str) -> bytes:
    digits = text.strip().rstrip("=")
    try:
        return b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError:
        return b""

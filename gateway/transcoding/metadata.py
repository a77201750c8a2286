"""Maps HTTP headers to gRPC metadata and back, and parses the caller's timeout.

The target of each header name is decided once and cached; only values are checked in every
request. Names that would let a client act as the gateway, or break framing, never pass.
"""

import re
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.config.forwarded import ForwardedOptions
from gateway.config.grammar import LOWER_TOKEN
from gateway.config.metadata import MetadataOptions
from gateway.http2.headers import literal_start, string
from gateway.status import StartUpError, invalid_argument
from gateway.transcoding import call_head
from gateway.transcoding.baggage import BAGGAGE, kept_baggage

Metadata = call_head.Metadata

HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers for one connection only, which are never forwarded (RFC 9110 section 7.6.1)."""

NOT_METADATA: Final = HOP_BY_HOP | {
    # These describe the HTTP message, which ends here.
    "accept-encoding",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    # The front end sets these itself; values from clients are not trusted.
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-user-agent",
    "x-request-id",
    "grpc-*",
    "proxy-*",
    # One of these can carry a browser's token.
    "sec-websocket-*",
}
"""Request headers that never become metadata, whatever the rules say; `*` is any ending."""

_CREDENTIALS: Final = ("authorization", "cookie")

_SET_BY_PROXIES: Final = "x-forwarded-*"

NOT_HEADERS: Final = HOP_BY_HOP | {
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    # The load of a back end, for its gRPC clients (gRFC A51).
    "endpoint-load-metrics-bin",
    "grpc-*",
    "server",
    "x-http-code",
    "x-http-content-length",
    "x-request-id",
}
"""Metadata that never becomes a response header, whatever the rules say."""

NOT_TRAILERS: Final = (
    # Framing, routing, and instructions for the recipient.
    *("host", "max-forwards", "te", "range", "if-*", "expect", "refresh", "keep-alive"),
    *("age", "cache-control", "clear-site-data", "date", "expires", "location", "pragma"),
    *("retry-after", "vary", "warning", "allow", "accept-ranges", "alt-svc", "server"),
    # Authentication and cookies.
    *("authorization", "cookie", "set-cookie", "set-cookie2", "www-authenticate", "proxy-*"),
    # The content's type, and rules for browsers.
    *("content-*", "access-control-*", "cross-origin-*", "permissions-policy", "referrer-policy"),
    *("strict-transport-security", "x-content-type-options", "x-frame-options", "nel"),
    *("report-to", "reporting-endpoints", "timing-allow-origin", "origin-agent-cluster"),
)
"""Fields that are needed before the content (RFC 9110 section 6.5.1); `*` is any ending."""

RENAMED: Final = {"user-agent": "x-forwarded-user-agent"}
"""gRPC clients send their own user-agent, so the caller's is sent under another name."""

HTTP_CODE: Final = "x-http-code"
"""Reply metadata with which a back end sets the HTTP status of a success."""

CONTENT_LENGTH: Final = "x-http-content-length"
"""Reply metadata with which a back end states the length of a stream of raw bytes."""

_METADATA_NAME: Final = re.compile(r"[0-9a-z_.\-]+")
_HEADER_NAME: Final = re.compile(LOWER_TOKEN)
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")
_TIMEOUT: Final = re.compile(r"([0-9]{1,8})([HMSmun])")
_TIMEOUT_UNIT_S: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_BASE64 = re.compile(r"[A-Za-z0-9+/_\-]*={0,2}")
_REMEMBERED_NAMES: Final = 1024
_WITHHELD: Final = ForwardedOptions().withhold


class MetadataError(StartUpError):
    """The settings map a name to one that is never sent."""


class MetadataRules:
    """Maps headers to metadata, and metadata to headers, by the settings."""

    def __init__(
        self,
        options: MetadataOptions,
        reserved: Sequence[str] = (),
        withhold: Sequence[str] = _WITHHELD,
        hand_on: Sequence[str] = (),
        baggage: frozenset[str] = frozenset(),
    ) -> None:
        """`reserved` names, with `*` for any ending, never become metadata under any name.

        The same holds for `x-forwarded-*` and `withhold`, except those in `hand_on`. In all of
        these, `-` and `_` are equal, because many servers treat them as equal. With keys in
        `baggage`, only members with these pass in that header.
        """
        self._baggage = baggage
        rename = {**RENAMED, **options.request_rename}
        self._to_metadata = _Names(
            options.request_allow,
            options.request_deny,
            rename,
            reserved=[*NOT_METADATA, *reserved],
            withhold=[_SET_BY_PROXIES, *withhold],
            hand_on=hand_on,
            exempt={
                source: target for source, target in RENAMED.items() if rename[source] == target
            },
            token=_METADATA_NAME,
            setting="metadata.request_rename",
            removed_prefix=options.request_prefix,
        )
        self._to_headers = _Names(
            options.response_allow,
            options.response_deny,
            options.response_rename,
            reserved=list(NOT_HEADERS),
            withhold=(),
            hand_on=(),
            exempt={},
            token=_HEADER_NAME,
            setting="metadata.response_rename",
        )
        self._headers = _Prefixed(self._to_headers, options.response_prefix, ())
        self._trailers = _Prefixed(self._to_headers, options.trailer_prefix, NOT_TRAILERS)
        # Cache the target of each raw name, to avoid decoding, lowering and matching it again.
        self._seen: dict[bytes, str | None] = {}
        self._starts: dict[bytes, bytes] = {}

    def to_metadata(self, headers: Sequence[tuple[bytes, bytes]]) -> Metadata:
        """Returns the metadata of a request with these headers, in order.

        Values that metadata cannot carry (outside printable ASCII) are left out, a `-bin` value
        is decoded from base64, padded or not (gRPC over HTTP/2, "Custom-Metadata").

        Raises:
            StatusError: INVALID_ARGUMENT if a `-bin` value is not base64.
        """
        metadata: Metadata = []
        seen = self._seen
        # Those that `Connection` marks as hop-by-hop, without those that always are.
        dropped: set[str] | None = None
        for raw_name, raw_value in headers:
            try:
                name = seen[raw_name]
            except KeyError:
                name = self._remember(raw_name)
            if name is None:
                if len(raw_name) == 10 and raw_name.lower() == b"connection":
                    options = map(str.strip, raw_value.decode("latin-1").lower().split(","))
                    dropped = (dropped or set()) | (set(options) - HOP_BY_HOP)
            elif name == BAGGAGE and self._baggage:
                metadata.extend(kept_baggage(raw_value, self._baggage))
            elif name.endswith("-bin"):
                metadata.extend((name, value) for value in _binary_values(name, raw_value))
            else:
                # For ASCII this means 0x20 to 0x7E; it takes a third of a pattern's time.
                text = raw_value.decode("latin-1")
                if text.isascii() and text.isprintable():
                    metadata.append((name, text))
        return [entry for entry in metadata if entry[0] not in dropped] if dropped else metadata

    def encode(self, raw_name: bytes, value: bytes) -> bytes | None:
        """Returns a header's metadata as a field of HTTP/2; `value` is visible ASCII and spaces.

        Empty if it does not become metadata; None if `to_metadata` has to read the
        value: binary metadata, and baggage that is not wanted whole.
        """
        start = self._starts.get(raw_name)
        if start is None:
            name = self._remember(raw_name)
            if name is None:
                start = b""
            elif name.endswith("-bin") or (name == BAGGAGE and self._baggage):
                return None
            else:
                start = literal_start(name)
            if len(self._starts) < _REMEMBERED_NAMES:
                self._starts[raw_name] = start
        return start + string(value) if start else start

    def to_headers(self, metadata: Sequence[tuple[str, str | bytes]]) -> list[tuple[str, str]]:
        """Returns the headers for a reply's metadata: `-bin` as base64, no value with CR or LF."""
        return self._headers.of(metadata)

    def to_trailers(self, metadata: Sequence[tuple[str, str | bytes]]) -> list[tuple[str, str]]:
        """Returns the trailer fields for a reply's trailing metadata.

        Fields that must not be in trailers are left out (RFC 9110 section 6.5.1).
        """
        return self._trailers.of(metadata)

    def _remember(self, raw_name: bytes) -> str | None:
        name = self._to_metadata[raw_name.decode("latin-1").lower()]
        if len(self._seen) < _REMEMBERED_NAMES:
            self._seen[raw_name] = name
        return name


class _Names:
    """Maps a name to the name under which it is sent, or to None if it is dropped."""

    def __init__(
        self,
        allow: Sequence[str],
        deny: Sequence[str],
        rename: Mapping[str, str],
        *,
        reserved: Sequence[str],
        withhold: Sequence[str],
        hand_on: Sequence[str],
        exempt: Mapping[str, str],
        token: re.Pattern[str],
        setting: str,
        removed_prefix: str = "",
    ) -> None:
        """`exempt` maps names to reserved targets, which a client could not set directly.

        `setting` is the setting of `rename`. A name with `removed_prefix` counts as the rest of it.

        Raises:
            MetadataError: a name is renamed to a reserved one.
        """
        self._allow = _pattern(allow)
        self._deny = _pattern(deny)
        self._rename = {source.lower(): target.lower() for source, target in rename.items()}
        self._reserved = _folded_pattern(reserved)
        self._withhold = _folded_pattern(withhold)
        self._hand_on = _folded_pattern(hand_on)
        self._exempt = exempt
        self._token = token
        self._removed_prefix = removed_prefix.lower()
        self._known: dict[str, str | None] = {}
        for source, target in self._rename.items():
            if exempt.get(source) != target and self._is_reserved(target):
                raise MetadataError(
                    f"{setting}: {source}: the name {target} is reserved, so that the value would "
                    "be dropped: choose another name"
                )

    def __getitem__(self, name: str) -> str | None:
        try:
            return self._known[name]
        except KeyError:
            target = self._decide(name)
            if len(self._known) < _REMEMBERED_NAMES:
                self._known[name] = target
            return target

    def is_renamed(self, name: str) -> bool:
        """True if the settings give a name another one."""
        return name in self._rename

    def _decide(self, name: str) -> str | None:
        if self._removed_prefix and name.startswith(self._removed_prefix):
            name = name[len(self._removed_prefix) :]
            if name in _CREDENTIALS:
                return None  # only the header that the guards check may become this metadata
        exempt = self._exempt.get(name)
        if (exempt is None and self._is_reserved(name)) or self._deny.fullmatch(name):
            return None
        if not self._allow.fullmatch(name):
            return None
        target = self._rename.get(name, name)
        if (target != exempt and self._is_reserved(target)) or self._deny.fullmatch(target):
            return None
        if not self._token.fullmatch(target):
            return None
        return target

    def _is_reserved(self, name: str) -> bool:
        folded = _folded(name)
        if self._reserved.fullmatch(folded):
            return True
        return bool(self._withhold.fullmatch(folded)) and not self._hand_on.fullmatch(folded)


class _Prefixed:
    """Makes header fields of reply metadata, with a prefix before the names."""

    def __init__(self, names: _Names, prefix: str, forbidden: Sequence[str]) -> None:
        """Leaves out fields named as in `forbidden`, where `*` is any ending."""
        self._names = names
        self._prefix = prefix.lower()
        self._forbidden = _folded_pattern(forbidden)

    def of(self, metadata: Sequence[tuple[str, str | bytes]]) -> list[tuple[str, str]]:
        """Returns the fields: `-bin` as base64, no value with CR or LF."""
        found: list[tuple[str, str]] = []
        for name, value in metadata:
            target = self._names[name]
            if target is None:
                continue
            if self._prefix and not self._names.is_renamed(name):
                target = self._prefix + target
            text = b64encode(value).decode("ascii") if isinstance(value, bytes) else value
            if _HEADER_VALUE.fullmatch(text) and not self._forbidden.fullmatch(_folded(target)):
                found.append((target, text))
        return found


def _pattern(names: Sequence[str]) -> re.Pattern[str]:
    """Compiles a list of names to one pattern; a trailing `*` is any ending."""
    parts = [
        re.escape(name[:-1].lower()) + ".*" if name.endswith("*") else re.escape(name.lower())
        for name in names
    ]
    return re.compile("|".join(parts) if parts else r"(?!)")


def _folded_pattern(names: Sequence[str]) -> re.Pattern[str]:
    """`_pattern` for names that `_folded` returns."""
    return _pattern(list(map(_folded, names)))


def _folded(name: str) -> str:
    """Spells `_` and `.` as `-`: many servers turn all three into one character."""
    return name.replace("_", "-").replace(".", "-")


def _binary_values(name: str, raw_value: bytes) -> list[bytes]:
    """The values of one -bin header, separated by commas (gRPC over HTTP/2)."""
    return [_decode_binary(name, part.strip()) for part in raw_value.decode("latin-1").split(",")]


def _decode_binary(name: str, text: str) -> bytes:
    digits = text.rstrip("=")
    if not _BASE64.fullmatch(text) or len(digits) % 4 == 1:
        raise invalid_argument(name, "expected base64 in a header whose name ends in -bin")
    digits = digits.replace("+", "-").replace("/", "_")
    return urlsafe_b64decode(digits + "=" * (-len(digits) % 4))


def parse_timeout_s(value: str) -> float:
    """Parses Grpc-Timeout to seconds: up to 8 digits and one of H M S m u n (gRPC over HTTP/2).

    Raises:
        StatusError: INVALID_ARGUMENT for any other text.
    """
    found = _TIMEOUT.fullmatch(value)
    if found is None:
        raise invalid_argument(
            "grpc-timeout", "expected up to 8 digits and a unit of H, M, S, m, u or n, such as 500m"
        )
    return int(found[1]) * _TIMEOUT_UNIT_S[found[2]]

"""A collector of OpenTelemetry, as settings describe it: URL, headers, and compression."""

import re
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, PlainSerializer

from gateway.config.grammar import LOWER_TOKEN
from gateway.config.secret_sources import FROM_ELSEWHERE
from gateway.config.sections import Words

_NAME = re.compile(LOWER_TOKEN)
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")
_RESERVED = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "host"}
    | {"transfer-encoding"}
)


class Compression(StrEnum):
    """The compression of what is sent to a collector."""

    GZIP = "gzip"
    NONE = "none"


CollectorUrl = Annotated[str, Words("the URL of a collector", "http://localhost:4318")]


def otlp_url(path: str, headers: str) -> AfterValidator:
    """Returns the check of a collector's URL, which adds `path` to one that has none.

    `headers` is the name of the setting for credentials.

    The paths are those of OTLP 1.5, "OTLP/HTTP Request".
    """

    def validate(url: str) -> str:
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if host is None or parts.scheme not in ("http", "https") or not url.isprintable():
            raise ValueError("expected the URL of a collector, such as http://localhost:4318")
        if parts.username is not None or parts.password is not None:
            raise ValueError(f"expected a URL without a password: credentials belong in {headers}")
        if parts.query or parts.fragment or " " in url:
            raise ValueError("expected a URL without a query, a fragment and blanks")
        return url.rstrip("/") + path if parts.path in ("", "/") else url

    return AfterValidator(validate)


def _header_name(name: str) -> str:
    lower = name.lower()
    if not _NAME.fullmatch(lower):
        raise ValueError("expected the name of a header, such as authorization")
    if lower in _RESERVED:
        raise ValueError(f"{lower} is set by the gateway itself")
    return lower


def _header_value(value: str) -> str:
    # The value is not quoted: it may be a secret.
    if not _VALUE.fullmatch(value):
        raise ValueError("expected a value of visible ASCII characters")
    return value


Secret = Annotated[
    str,
    FROM_ELSEWHERE,
    AfterValidator(_header_value),
    PlainSerializer(lambda _: "***"),
    Words("text", "secret"),
]
CollectorHeaders = dict[Annotated[str, AfterValidator(_header_name)], Secret]
"""Headers for a collector, whose values are never shown."""

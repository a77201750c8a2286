"""Media types: checks those of request bodies, and chooses one that the client accepts.

A `Payload` is an encoded body with its media type.
"""

from collections.abc import Collection
from functools import lru_cache
from typing import Final

from gateway.status import Code, StatusError, invalid_argument

__all__ = ["Code", "StatusError", "invalid_argument"]
__all__ += ["ANY_TYPE", "JSON", "OCTET_STREAM", "PROTOBUF_TYPES", "URL_ENCODED", "Payload"]
__all__ += ["is_among", "is_json", "media_type", "not_acceptable", "preferred", "unsupported"]
__all__ += ["weights"]

JSON: Final = "application/json"
OCTET_STREAM: Final = "application/octet-stream"


class Payload:
    """An encoded body, its media type, and headers that belong to it."""

    # A plain class: a frozen dataclass costs a microsecond more per reply.
    __slots__ = ("body", "content_type", "headers")

    def __init__(
        self,
        body: bytes,
        content_type: str = JSON,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.body = body
        self.content_type = content_type
        self.headers = headers

    def __repr__(self) -> str:
        return f"Payload({self.body!r}, {self.content_type!r}, {self.headers!r})"


PROTOBUF_TYPES = ("application/x-protobuf", "application/protobuf")
"""The media types of binary protobuf: the usual one, and the registered one."""

URL_ENCODED = "application/x-www-form-urlencoded"
"""The media type of HTML forms without files."""
ANY_TYPE = "*/*"

_JSON_TYPES = frozenset({JSON, "application/merge-patch+json", "text/json"})
_JSON_RANGES = ("application/json", "application/*", "*/*")


@lru_cache(maxsize=256)
def is_json(content_type: str) -> bool:
    """True if a Content-Type is JSON in UTF-8 (RFC 8259 section 8.1)."""
    stated = media_type(content_type)
    return (stated in _JSON_TYPES or stated.endswith("+json")) and _is_utf8(content_type)


def is_among(content_type: str, types: Collection[str]) -> bool:
    """True if a Content-Type in UTF-8 is one of `types`, in which `*/*` stands for all."""
    return (ANY_TYPE in types or media_type(content_type) in types) and _is_utf8(content_type)


def _is_utf8(content_type: str) -> bool:
    parameters = [part.strip().lower() for part in content_type.split(";")[1:]]
    charsets = [p[len("charset=") :].strip('"') for p in parameters if p.startswith("charset=")]
    return all(charset in ("utf-8", "utf8", "us-ascii") for charset in charsets)


def media_type(content_type: str) -> str:
    """The media type alone, without parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def unsupported(content_type: str, *served: str) -> StatusError:
    """The 415 for a body of a media type that is not among those served."""
    shown = content_type[:80]
    return StatusError(
        Code.INVALID_ARGUMENT,
        f"the body must be {' or '.join(served)}, not {shown!r}; JSON is in UTF-8",
        http_status=415,
        headers=[("Accept", ", ".join(served))],  # RFC 9110 section 12.5.1
    )


@lru_cache(maxsize=256)
def preferred(accept: str) -> str | None:
    """Chooses the media type for an Accept header: JSON, a name of protobuf, or None.

    The most exact range decides, so `application/json;q=0, */*` rejects JSON (RFC 9110 section
    12.5.1). Protobuf must be named, with a higher weight than JSON.
    """
    if not accept.strip():
        return JSON
    wanted = weights(accept)
    json = next((wanted[r] for r in _JSON_RANGES if r in wanted), 0.0)
    protobuf = max(PROTOBUF_TYPES, key=lambda name: wanted.get(name, 0.0))
    best, weight = max(
        ((JSON, json), (protobuf, wanted.get(protobuf, 0.0))), key=lambda pair: pair[1]
    )
    return best if weight > 0 else None


def weights(accept: str) -> dict[str, float]:
    """The weight of each media range in an Accept header."""
    found: dict[str, float] = {}
    for part in accept.split(","):
        media_range, *parameters = [piece.strip().lower() for piece in part.split(";")]
        found[media_range] = _weight(parameters)
    return found


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 1.0
    return 1.0


def not_acceptable(accept: str) -> StatusError:
    """The 406 for a client that accepts neither JSON nor protobuf."""
    return StatusError(
        Code.INVALID_ARGUMENT,
        f"the answer would be {JSON} or {PROTOBUF_TYPES[0]}; Accept: {accept[:80]} allows neither",
        http_status=406,
    )

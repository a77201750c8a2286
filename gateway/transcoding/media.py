"""Media types: what a request body may be, and whether a client accepts what it would get."""

from functools import lru_cache

from gateway.status import Code, StatusError
from gateway.transcoding.payload import JSON

_JSON_TYPES = frozenset({JSON, "application/merge-patch+json", "text/json"})
_JSON_RANGES = ("application/json", "application/*", "*/*")


@lru_cache(maxsize=256)
def is_json(content_type: str) -> bool:
    """Whether a Content-Type says JSON in UTF-8 (RFC 8259 section 8.1)."""
    media_type, *parameters = [part.strip().lower() for part in content_type.split(";")]
    if media_type not in _JSON_TYPES and not media_type.endswith("+json"):
        return False
    charsets = [p[len("charset=") :].strip('"') for p in parameters if p.startswith("charset=")]
    return all(charset in ("utf-8", "utf8", "us-ascii") for charset in charsets)


def unsupported(content_type: str) -> StatusError:
    """The 415 for a body that is not JSON."""
    shown = content_type[:80]
    return StatusError(
        Code.INVALID_ARGUMENT,
        f"the body must be {JSON} in UTF-8, not {shown!r}",
        http_status=415,
        headers=[("Accept", JSON)],
    )


@lru_cache(maxsize=256)
def accepts_json(accept: str) -> bool:
    """Whether an Accept header admits application/json (RFC 9110 section 12.5.1)."""
    wanted = weights(accept)
    # The most exact range decides, so `application/json;q=0, */*` is a no.
    return next((wanted[r] > 0 for r in _JSON_RANGES if r in wanted), not accept.strip())


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
    """The 406 for a client that does not take JSON."""
    return StatusError(
        Code.INVALID_ARGUMENT,
        f"the answer would be {JSON}, which Accept: {accept[:80]} does not admit",
        http_status=406,
    )

"""The required tests of the public suite that the cache does not pass, each with its reason."""

from typing import Final

_COOKIE: Final = "a reply with set-cookie is meant for one client, and is never stored"
_CODING: Final = "content-encoding is the gateway's own: a message of gRPC has none"
_RANGES: Final = "a range of a single message is answered with all of it (RFC 9110 section 14.2)"
_AGE: Final = (
    "RFC 9111 section 5.1: of a list the first age counts, and a malformed one is ignored; newer "
    "versions of the suite want that"
)
_NUMBERED: Final = (
    "the cache answers 503, as it must; this version of the suite looks for a header of its origin "
    "in that response, and newer ones do not count the test as failed"
)

MISSES: Final = {
    "headers-store-Set-Cookie": _COOKIE,
    "304-etag-update-response-Set-Cookie": _COOKIE,
    "headers-store-Content-Encoding": _CODING,
    "304-etag-update-response-Content-Encoding": _CODING,
    "304-etag-update-response-Content-Type": (
        "the media type is a field of google.api.HttpBody, and the message that is confirmed "
        "keeps its own"
    ),
    "partial-use-headers": _RANGES,
    "partial-use-stored-headers": _RANGES,
    "interim-not-cached": "gRPC has no interim responses",
}
"""Misses of the newest version of the suite and of older ones."""

OLD_MISSES: Final = {
    "age-parse-nonnumeric": _AGE,
    "age-parse-negative": _AGE,
    "age-parse-float": _AGE,
    "age-parse-prefix-twoline": _AGE,
    "age-parse-dup-0": _AGE,
    "age-parse-dup-0-twoline": _AGE,
    "age-parse-dup-old": _AGE,
    "age-parse-parameter": _AGE,
    "age-parse-numeric-parameter": _AGE,
    "stale-close-must-revalidate": _NUMBERED,
    "stale-close-proxy-revalidate": _NUMBERED,
    "stale-close-no-cache": _NUMBERED,
    "stale-close-s-maxage=2": _NUMBERED,
}
"""Further misses of the version that npm has, 0.4.5."""

"""Percent-decoding of paths, exactly as google/api/http.proto states it (comments on HttpRule).

Strict where a decoder could be lax: a malformed escape, bytes that are not UTF-8, and NUL are
refused, and nothing is decoded twice.
"""

import re
from urllib.parse import unquote_to_bytes

from gateway.status import StatusError, invalid_argument

_MALFORMED = re.compile("%(?![0-9A-Fa-f]{2})")
_ESCAPED_SLASH = re.compile("(%2[Ff])")


def decode(raw: str, field: str) -> str:
    """`raw` with every escape decoded once; `field` is who to blame.

    Raises:
        StatusError: INVALID_ARGUMENT for a malformed escape or bytes that are not UTF-8.
    """
    if "%" not in raw:
        return raw
    if _MALFORMED.search(raw):
        raise invalid_argument(field, "a % must be followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise _not_utf8(field) from None


def decode_keeping_slashes(raw: str, field: str) -> str:
    """As `decode`, but `%2F` stays as it is spelled: across segments it is data, not a border."""
    if "%" not in raw:
        return raw
    parts = _ESCAPED_SLASH.split(raw)
    return "".join(part if i % 2 else decode(part, field) for i, part in enumerate(parts))


def check_path(path: str, *, allow_nul: bool) -> None:
    """Refuses a raw path that no template can mean.

    Dot segments are refused and never resolved: a path must mean one thing to everyone on its way.

    Raises:
        StatusError: INVALID_ARGUMENT for malformed escapes, text that is not UTF-8, NUL, or a
            segment that is `.` or `..`.
    """
    if not path.isascii():
        try:
            path.encode("utf-8")
        except UnicodeEncodeError:
            raise _not_utf8("path") from None
    if "%" in path:
        text = decode(path, "path")
        if "\0" in text and not allow_nul:
            raise invalid_argument("path", "%00 is not allowed")
        segments = [decode(segment, "path") for segment in path.split("/")]
    else:
        segments = path.split("/")
    if "." in segments or ".." in segments:
        raise invalid_argument("path", "the segments . and .. are not allowed")


def _not_utf8(field: str) -> StatusError:
    return invalid_argument(field, "is not UTF-8 text once percent-decoded")

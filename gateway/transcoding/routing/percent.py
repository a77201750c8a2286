"""Percent-decodes paths, exactly as google/api/http.proto says (comments on HttpRule).

Strict: a malformed escape, bytes that are not UTF-8, and NUL are rejected, and nothing is decoded
twice.
"""

import re
from urllib.parse import unquote_to_bytes

from gateway.status import StatusError, invalid_argument

_MALFORMED = re.compile("%(?![0-9A-Fa-f]{2})")
_ESCAPED_SLASH = re.compile("(%2[Ff])")
# RFC 3986, section 2.2: gen-delims and sub-delims.
_ESCAPED_RESERVED = re.compile("(%(?:2[1346-9A-Ca-cFf]|3[ABDFabdf]|40|5[BDbd]))")


def decode(raw: str, field: str) -> str:
    """Decodes every escape in `raw` once; an error names `field`.

    Raises:
        StatusError: INVALID_ARGUMENT for a malformed escape or bytes that are not UTF-8.
    """
    if "%" not in raw:
        return raw
    malformed = _MALFORMED.search(raw)
    if malformed is not None:
        start = malformed.start()
        found = raw[start : start + 3]
        wanted = "a % must be followed by two hexadecimal digits"
        raise invalid_argument(field, f"{wanted}, got {found!r}")
    try:
        return unquote_to_bytes(raw).decode("utf-8")
    except UnicodeError:  # also an encode error: a lone surrogate next to the escape
        raise _not_utf8(field) from None


def decode_keeping_slashes(raw: str, field: str) -> str:
    """Decodes like `decode`, but keeps `%2F`: across segments it is data, not a separator."""
    if "%" not in raw:
        return raw
    parts = _ESCAPED_SLASH.split(raw)
    return "".join(part if i % 2 else decode(part, field) for i, part in enumerate(parts))


def decode_keeping_reserved(raw: str, field: str) -> str:
    """Decodes like `decode`, but keeps the characters that RFC 3986 reserves escaped."""
    if "%" not in raw:
        return raw
    parts = _ESCAPED_RESERVED.split(raw)
    return "".join(part if i % 2 else decode(part, field) for i, part in enumerate(parts))


def with_slashes(path: str) -> str:
    """Replaces each `%2F` of a raw path by the slash that it stands for."""
    return _ESCAPED_SLASH.sub("/", path) if "%" in path else path


def decode_segments(raw: list[str], *, allow_nul: bool) -> list[str]:
    """Decodes each segment of a path.

    Dot segments are rejected, never resolved: a path must mean the same to every proxy and server.

    Raises:
        StatusError: INVALID_ARGUMENT for malformed escapes, text that is not UTF-8, NUL, or a
            segment that is `.` or `..`.
    """
    texts, whole = raw, "".join(raw)
    if "%" in whole:
        texts = [decode(segment, "path") for segment in raw]
        whole = "".join(texts)
    if "." in texts or ".." in texts:
        raise invalid_argument("path", "the segments . and .. are not allowed")
    if "\0" in whole and not allow_nul:
        raise invalid_argument("path", "%00 is not allowed")
    if not whole.isascii():
        try:
            whole.encode("utf-8")
        except UnicodeEncodeError:
            raise _not_utf8("path") from None
    return texts


def _not_utf8(field: str) -> StatusError:
    return invalid_argument(field, "is not UTF-8 text once percent-decoded")

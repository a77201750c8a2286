"""The grammars that several rooms share, each written once; all of them match in linear time."""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

_LOWER_CASE: Final = r"!#$%&'*+\-.^_`|~0-9a-z"
TOKEN_CHARACTER: Final = rf"[{_LOWER_CASE}A-Z]"
"""RFC 9110 section 5.6.2, tchar."""
TOKEN: Final = TOKEN_CHARACTER + "+"
"""RFC 9110 section 5.6.2, token: the names of header fields, HTTP methods and more."""
LOWER_TOKEN: Final = rf"[{_LOWER_CASE}]+"
"""A token in lower case: the names of header fields in HTTP/2 (RFC 9113 section 8.2)."""
SCOPE: Final = r"[\x21\x23-\x5b\x5d-\x7e]+"
"""RFC 6749 section 3.3, scope-token."""
AUTHORITY: Final = r"[A-Za-z0-9.\-_:\[\]]{1,255}"
"""The characters of a host with an optional port (RFC 9110 section 7.2), none that need quotes."""

SECRET_LENGTH: Final = 43
CHECK_LENGTH: Final = 6
SECRET_START: Final = "gw"  # noqa: S105 - a grammar, not a secret
SECRET: Final = rf"{SECRET_START}[trk]_[0-9A-Za-z]{{{SECRET_LENGTH + CHECK_LENGTH}}}"
"""A secret that the gateway made (`gateway.auth.secrets`): its kind, the secret, its checksum."""
LIKELY_SECRET: Final = r"gw[a-z]_[0-9A-Za-z_]{16,}+"  # noqa: S105 - a grammar, not a secret
"""Also a secret that is cut short, of a later kind, or with more text at its end."""

_DATE: Final = re.compile(
    # RFC 9110 section 5.6.7: the form of today, that of RFC 850, and that of asctime().
    r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"
    r"|[A-Z][a-z]{5,8}, \d\d-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d GMT"
    r"|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}"
)
_TOKEN: Final = re.compile(TOKEN)
_SCOPE: Final = re.compile(SCOPE)


def is_token(text: str) -> bool:
    """True if `text` is one token (RFC 9110 section 5.6.2)."""
    return _TOKEN.fullmatch(text) is not None


def is_scope(text: str) -> bool:
    """True if `text` is one scope (RFC 6749 section 3.3)."""
    return _SCOPE.fullmatch(text) is not None


def http_date_s(text: str | None) -> float | None:
    """Parses a date of HTTP to seconds since 1970; None if it is absent or malformed."""
    if not text or not _DATE.fullmatch(text):
        return None
    try:
        return parsedate_to_datetime(text).replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None

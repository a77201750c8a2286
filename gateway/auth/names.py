"""Validates principal names and scopes."""

import re

_MOST_CHARACTERS = 256
# RFC 6749 appendix A.4. No spaces: they separate scopes.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")


class MalformedError(ValueError):
    """A value is malformed; the message says which, and what is expected."""


def check_name(what: str, text: str) -> None:
    """Rejects a name that could be misread in a log, a table or metadata.

    Raises:
        MalformedError: it is empty, very long, starts or ends with a blank, or has characters that
            cannot be printed.
    """
    if not text or len(text) > _MOST_CHARACTERS or not text.isprintable() or text != text.strip():
        raise MalformedError(
            f"{what}: expected 1 to {_MOST_CHARACTERS} printable characters on one line, "
            "with no blank at the start or end"
        )


def is_scope(text: str) -> bool:
    """True if `text` is one scope (RFC 6749 section 3.3)."""
    return _SCOPE.fullmatch(text) is not None


def check_scopes(scopes: frozenset[str]) -> None:
    """Rejects malformed scopes (RFC 6749 section 3.3).

    Raises:
        MalformedError: one is malformed.
    """
    if not all(map(is_scope, scopes)):
        raise MalformedError("scope: expected printable ASCII without spaces, quotes, backslashes")

"""What those who are given credentials, and what they may do, can be called."""

import re

_MOST_CHARACTERS = 256
# RFC 6749 appendix A.4; kept with spaces between, another would be two.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")


class MalformedError(ValueError):
    """What was given is none of what it should be; the text says which, and what would be right."""


def check_name(what: str, text: str) -> None:
    """Refuses what would not be one name wherever it is shown: in a log, a table, metadata.

    Raises:
        MalformedError: it is empty, very long, begins or ends with a blank, or has characters that
            are not printed.
    """
    if not text or len(text) > _MOST_CHARACTERS or not text.isprintable() or text != text.strip():
        raise MalformedError(
            f"{what}: expected 1 to {_MOST_CHARACTERS} printable characters on one line, "
            "with no blank before or behind them"
        )


def is_scope(text: str) -> bool:
    """Whether `text` is one scope (RFC 6749 section 3.3)."""
    return _SCOPE.fullmatch(text) is not None


def check_scopes(scopes: frozenset[str]) -> None:
    """Refuses what is no scope (RFC 6749 section 3.3).

    Raises:
        MalformedError: one is malformed.
    """
    if not all(map(is_scope, scopes)):
        raise MalformedError("scope: expected printable ASCII without spaces, quotes, backslashes")

"""Validates the names of principals and clients, and scopes."""

from gateway.config.grammar import is_scope

_MOST_CHARACTERS = 256


class MalformedError(ValueError):
    """A malformed value; the message names it and describes a valid one."""


def check_name(what: str, text: str) -> None:
    """Rejects a text that logs, tables or metadata could not show as one name.

    Raises:
        MalformedError: it is empty, very long, begins or ends with a blank, or has characters that
            cannot be printed.
    """
    if not text or len(text) > _MOST_CHARACTERS or not text.isprintable() or text != text.strip():
        raise MalformedError(
            f"{what}: expected 1 to {_MOST_CHARACTERS} printable characters on one line, "
            "with no blank at the start or end"
        )


def can_be_granted(scope: str) -> bool:
    """True if `scope` is one scope (RFC 6749 section 3.3), short enough to be stored and sent."""
    return len(scope) <= _MOST_CHARACTERS and is_scope(scope)


def check_scopes(scopes: frozenset[str]) -> None:
    """Rejects scopes that cannot be granted.

    Raises:
        MalformedError: one is malformed (RFC 6749 section 3.3) or very long.
    """
    if not all(map(can_be_granted, scopes)):
        raise MalformedError("scope: expected printable ASCII without spaces, quotes, backslashes")

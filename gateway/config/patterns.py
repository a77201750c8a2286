"""Patterns in settings: text in which `*` is any text, or `regex:` and an RE2 expression.

Both take linear time. They match input from clients, so an engine that backtracks cannot be used.
"""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator

REGEX = "regex:"

Matches = Callable[[str], bool]
"""Returns True if a pattern matches a whole text."""


def compile_pattern(pattern: str, *, ignore_case: bool = False) -> Matches:
    """Compiles a pattern to a function that matches a whole text.

    Raises:
        ValueError: a regular expression is malformed, or its library is not installed.
    """
    if pattern.startswith(REGEX):
        return _regex(pattern.removeprefix(REGEX), ignore_case=ignore_case)
    if ignore_case:
        covers = _glob(pattern.lower())
        return lambda text: covers(text.lower())
    return _glob(pattern)


def compile_patterns(patterns: tuple[str, ...], *, ignore_case: bool = False) -> Matches:
    """Compiles patterns to a function that is True if any of them matches a text."""
    compiled = [compile_pattern(pattern, ignore_case=ignore_case) for pattern in patterns]
    return lambda text: any(covers(text) for covers in compiled)


def _checked(pattern: str) -> str:
    compile_pattern(pattern)
    return pattern


Pattern = Annotated[str, AfterValidator(_checked)]
"""A pattern that has been checked to compile."""


def _glob(pattern: str) -> Matches:
    first, *rest = pattern.split("*")
    if not rest:
        return lambda text: text == pattern
    *middle, last = rest
    fixed = len(first) + len(last)

    def covers(text: str) -> bool:
        if len(text) < fixed or not (text.startswith(first) and text.endswith(last)):
            return False
        # Take the first place of each part: stars match any text, so later places never help.
        at, end = len(first), len(text) - len(last)
        for part in middle:
            found = text.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True

    return covers


def _regex(pattern: str, *, ignore_case: bool) -> Matches:
    try:
        import re2  # noqa: PLC0415 - an extra
    except ImportError:
        raise ValueError(
            "a regex: needs a library: pip install 'grpc-rest-gateway[regex]'"
        ) from None
    options: Any = re2.Options()
    options.log_errors = False  # the error below is enough
    options.case_sensitive = not ignore_case
    options.dot_nl = True  # else `.*` would not match an escaped line break
    try:
        compiled: Any = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if error.args else "malformed"
        raise ValueError(f"not a regular expression of RE2: {reason}") from None
    # Replace lone surrogates, which come from bytes that are not UTF-8: RE2 rejects them.
    return lambda text: compiled.fullmatch(text.encode("utf-8", "replace").decode()) is not None

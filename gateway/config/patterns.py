"""Patterns in settings: text with `*` for whatever stands there, or `regex:` before RE2's syntax.

Both take time in proportion to what they look at. What clients send is matched by them, so nothing
that backtracks will do.
"""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator

REGEX = "regex:"

Matches = Callable[[str], bool]
"""Whether a pattern covers a whole text."""


def compile_pattern(pattern: str, *, ignore_case: bool = False) -> Matches:
    """What tells whether a text is covered, from its first character to its last.

    Raises:
        ValueError: a regular expression is malformed, or its library is not there.
    """
    if pattern.startswith(REGEX):
        return _regex(pattern.removeprefix(REGEX), ignore_case=ignore_case)
    if ignore_case:
        covers = _glob(pattern.lower())
        return lambda text: covers(text.lower())
    return _glob(pattern)


def compile_patterns(patterns: tuple[str, ...], *, ignore_case: bool = False) -> Matches:
    """What tells whether any of these patterns covers a text."""
    compiled = [compile_pattern(pattern, ignore_case=ignore_case) for pattern in patterns]
    return lambda text: any(covers(text) for covers in compiled)


def _checked(pattern: str) -> str:
    compile_pattern(pattern)
    return pattern


Pattern = Annotated[str, AfterValidator(_checked)]
"""A pattern that is known to compile."""


def _glob(pattern: str) -> Matches:
    first, *rest = pattern.split("*")
    if not rest:
        return lambda text: text == pattern
    *middle, last = rest
    fixed = len(first) + len(last)

    def covers(text: str) -> bool:
        if len(text) < fixed or not (text.startswith(first) and text.endswith(last)):
            return False
        # The first place where a part is found is as good as any: stars cover everything.
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
    options.log_errors = False  # ours are enough
    options.case_sensitive = not ignore_case
    options.dot_nl = True  # else an escaped line break would end what `.*` covers
    try:
        compiled: Any = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if error.args else "malformed"
        raise ValueError(f"not a regular expression of RE2: {reason}") from None
    # Bytes that are not UTF-8 arrive as lone surrogates, which RE2 does not take.
    return lambda text: compiled.fullmatch(text.encode("utf-8", "replace").decode()) is not None

"""Parses Cache-Control (RFC 9111 section 5.2) and targeted fields like it (RFC 9213)."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from gateway.config.grammar import TOKEN, TOKEN_CHARACTER

Directives = Mapping[str, str]
"""The argument of each directive, by lower-case name; empty without one."""

MOST_S: Final = 2**31
"""RFC 9111 section 1.2.2: a larger number of seconds counts as this one."""
_TIMES: Final = ("max-age", "s-maxage")
_TARGETED_TIMES: Final = (*_TIMES, "stale-while-revalidate", "stale-if-error")
_LONGEST: Final = 8 * 1024
# RFC 9110 section 5.6.2 and 5.6.4: a token, and a token or a quoted string as its argument.
_ONE: Final = re.compile(
    rf"[ \t,]*+({TOKEN}+)(?:[ \t]*+=[ \t]*+"
    rf'(?:"((?:[^"\\]|\\.)*+)"|({TOKEN_CHARACTER}*+)))?[^,"]*+'
)
# RFC 9651 sections 3.2 and 3.3: a key, and an integer, a string, a token, bytes or a boolean.
_MEMBER: Final = re.compile(
    r"([a-z*][a-z0-9_\-.*]*+)"
    r"(?>(?:=(?:(-?[0-9]{1,15}+)(?![0-9.])|(\"(?:[ !#-\[\]-~]|\\[\"\\])*+\"|:[A-Za-z0-9+/=]*+:"
    rf"|\?[01]|[A-Za-z*](?:{TOKEN_CHARACTER}|[:/])*+)))?)"
    r"(?>(?:; *+[a-z*][a-z0-9_\-.*]*+(?:=[^\",; ]++)?+)*)[ \t]*+(?:,[ \t]*+(?=[a-z*])|\Z)"
)


def parse_targeted(values: Iterable[str]) -> Directives | None:
    """Parses all lines of a targeted field, for example CDN-Cache-Control.

    Returns None if they are no dictionary (RFC 9651), or a time in them is not a whole number: the
    field then counts as absent (RFC 9213 section 2.2).
    """
    text = ", ".join(values).strip(" ")
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        member = _MEMBER.match(text, at)
        if member is None or len(text) > _LONGEST:
            return None
        name, number, other = member[1], member[2], member[3]
        if other == "?0":
            found.pop(name, None)
        else:
            found[name] = number or (other or "").strip('"')
        if name in _TARGETED_TIMES and (number is None or number.startswith("-")):
            return None
        at = member.end()
    return found


def parse_directives(values: Iterable[str]) -> Directives:
    """Parses all lines of Cache-Control.

    Of a time that is stated twice, or that is not a number, nothing is kept but "0": stale at once
    (RFC 9111 section 4.2.1). A text that cannot be read to its end counts as `no-store`.
    """
    found: dict[str, str] = {}
    for text in values:
        if len(text) > _LONGEST:
            return {"no-store": ""}
        at = 0
        while at < len(text):
            one = _ONE.match(text, at)
            if one is None:
                if text[at:].strip(" \t,"):
                    found["no-store"] = ""
                break
            name = one[1].lower()
            argument = one[3] or "" if one[2] is None else re.sub(r"\\(.)", r"\1", one[2])
            if name in _TIMES and name in found and found[name] != argument:
                argument = "0"
            found[name] = argument
            at = one.end()
    return found


def seconds(directives: Directives, name: str) -> int | None:
    """Returns the seconds of a directive; None if it is absent, 0 if it is malformed."""
    text = directives.get(name)
    return None if text is None else delta_seconds(text) or 0


def delta_seconds(text: str) -> int | None:
    """Parses a number of seconds (RFC 9111 section 1.2.2); None if it is malformed."""
    if not (text.isascii() and text.isdigit()):
        return None
    return MOST_S if len(text.lstrip("0")) > 10 else min(int(text), MOST_S)

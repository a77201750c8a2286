"""Selectors: one grammar with which all settings name methods and services.

    selector = full name | prefix ".*" | "*"

A full name is `library.v1.LibraryService.GetBook`, or for services the same without the method.
The prefix has whole parts: `library.v1.*` is a package with everything below it,
`library.v1.LibraryService.*` is one service, and `*` is everything.
"""

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Final

from gateway.status import StartUpError

__all__ = ["StartUpError"]
__all__ += ["EVERYTHING", "SelectorError", "check_selector", "complaint", "covers", "matches"]
__all__ += ["matches_service", "names_service"]

EVERYTHING: Final = "*"
_GRAMMAR = re.compile(r"\*|[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*(?:\.\*)?")
_NEAREST = 3


class SelectorError(StartUpError):
    """A selector selects nothing; the text names the setting and a valid selector."""


def matches(selector: str, method_full_name: str) -> bool:
    """True if `selector` selects the method of this full name."""
    if selector.endswith(".*"):
        return method_full_name.startswith(selector[:-1])
    return selector in (EVERYTHING, method_full_name)


def matches_service(selector: str, service: str) -> bool:
    """True if `selector` selects the service of this full name, with all its methods."""
    if selector.endswith(".*"):
        return f"{service}.".startswith(selector[:-1])
    return selector in (EVERYTHING, service)


def covers(selector: str, other: str) -> bool:
    """True if `selector` selects all that `other` selects."""
    if selector.endswith(".*"):
        return other.startswith(selector[:-1])
    return selector in (EVERYTHING, other)


def names_service(selector: str, service: str) -> bool:
    """True if `selector` names only this service: its full name, or all methods of it."""
    return selector in (service, f"{service}.*")


def complaint(selector: str, names: Iterable[str], *, kind: str = "method") -> str | None:
    """The reason why `selector` selects none of `names`, all of this `kind`; None if it does."""
    known = list(dict.fromkeys(names))
    select = matches_service if kind == "service" else matches
    if any(select(selector, name) for name in known):
        return None
    if not _GRAMMAR.fullmatch(selector):
        return (
            f"no {kind} is called {selector!r}: write a full name, a package or service followed "
            f"by .*, or *; for example {_right_form(selector, known)}"
        )
    near = _nearest(selector, known, kind)
    return f"no {kind} is called {selector}; available: {', '.join(near) or 'none'}"


def check_selector(
    where: str, selector: str, names: Iterable[str], *, kind: str = "method"
) -> None:
    """Rejects a selector that selects nothing; `where` is the setting that holds it.

    Raises:
        SelectorError: none of `names`, which are of this `kind`, is selected.
    """
    reason = complaint(selector, names, kind=kind)
    if reason is not None:
        raise SelectorError(f"{where}: {reason}")


def _right_form(selector: str, known: Collection[str]) -> str:
    """Returns the selector that was probably meant by an invalid one."""
    start = selector.partition("*")[0].strip(" ./")
    scopes = [scope for scope in _scopes(known) if scope.startswith(start)] if start else []
    if scopes:
        return f"{min(scopes, key=len)}.*"
    only_stars = selector.startswith("*") and not selector.strip("*")
    near = [] if only_stars else _nearest(selector, known, "method")
    return near[0] if near else EVERYTHING


def _nearest(selector: str, known: Collection[str], kind: str) -> list[str]:
    """Returns valid selectors with a spelling near to `selector`."""
    if kind == "method" and any(name.startswith(f"{selector}.") for name in known):
        return [f"{selector}.*"]  # a service or package without its star
    name = selector.removesuffix(".*")
    if name != selector and kind == "method":
        scopes = get_close_matches(name, _scopes(known), n=1)
        if scopes:
            return [f"{scopes[0]}.*"]
    return get_close_matches(name, known, n=_NEAREST) or list(known)[:_NEAREST]


def _scopes(names: Iterable[str]) -> list[str]:
    """Returns each package and service that is a prefix of a name, once."""
    parts = [name.split(".") for name in names]
    return list(dict.fromkeys(".".join(p[:end]) for p in parts for end in range(1, len(p))))

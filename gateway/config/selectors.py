"""Selectors: how settings name methods and services, with one grammar for all of them.

    selector = full name | prefix ".*" | "*"

A full name is `library.v1.LibraryService.GetBook`, or without the method where services are meant.
The prefix ends with a whole part: `library.v1.*` is a package with all below it,
`library.v1.LibraryService.*` one service, and `*` everything there is.
"""

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Final

from gateway.status import StartUpError

EVERYTHING: Final = "*"
_GRAMMAR = re.compile(r"\*|[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*(?:\.\*)?")
_NEAREST = 3


class SelectorError(StartUpError):
    """A selector that selects nothing; the text says where it stands and what would be right."""


def matches(selector: str, method_full_name: str) -> bool:
    """Whether `selector` selects the method of this full name."""
    if selector.endswith(".*"):
        return method_full_name.startswith(selector[:-1])
    return selector in (EVERYTHING, method_full_name)


def matches_service(selector: str, service: str) -> bool:
    """Whether `selector` selects the service of this full name, with all its methods."""
    if selector.endswith(".*"):
        return f"{service}.".startswith(selector[:-1])
    return selector in (EVERYTHING, service)


def names_service(selector: str, service: str) -> bool:
    """Whether `selector` is for this service alone: its full name, or all methods of it."""
    return selector in (service, f"{service}.*")


def complaint(selector: str, names: Iterable[str], *, kind: str = "method") -> str | None:
    """Why `selector` selects none of `names`, which are of this `kind`; None if it selects any."""
    known = list(dict.fromkeys(names))
    select = matches_service if kind == "service" else matches
    if any(select(selector, name) for name in known):
        return None
    if not _GRAMMAR.fullmatch(selector):
        return (
            f"no {kind} is called {selector!r}: write a full name, a package or service with .* "
            f"behind it, or *; such as {_right_form(selector, known)}"
        )
    near = _nearest(selector, known, kind)
    return f"no {kind} is called {selector}; there are: {', '.join(near) or 'none'}"


def check_selector(
    where: str, selector: str, names: Iterable[str], *, kind: str = "method"
) -> None:
    """Refuses a selector that selects nothing; `where` is the setting that holds it.

    Raises:
        SelectorError: none of `names`, which are of this `kind`, is selected.
    """
    reason = complaint(selector, names, kind=kind)
    if reason is not None:
        raise SelectorError(f"{where}: {reason}")


def _right_form(selector: str, known: Collection[str]) -> str:
    """The selector that was likely meant by one that is not of the grammar."""
    start = selector.partition("*")[0].strip(" ./")
    meant = [scope for scope in _scopes(known) if scope.startswith(start)] if start else []
    if meant:
        return f"{min(meant, key=len)}.*"
    only_stars = selector.startswith("*") and not selector.strip("*")
    near = [] if only_stars else _nearest(selector, known, "method")
    return near[0] if near else EVERYTHING


def _nearest(selector: str, known: Collection[str], kind: str) -> list[str]:
    """What exists and is spelled most like `selector`, in the form in which it can be written."""
    if kind == "method" and any(name.startswith(f"{selector}.") for name in known):
        return [f"{selector}.*"]  # a service or package whose star was left out
    name = selector.removesuffix(".*")
    if name != selector and kind == "method":
        scopes = get_close_matches(name, _scopes(known), n=1)
        if scopes:
            return [f"{scopes[0]}.*"]
    return get_close_matches(name, known, n=_NEAREST) or list(known)[:_NEAREST]


def _scopes(names: Iterable[str]) -> list[str]:
    """Each package and service that stands before a name, once."""
    parts = [name.split(".") for name in names]
    return list(dict.fromkeys(".".join(p[:end]) for p in parts for end in range(1, len(p))))

"""What no log shows: values of fields that are to be redacted, query values, credentials."""

import re
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from google.protobuf.descriptor import Descriptor

from gateway.config.grammar import LIKELY_SECRET
from gateway.schema.catalog import Method
from gateway.transcoding.binding import Binding
from gateway.transcoding.fields import FieldPath, FieldPathError, resolve
from gateway.transcoding.routing.template import Literal, Template

MASK: Final = "***"

_OWN: Final = re.compile(LIKELY_SECRET)
_CREDENTIAL: Final = re.compile(
    rf"({LIKELY_SECRET}|eyJ[\w\-]{{8,}}+\.[\w\-]++(?:\.[\w\-]*+)?)|eyJ[\w\-]{{8,}}+"
)
"""Tokens and keys of this gateway, and JWTs, wherever somebody has put one.

The last alternative takes what only begins as a JWT does, or each `eyJ` in it would be a start.
"""
_MOST_NAMES: Final = 16
_LONGEST_NAME: Final = 128


def mask_credentials(text: str) -> str:
    """A text without what looks like a credential."""
    if "gw" in text or "eyJ" in text:
        return _CREDENTIAL.sub(_masked, text)
    return text


def _masked(found: re.Match[str]) -> str:
    return MASK if found[1] is not None else _OWN.sub(MASK, found[0])


def query_names(query: str, message: Descriptor | None) -> str:
    """A query with its names alone, and of these only those of `message`'s fields."""
    parts = query.split("&", _MOST_NAMES)
    shown = [_parameter(part, message) for part in parts[:_MOST_NAMES] if part]
    return "&".join(shown) + ("&..." if len(parts) > _MOST_NAMES else "")


def _parameter(text: str, message: Descriptor | None) -> str:
    name, equals, _ = text.partition("=")
    is_likely = len(name) <= _LONGEST_NAME and name.isascii()
    shown = _name(name, message) if message is not None and is_likely else MASK
    return f"{shown}={MASK}" if equals else shown


@lru_cache(maxsize=4096)
def _name(name: str, message: Descriptor) -> str:
    try:
        return resolve(message, name, json_names=True).text
    except FieldPathError:
        return MASK  # it can be anything, such as a value whose name somebody forgot


class PathMasks:
    """Hides in a path what variables captured for fields that are to be redacted."""

    def __init__(
        self,
        bindings: Iterable[Binding],
        redact: Callable[[Method], AbstractSet[str]] | None = None,
    ) -> None:
        """`redact` says which field paths of a method its policy hides, `*` for all."""
        hidden = {one: _hidden(one, redact(one.method) if redact else ()) for one in bindings}
        self._hidden = {binding: places for binding, places in hidden.items() if places}
        self.hide_something = bool(self._hidden)
        """Whether there is anything to hide in any path."""

    def mask(self, path: str, binding: Binding | None) -> str:
        """A raw path as it may be shown; without a binding, nobody knows what is in it.

        What then could have been meant for a binding that hides something is hidden as well: a
        secret is one too where the HTTP method was wrong.
        """
        if binding is not None:
            places = self._hidden.get(binding)
            return path if places is None else _mask(path, binding.template, places)
        for one, places in self._hidden.items():
            path = _mask_likely(path, one.template, min(places))
        return path


def _hidden(binding: Binding, redact: Iterable[str]) -> frozenset[int]:
    """Which segments of a binding's template hold what is to be hidden."""
    redacted = frozenset(redact)
    return frozenset(
        place
        for variable, field in zip(binding.template.variables, binding.variables, strict=True)
        if _is_hidden(field, redacted)
        for place in range(variable.start, variable.end)
        if not isinstance(binding.template.segments[place], Literal)
    )


def _is_hidden(path: FieldPath, redacted: AbstractSet[str]) -> bool:
    # descriptor.proto, FieldOptions.debug_redact; what is inside such a field is redacted with it.
    if "*" in redacted or any(field.GetOptions().debug_redact for field in path.fields):
        return True
    names = [field.name for field in path.fields]
    return any(".".join(names[:depth]) in redacted for depth in range(1, len(names) + 1))


def _mask(path: str, template: Template, places: Iterable[int]) -> str:
    """A path that `template` matches, segment by segment."""
    segments, verb = _split(path, template)
    deep_at = template.deep_at
    extra = len(segments) - len(template.segments)
    for place in places:
        if deep_at is None or place < deep_at:
            at, length = place, 1
        elif place == deep_at:
            at, length = place, 1 + extra
        else:
            at, length = place + extra, 1
        segments[at : at + length] = [MASK] * length
    return f"/{'/'.join(segments)}{verb}"


def _split(path: str, template: Template) -> tuple[list[str], str]:
    verb = ""
    if template.verb:
        path, colon, rest = path.rpartition(":")
        verb = colon + rest
    return path[1:].split("/"), verb


def _mask_likely(path: str, template: Template, first: int) -> str:
    """A path that begins like `template`, from its segment `first` on."""
    segments = path[1:].split("/")
    if len(segments) <= first or not _begins(segments, template, first):
        return path
    return f"/{'/'.join([*segments[:first], MASK])}"


def _begins(segments: Sequence[str], template: Template, first: int) -> bool:
    deep_at = template.deep_at
    known = first if deep_at is None else min(first, deep_at)
    return all(
        not isinstance(expected, Literal) or unquote(found).lower() == expected.text.lower()
        for found, expected in zip(segments, template.segments[:known], strict=False)
    )

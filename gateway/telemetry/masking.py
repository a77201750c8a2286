"""Masks secrets in logs: values of redacted fields, query values, credentials."""

import re
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final
from urllib.parse import unquote

from google.protobuf.descriptor import Descriptor

from gateway.config.grammar import LIKELY_SECRET
from gateway.transcoding.binding import Binding, Method
from gateway.transcoding.fields import FieldPath, FieldPathError, resolve
from gateway.transcoding.routing.template import Literal, Template

MASK: Final = "***"
_MASKED: Final = "=***"

_OWN: Final = re.compile(LIKELY_SECRET)
_CREDENTIAL: Final = re.compile(
    rf"({LIKELY_SECRET}|eyJ[\w\-]{{8,}}+\.[\w\-]++(?:\.[\w\-]*+)?)|eyJ[\w\-]{{8,}}+"
)
"""Tokens and keys of this gateway, and JWTs, at any place in a text.

The last alternative matches text that only starts like a JWT. Without it, each `eyJ` inside such
text would be tried as a new start.
"""
_PERCENT: Final = re.compile(r"%(?:25)++(?=[0-9A-Fa-f]{2})")
_MOST_DECODINGS: Final = 8
_MOST_NAMES: Final = 16
_MOST_KNOWN: Final = 4096
_LONGEST_NAME: Final = 128


def mask_credentials(text: str) -> str:
    """Returns a text with everything masked that looks like a credential, even percent-encoded."""
    text = _mask_plain(text)
    return _mask_encoded(text) if "%" in text else text


def _mask_plain(text: str) -> str:
    if "gw" in text or "eyJ" in text:
        return _CREDENTIAL.sub(_masked, text)
    return text


def _mask_encoded(text: str) -> str:
    """A text that hides no credential behind percent-encoding, applied once or many times.

    A text that has one is shown decoded, with the mask in its place; any other stays as it is. One
    that is encoded more often than anybody does by mistake is not shown at all.
    """
    decoded = text
    for _ in range(_MOST_DECODINGS):
        # A percent sign that was encoded again and again is one: its depth costs no round.
        before, decoded = decoded, unquote(_PERCENT.sub("%", decoded))
        if decoded == before:
            masked = _mask_plain(decoded)
            return text if masked == decoded else masked
    return MASK


def _masked(found: re.Match[str]) -> str:
    return MASK if found[1] is not None else _OWN.sub(MASK, found[0])


def query_names(query: str, message: Descriptor | None) -> str:
    """Returns a query with all values masked, and all names that are not fields of `message`."""
    parts = query.split("&", _MOST_NAMES)
    shown = [_parameter(part, message) for part in parts[:_MOST_NAMES] if part]
    return "&".join(shown) + ("&..." if len(parts) > _MOST_NAMES else "")


def _parameter(text: str, message: Descriptor | None) -> str:
    name, equals, _ = text.partition("=")
    is_likely = len(name) <= _LONGEST_NAME and name.isascii()
    shown = _NAMES.of(name, message) if message is not None and is_likely else MASK
    # As machine code, an f-string copies character by character.
    return shown + _MASKED if equals else shown


class _Names:
    """The names of parameters as they are shown; of a schema that was replaced, none is kept."""

    def __init__(self) -> None:
        # One value, so that no thread sees the names of another schema.
        self._known: tuple[object, dict[tuple[Descriptor, str], str]] = (None, {})

    def of(self, name: str, message: Descriptor) -> str:
        """Returns a name that `message` has as a field, or else the mask."""
        shown = self._known[1].get((message, name))
        return self._learn(name, message) if shown is None else shown

    def _learn(self, name: str, message: Descriptor) -> str:
        pool, known = message.file.pool, self._known
        if known[0] is not pool:
            known = self._known = (pool, {})
        try:
            shown = resolve(message, name, json_names=True).text
        except FieldPathError:
            shown = MASK  # it may be a secret, for example a value without its name
        if len(known[1]) >= _MOST_KNOWN:
            known[1].clear()
        known[1][message, name] = shown
        return shown


_NAMES: Final = _Names()


class PathMasks:
    """Masks the parts of a path that variables capture for redacted fields."""

    def __init__(
        self,
        bindings: Iterable[Binding],
        redact: Callable[[Method], AbstractSet[str]] | None = None,
    ) -> None:
        """Takes `redact`, which returns the field paths that a method's policy hides; `*`: all."""
        hidden = {one: _hidden(one, redact(one.method) if redact else ()) for one in bindings}
        self._hidden = {binding: places for binding, places in hidden.items() if places}
        self.hides_anything = bool(self._hidden)
        """True if any path can contain a part to mask."""

    def mask(self, path: str, binding: Binding | None) -> str:
        """Returns a raw path with its secret parts masked.

        Without a binding, a path that could be meant for a binding with secrets is masked too: for
        example, a request with a wrong HTTP method still contains the secret.
        """
        if binding is not None:
            places = self._hidden.get(binding)
            return path if places is None else _mask(path, binding.template, places)
        for one, places in self._hidden.items():
            path = _mask_likely(path, one.template, min(places))
        return path


def _hidden(binding: Binding, redact: Iterable[str]) -> frozenset[int]:
    """Returns the indexes of the template's segments that must be masked."""
    redacted = frozenset(redact)
    return frozenset(
        place
        for variable, field in zip(binding.template.variables, binding.variables, strict=True)
        if _is_hidden(field, redacted)
        for place in range(variable.start, variable.end)
        if not isinstance(binding.template.segments[place], Literal)
    )


def _is_hidden(path: FieldPath, redacted: AbstractSet[str]) -> bool:
    # descriptor.proto, FieldOptions.debug_redact; it also redacts the fields inside the field.
    if "*" in redacted or any(field.GetOptions().debug_redact for field in path.fields):
        return True
    names = [field.name for field in path.fields]
    return any(".".join(names[:depth]) in redacted for depth in range(1, len(names) + 1))


def _mask(path: str, template: Template, places: Iterable[int]) -> str:
    """Masks the segments at `places` of a path that `template` matches."""
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
    """Masks a path from segment `first` on, if it starts like `template`."""
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

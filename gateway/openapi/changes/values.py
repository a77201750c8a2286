"""Compares the schemas of single values: types, formats, enums, bounds.

A request may only become more permissive, a reply only more definite.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from gateway.openapi.changes.findings import Findings, Spot
from gateway.openapi.values import NUMBERS_OF_ENUMS, OWN_PATTERNS, TEXTS_OF_NUMBERS

__all__ = ["Findings", "Spot"]
__all__ += ["Part", "Side", "choices", "compare_conditions", "compare_values", "in_words", "kind"]
__all__ += ["plain", "same_type", "sentences"]

Part = Mapping[str, Any]
"""A part of an OpenAPI document."""


class Side(StrEnum):
    """The direction in which a value is sent."""

    REQUEST = "request"
    RESPONSE = "response"


_WIDER: Final = {("float", "double")}
"""Formats of numbers, with one that holds all their values; a JSON integer of int64 is a uint32."""
_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_EXACT: Final = ("pattern", "uniqueItems", "multipleOf")
_ZERO_IS_NONE: Final = frozenset({"minLength", "minItems", "minProperties", "uniqueItems"})
"""Bounds that do not limit anything if they are 0 or false."""
_RULES: Final = re.compile(r"^Rules: (.+)\.$", re.MULTILINE)
"""The rules in a description (`openapi/rules.py`)."""
_CHOICE: Final = re.compile(r"\b(At most|Exactly) one of (`.+?`) is set\.")
"""A oneof in a description (`openapi/schemas.py`)."""
_NAME: Final = re.compile(r"`([^`]+)`")
_FOR_PEOPLE: Final = frozenset({"password"})
"""Formats that do not limit the values."""


def kind(part: Part) -> str:
    """The JSON type of a schema; a map is another kind than an object with fixed fields."""
    if isinstance(part.get("additionalProperties"), Mapping):
        return "map"
    if part.get("additionalProperties") is True:
        return "object with any fields"
    stated = part.get("type", "any value")
    # Integers of 64 bits are accepted as numbers, whether the document says so or not.
    return "string" if stated == ["string", "integer"] else str(stated)


def plain(part: Part) -> Part:
    """A schema without what only describes how every gateway reads and writes its type.

    Null is read as if a member were not sent, a number can be a text such as NaN, and the value of
    an enum a number, whether the document says so or not.
    """
    if part.get("pattern") in OWN_PATTERNS:
        part = {word: value for word, value in part.items() if word != "pattern"}
    if isinstance(kinds := part.get("type"), list) and "null" in kinds:
        rest = [one for one in kinds if one != "null"]
        part = {**part, "type": rest[0] if len(rest) == 1 else rest}
    if "anyOf" in part:
        always_accepted = ({"type": "null"}, TEXTS_OF_NUMBERS, NUMBERS_OF_ENUMS)
        choices = [one for one in part["anyOf"] if one not in always_accepted]
        if len(choices) == 1 and len(part["anyOf"]) > 1:
            about = {word: value for word, value in part.items() if word != "anyOf"}
            return plain({**about, **choices[0]})
    return part


def in_words(part: Part) -> str:
    """The type of a schema in words."""
    if "$ref" in part:
        return str(part["$ref"]).rpartition("/")[2]
    if kind(part) == "array":
        return f"array of {in_words(part.get('items', {}))}"
    if kind(part) == "map":
        return f"map of {in_words(part['additionalProperties'])}"
    form = part.get("format")
    return f"{kind(part)} ({form})" if form else kind(part)


def same_type(old: Part, new: Part, side: Side, found: Findings, spot: Spot) -> bool:
    """Compares types and formats, and reports a difference.

    Returns False if what else the two schemas say cannot be compared.
    """
    if _type(old) == _type(new):
        return True
    narrow, wide = (old, new) if side is Side.REQUEST else (new, old)
    is_within = _is_within(narrow, wide)
    if is_within:
        rule = "request-type-widened" if side is Side.REQUEST else "response-type-narrowed"
    else:
        rule = f"{side}-type-changed"
    found.add(rule, spot, f"type changed from {in_words(old)} to {in_words(new)}")
    return is_within and kind(wide) != "any value"


def _type(part: Part) -> tuple[str, object, object]:
    form = part.get("format")
    return kind(part), None if form in _FOR_PEOPLE else form, part.get("contentEncoding")


def _is_within(narrow: Part, wide: Part) -> bool:
    """True if all values of one type are values of the other, with the same meaning."""
    inner, form, encoding = _type(narrow)
    outer, outer_form, outer_encoding = _type(wide)
    if outer == "any value":
        return True
    if encoding != outer_encoding:
        return False
    if inner == outer:
        return outer_form is None or (form, outer_form) in _WIDER
    return (inner, outer) == ("integer", "number")


def compare_values(old: Part, new: Part, side: Side, found: Findings, spot: Spot) -> None:
    """Compares the enum, the bounds and the default of two schemas of one type."""
    _compare_enums(old, new, side, found, spot)
    for word in (*_UPPER, *_LOWER, *_EXACT):
        before, after = _bound(old, word), _bound(new, word)
        if before == after:
            continue
        is_tighter, is_looser = _direction(word, before, after)
        # A pattern that has changed is both: what it admits cannot be compared.
        if side is Side.REQUEST:
            change = "tightened" if is_tighter else "loosened"
        else:
            change = "loosened" if is_looser else "tightened"
        text = f"{word} changed from {_shown(before)} to {_shown(after)}"
        found.add(f"{side}-constraint-{change}", spot, text)
    compare_conditions(_more_conditions(old), _more_conditions(new), side, found, spot)
    before, after = old.get("default"), new.get("default")
    if before != after:
        found.add("default-changed", spot, f"changed from {_shown(before)} to {_shown(after)}")


def compare_conditions(
    old: frozenset[str], new: frozenset[str], side: Side, found: Findings, spot: Spot
) -> None:
    """Compares conditions of which a value must meet each."""
    more, fewer = sorted(new - old), sorted(old - new)
    if not more and not fewer:
        return
    is_tighter = bool(more) if side is Side.REQUEST else not fewer
    text = f"must be {', '.join(more) or 'no longer'}, before {', '.join(fewer) or 'not so'}"
    found.add(f"{side}-constraint-{'tightened' if is_tighter else 'loosened'}", spot, text)


def _more_conditions(part: Part) -> frozenset[str]:
    """The conditions of a schema in keywords that hold several."""
    patterns = (one["pattern"] for one in part.get("allOf", ()) if "pattern" in one)
    banned = part.get("not", {}).get("enum", ())
    return frozenset([*(f"like {one}" for one in patterns), *(f"not {one!r}" for one in banned)])


def sentences(part: Part) -> frozenset[str]:
    """The rules without a keyword, which the description states."""
    rules = _RULES.search(part.get("description", ""))
    return frozenset(rules[1].split("; ")) if rules else frozenset()


def choices(part: Part) -> Mapping[frozenset[str], bool]:
    """The names of the fields of each oneof, with True if a request must set one of them."""
    return {
        frozenset(_NAME.findall(found[2])): found[1] == "Exactly"
        for found in _CHOICE.finditer(part.get("description", ""))
    }


def _bound(part: Part, word: str) -> Any:
    """A bound; None if it admits every value."""
    value = part.get(word)
    return value or None if word in _ZERO_IS_NONE else value


def _direction(word: str, before: Any, after: Any) -> tuple[bool, bool]:
    """True first if a bound admits less than before, and true second if it admits more."""
    if before is None or after is None:
        return before is None, after is None
    if word in _EXACT:
        return True, True
    is_tighter = after < before if word in _UPPER else after > before
    return is_tighter, not is_tighter


def _compare_enums(old: Part, new: Part, side: Side, found: Findings, spot: Spot) -> None:
    before, after = _values(old), _values(new)
    if before is None and after is None:
        return
    if before is None or after is None:
        change, text = ("tightened", "only certain") if before is None else ("loosened", "any")
        found.add(f"{side}-constraint-{change}", spot, f"takes {text} values now")
        return
    for value in before:
        if value not in after:
            found.add(f"{side}-enum-value-removed", spot, f"value {value!r} removed")
    for value in after:
        if value not in before:
            found.add(f"{side}-enum-value-added", spot, f"value {value!r} added")


def _values(part: Part) -> list[object] | None:
    if "const" in part:
        return [part["const"]]
    values = part.get("enum")
    return None if values is None else list(values)


def _shown(value: object) -> str:
    return "none" if value is None else repr(value)

"""The rules of protovalidate as keywords of JSON Schema.

Sources: buf/validate/validate.proto of protovalidate; JSON Schema 2020-12, section 6 of its
validation vocabulary. Rules that no keyword can state are sentences.

The rules are read with the descriptors of the API itself: its descriptor set has the file.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from math import isfinite
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

from gateway.openapi.comments import Json
from gateway.openapi.option_reading import option_reader

_IF_ZERO, _ALWAYS = 1, 3
"""The values of `Ignore`: rules do not count for empty values, or at all."""
_BOUNDS: Final = {
    "gt": "exclusiveMinimum",
    "gte": "minimum",
    "lt": "exclusiveMaximum",
    "lte": "maximum",
    "min_len": "minLength",
    "max_len": "maxLength",
    "min_items": "minItems",
    "max_items": "maxItems",
    "unique": "uniqueItems",
    "min_pairs": "minProperties",
    "max_pairs": "maxProperties",
    "const": "const",
}
_FORMATS: Final = {
    "email": "email",
    "hostname": "hostname",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "uri": "uri",
    "uri_ref": "uri-reference",
    "uuid": "uuid",
}
_SMALL_NUMBERS: Final = frozenset(
    {"float", "double", "int32", "uint32", "sint32", "fixed32", "sfixed32"}
)
"""Types that JSON writes as numbers; those of 64 bits are strings, whose size has no keyword."""
_FOR_EMPTY: Final = frozenset({"maxLength", "maxItems", "maxProperties", "uniqueItems"})
"""Keywords that empty values satisfy."""
_LOWER: Final = ("minLength", "minItems", "minProperties")
_SPECIAL: Final = re.compile(r"[\^$\\.*+?()\[\]{}|/]")
_NOT_ECMA: Final = re.compile(r"\(\?(?!:)|\\[AzZCQE]|\[\[:")
"""Syntax of RE2 that the expressions of JSON Schema (ECMA-262) do not have."""


class FieldRules(NamedTuple):
    """The rules of one field."""

    keywords: Json
    """The keywords of its value."""
    items: Json
    """The keywords of each item of a list, or each value of a map."""
    keys: Json
    """The keywords of the keys of a map."""
    is_required: bool
    """True if a request without the field is rejected."""
    notes: tuple[str, ...]
    """The rules that have no keyword, as sentences."""
    example: object = None
    """The first example of its value, as JSON has it; None for none."""


NO_RULES: Final = FieldRules({}, {}, {}, is_required=False, notes=())


class Rules:
    """The rules of one schema; fields and messages have none if it does not import them."""

    def __init__(self, pool: DescriptorPool | None = None) -> None:
        self._of_field: Callable[[bytes], Any] | None = None
        self._of_message: Callable[[bytes], Any] | None = None
        self._of_oneof: Callable[[bytes], Any] | None = None
        if pool is not None:
            self._of_field = option_reader(
                pool, "google.protobuf.FieldOptions", "buf.validate.field"
            )
            self._of_message = option_reader(
                pool, "google.protobuf.MessageOptions", "buf.validate.message"
            )
            self._of_oneof = option_reader(
                pool, "google.protobuf.OneofOptions", "buf.validate.oneof"
            )
        self._found: dict[str, FieldRules] = {}

    def of(self, field: FieldDescriptor) -> FieldRules:
        """The rules of a field."""
        if self._of_field is None or not field.has_options:
            return NO_RULES
        found = self._found.get(field.full_name)
        if found is None:
            rules = self._of_field(field.GetOptions().SerializeToString())
            found = NO_RULES if rules is None else _field_rules(field, rules)
            self._found[field.full_name] = found
        return found

    def of_message(self, message: Descriptor) -> list[str]:
        """The rules of a whole message, as sentences."""
        if self._of_message is None or not message.has_options:
            return []
        rules = self._of_message(message.GetOptions().SerializeToString())
        return [] if rules is None else _told(_expressions(rules))

    def needs_one(self, oneof: OneofDescriptor) -> bool:
        """True if a request must set one of the fields of a oneof."""
        if self._of_oneof is None or not oneof.has_options:
            return False
        rules = self._of_oneof(oneof.GetOptions().SerializeToString())
        return rules is not None and rules.required


def add_rules(part: Json, rules: FieldRules) -> None:
    """Adds the keywords of a field's rules to its schema; a reference has none beside it."""
    if rules is NO_RULES or "$ref" in part:
        return
    _merge(part, rules.keywords)
    for name, keywords in (("items", rules.items), ("additionalProperties", rules.items)):
        inner = part.get(name)
        if isinstance(inner, dict) and "$ref" not in inner:
            _merge(inner, keywords)
    if rules.keys:
        names = part.setdefault("propertyNames", {})
        assert isinstance(names, dict)  # noqa: S101 - as it was made
        _merge(names, rules.keys)


def _merge(part: Json, keywords: Json) -> None:
    """Adds keywords; a second `pattern` goes under `allOf`, and a tighter type bound stays."""
    for word, value in keywords.items():
        if word == "pattern" and word in part:
            part["allOf"] = [{"pattern": value}]
        else:
            part[word] = value


def _field_rules(field: FieldDescriptor, rules: Any) -> FieldRules:
    ignore = getattr(rules, "ignore", 0)
    if ignore == _ALWAYS:
        return NO_RULES
    notes = _expressions(rules)
    keywords, items, keys = {}, {}, {}
    kind, of = _typed(rules)
    if kind == "map":
        keywords = _bounds(of)
        items, keys = _inner(of, "values", notes), _inner(of, "keys", notes)
    elif kind == "repeated":
        keywords, items = _bounds(of), _inner(of, "items", notes)
    elif kind:
        keywords = _scalar(kind, of, notes)
    needs_more = any(keywords.get(word) for word in _LOWER)
    if ignore == _IF_ZERO:
        keywords = {word: value for word, value in keywords.items() if word in _FOR_EMPTY}
    # A field without presence is checked even if it is not sent: it is empty then.
    is_required = bool(rules.required) or (
        needs_more and ignore != _IF_ZERO and not field.has_presence
    )
    example = None if field.is_repeated or not kind else _example(kind, of)
    return FieldRules(keywords, items, keys, is_required, tuple(_told(notes)), example)


def _example(kind: str, of: Any) -> object:
    """The first of the examples that rules of this kind state; None for none, or no scalar."""
    stated = getattr(of, "example", ())
    if not stated or kind == "enum":
        return None
    value: object = stated[0]
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, bool | str) or kind in _SMALL_NUMBERS:
        return value if _is_json(value) else None
    return str(value) if isinstance(value, int) else None


def _is_json(value: object) -> bool:
    """True for what JSON can write: it has no infinite numbers, and no NaN."""
    return not isinstance(value, float) or isfinite(value)


def _typed(rules: Any) -> tuple[str, Any]:
    """The kind of a field's rules, and those rules; the kind is empty if there are none."""
    kind = rules.WhichOneof("type")
    return ("", None) if kind is None else (kind, getattr(rules, kind))


def _inner(of: Any, name: str, notes: list[str]) -> Json:
    """The keywords of the items, keys or values of a field."""
    if not of.HasField(name):
        return {}
    rules = getattr(of, name)
    if getattr(rules, "ignore", 0):
        return {}
    notes += _expressions(rules)
    kind, inner = _typed(rules)
    return _scalar(kind, inner, notes) if kind and kind not in {"map", "repeated"} else {}


def _scalar(kind: str, of: Any, notes: list[str]) -> Json:
    """The keywords of a value that is neither a list nor a map."""
    if kind == "string":
        return _string(of, notes)
    if kind == "bytes":
        return _bytes(of)
    if kind == "bool" or kind in _SMALL_NUMBERS:
        set_ = {field.name: value for field, value in of.ListFields()}
        low, high = set_.get("gt", set_.get("gte")), set_.get("lt", set_.get("lte"))
        if low is not None and high is not None and low >= high:
            notes += _sentences(of)  # outside of a range
            return _sets(of)
        return _bounds(of) | _sets(of)
    notes += _sentences(of)
    return {}


def _bounds(of: Any) -> Json:
    """The keywords with the same sense as a rule."""
    return {
        _BOUNDS[field.name]: value
        for field, value in of.ListFields()
        if field.name in _BOUNDS and _is_json(value)
    }


def _sets(of: Any) -> Json:
    """The keywords for values in, or not in, a list."""
    found: Json = {}
    for field, values in of.ListFields():
        if field.name == "in":
            found["enum"] = list(filter(_is_json, values))
        elif field.name == "not_in":
            found["not"] = {"enum": list(filter(_is_json, values))}
    return found


def _string(of: Any, notes: list[str]) -> Json:
    found = _bounds(of) | _sets(of)
    patterns: list[str] = []
    for field, value in of.ListFields():
        match field.name:
            case "len":
                found |= {"minLength": value, "maxLength": value}
            case "max_bytes":
                found.setdefault("maxLength", value)  # a character has at least one byte
            case "pattern" if _NOT_ECMA.search(value) is None:
                patterns.append(value)
            case "prefix":
                patterns.append(f"^{_escape(value)}")
            case "suffix":
                patterns.append(f"{_escape(value)}$")
            case "contains":
                patterns.append(_escape(value))
            case name if name in _FORMATS:
                found["format"] = _FORMATS[name]
            case name if name not in _BOUNDS and name not in {"in", "not_in", "example"}:
                notes.append(_sentence(name, value))
    if patterns:
        found["pattern"] = patterns[0]
    if len(patterns) > 1:
        found["allOf"] = [{"pattern": pattern} for pattern in patterns[1:]]
    return found


def _bytes(of: Any) -> Json:
    """The keywords of bytes, which JSON writes as base64: four characters for three bytes."""
    found: Json = {}
    for field, value in of.ListFields():
        if field.name in {"len", "min_len"}:
            found["minLength"] = -(-value * 4 // 3)  # the padding may be left out
        if field.name in {"len", "max_len"}:
            found["maxLength"] = -(-value // 3) * 4
    return found


def _escape(text: str) -> str:
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", text)


def _sentences(of: Any) -> list[str]:
    return [_sentence(one.name, value) for one, value in of.ListFields() if one.name != "example"]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _sentence(name: str, value: object) -> str:
    """A rule without a keyword, such as `lte 100` or `ip`."""
    if value is True:
        return _words(name)
    if isinstance(value, str | int | float):
        return f"{_words(name)} {value}"
    if isinstance(value, Iterable):
        return f"{_words(name)} {', '.join(map(str, value))}"
    text = " ".join(str(value).split())
    return f"{_words(name)} {text}"


def _expressions(rules: Any) -> list[str]:
    """The rules in CEL: their messages, or else their expressions."""

    def found() -> Iterator[str]:
        for rule in getattr(rules, "cel", ()):
            yield rule.message or f"`{rule.expression}`"
        for expression in getattr(rules, "cel_expression", ()):
            yield f"`{expression}`"

    return list(found())


def _told(notes: list[str]) -> list[str]:
    return [f"Rules: {'; '.join(notes)}."] if notes else []

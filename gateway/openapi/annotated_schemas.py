"""The reading of annotations on fields, messages and enums, and how the document says it."""

import json
from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message_factory import GetMessageClass

from gateway.openapi.comments import Json

__all__ = ["Json"]
__all__ += ["FORMATS", "add_limits", "add_words", "field_example", "kind_of", "message_example"]
__all__ += ["schema_words", "stated_example"]

FORMATS: Final[Mapping[str, str]] = {"UUID4": "uuid", "IPV4": "ipv4", "IPV6": "ipv6"}
"""The formats of `google.api.field_info` that JSON Schema knows."""
_WORDS: Final = ("title", "description", "externalDocs", "deprecated", "readOnly", "writeOnly")
_LIMITS: Final[Mapping[str, tuple[str, ...]]] = {
    "number": ("multipleOf", "maximum", "minimum"),
    "string": ("maxLength", "minLength", "pattern", "format"),
    "array": ("maxItems", "minItems", "uniqueItems"),
    "object": ("maxProperties", "minProperties"),
}
"""The keywords of each kind of value that can be limited."""
_SIZES: Final = frozenset(
    {"maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties"}
)
_INFINITE: Final = ("Infinity", "-Infinity", "NaN", float("inf"), float("-inf"))
_EXCLUSIVE: Final = (("maximum", "exclusiveMaximum"), ("minimum", "exclusiveMinimum"))
_NOT_SAID: Final = frozenset({"extensions", "fieldConfiguration"})
_F = FieldDescriptor
_KINDS: Final[Mapping[int, str]] = {
    **dict.fromkeys((_F.TYPE_INT32, _F.TYPE_SINT32, _F.TYPE_SFIXED32), "number"),
    **dict.fromkeys((_F.TYPE_UINT32, _F.TYPE_FIXED32), "number"),
    **dict.fromkeys((_F.TYPE_FLOAT, _F.TYPE_DOUBLE), "number"),
    _F.TYPE_STRING: "string",
}
"""JSON writes integers of 64 bits and bytes as strings, which no keyword limits in their sense."""


def kind_of(field: FieldDescriptor) -> str:
    """The kind of a field's value, by which it can be limited; empty for none."""
    if field.is_repeated:
        message = field.message_type
        is_map = message is not None and message.has_options and message.GetOptions().map_entry
        return "object" if is_map else "array"
    return _KINDS.get(field.type, "")


def schema_words(kind: str, stated: Json) -> tuple[Json, list[str]]:
    """The words, limits and example of a schema, and the parts that are left out."""
    inner = stated.pop("jsonSchema", None)
    if isinstance(inner, dict):
        stated.update(inner)
    found: Json = {word: stated.pop(word) for word in _WORDS if word in stated}
    if "example" in stated:
        found["example"] = stated.pop("example")
    if "required" in stated:
        found["required"] = stated.pop("required")
    _exclude(stated)
    limits = {word: stated.pop(word) for word in _LIMITS.get(kind, ()) if word in stated}
    for low, high in _EXCLUSIVE if kind == "number" else ():
        limits |= {word: stated.pop(word) for word in (low, high) if word in stated}
    limits = {word: _number(word, value) for word, value in limits.items()}
    # JSON has no infinite numbers, and they limit nothing.
    limits = {word: value for word, value in limits.items() if value not in _INFINITE}
    if limits:
        found["limits"] = limits
    if isinstance(configured := stated.get("fieldConfiguration"), dict):
        if configured.get("deprecated"):
            found["deprecated"] = True
        if "pathParamName" in configured:
            stated["pathParamName"] = ""
    return found, sorted(stated.keys() - _NOT_SAID)


def _exclude(stated: Json) -> None:
    """Writes exclusive limits as JSON Schema 2020-12 does, as numbers."""
    for limit, exclusive in _EXCLUSIVE:
        if stated.pop(exclusive, None):
            stated[exclusive] = stated.pop(limit, 0)


def _number(word: str, value: Any) -> Any:
    """A number as the document has it: ProtoJSON writes those of 64 bits as strings."""
    if word in _SIZES:
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def add_words(part: Json, words: Json) -> None:
    """Adds the words of an annotation to a schema, except the description, which it has."""
    for word in ("title", "externalDocs"):
        if words.get(word):
            part[word] = words[word]
    for word in ("deprecated", "readOnly", "writeOnly"):
        if words.get(word) is True:
            part[word] = True
    for word, value in words.items():
        if word.startswith("x-"):
            part.setdefault(word, value)


def add_limits(part: Json, words: Json) -> None:
    """Adds the limits of an annotation to the schema of a value that has none of its own."""
    limits = words.get("limits")
    if isinstance(limits, dict) and "$ref" not in part:
        for word, value in limits.items():
            part.setdefault(word, value)


def field_example(field: FieldDescriptor, words: Json) -> object | None:
    """The example of a field as the gateway writes it; None if there is none that fits."""
    value = words.get("example")
    message = field.containing_type
    if value is None or message is None:
        return None
    stated = stated_example(value)
    for one in (stated, value):  # a text may be stated without quotes
        found = _written(message, {field.name: one}, with_defaults=True)
        if found is not None:
            return found.get(field.json_name)
    return None


def message_example(message: Descriptor, words: Json) -> object | None:
    """The example of a message as the gateway writes it; None if there is none that fits."""
    stated = stated_example(words.get("example"))
    return _written(message, stated) if isinstance(stated, dict) else None


def stated_example(value: object) -> object:
    """The value of an example that is the text of a JSON value, as in grpc-gateway's options."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _written(message: Descriptor, value: Json, *, with_defaults: bool = False) -> Json | None:
    """A message that is written as it is read (ProtoJSON); None if it does not fit."""
    try:
        read = ParseDict(value, GetMessageClass(message)())
        found: Json = MessageToDict(read, always_print_fields_with_no_presence=with_defaults)
    except (ParseError, TypeError, ValueError, RecursionError):
        return None
    return found

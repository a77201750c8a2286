"""The schemas of single values: scalars, and the well-known types that JSON writes specially.

Source: protobuf.dev, "ProtoJSON Format"; the spellings are those of `transcoding/text_values.py`.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Final

from google.protobuf.descriptor import FieldDescriptor

from gateway.openapi.comments import Json

_F = FieldDescriptor
_INT64: Final[Json] = {"type": "string", "format": "int64", "pattern": "^-?(0|[1-9][0-9]{0,18})$"}
_UINT64: Final[Json] = {"type": "string", "format": "uint64", "pattern": "^(0|[1-9][0-9]{0,19})$"}
_INT32: Final[Json] = {"type": "integer", "format": "int32"}
_UINT32: Final[Json] = {"type": "integer", "format": "int64", "minimum": 0, "maximum": 2**32 - 1}
_STRING: Final[Json] = {"type": "string"}
# `format` is OpenAPI 3.0's spelling of the same, for older tools.
_BYTES: Final[Json] = {"type": "string", "format": "byte", "contentEncoding": "base64"}
_BOOL: Final[Json] = {"type": "boolean"}
_FLOAT: Final[Json] = {"type": "number", "format": "float"}
_DOUBLE: Final[Json] = {"type": "number", "format": "double"}

_SCALARS: Final[Mapping[int, Json]] = {
    _F.TYPE_DOUBLE: _DOUBLE,
    _F.TYPE_FLOAT: _FLOAT,
    _F.TYPE_INT64: _INT64,
    _F.TYPE_SINT64: _INT64,
    _F.TYPE_SFIXED64: _INT64,
    _F.TYPE_UINT64: _UINT64,
    _F.TYPE_FIXED64: _UINT64,
    _F.TYPE_INT32: _INT32,
    _F.TYPE_SINT32: _INT32,
    _F.TYPE_SFIXED32: _INT32,
    _F.TYPE_UINT32: _UINT32,
    _F.TYPE_FIXED32: _UINT32,
    _F.TYPE_BOOL: _BOOL,
    _F.TYPE_STRING: _STRING,
    _F.TYPE_BYTES: _BYTES,
}
_STEP: Final = r"""([A-Za-z0-9_]+|\*|`([^`]|``)*`|"([^"\\]|\\[\s\S])*")"""
_MASK_PATH: Final = rf"(\*|[A-Za-z_][A-Za-z0-9_]*(\.{_STEP})*)"
_MASK: Final = f"^({_MASK_PATH}(,{_MASK_PATH})*)?$"
"""The form of a field mask (`transcoding/field_masks.py`), in the expressions of JSON Schema."""
_SECONDS: Final = "([0-9]{1,11}|[0-2][0-9]{11}|3(0[0-9]|1[0-4])[0-9]{9}|315[0-5][0-9]{8})"
_DURATION: Final = rf"^-?{_SECONDS}(\.[0-9]{{1,9}})?s$"
"""The form of a duration, of some 10,000 years at most (`transcoding/text_forms.py`)."""
TEXTS_OF_NUMBERS: Final[Json] = {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}
"""The numbers that JSON does not have, as ProtoJSON writes them."""
NUMBERS_OF_ENUMS: Final[Json] = _INT32
"""The other form of the value of an enum in requests (ProtoJSON)."""
_PACKAGE: Final = "google.protobuf."
_WELL_KNOWN: Final[Mapping[str, Json]] = {
    "DoubleValue": _DOUBLE,
    "FloatValue": _FLOAT,
    "Int64Value": _INT64,
    "UInt64Value": _UINT64,
    "Int32Value": _INT32,
    "UInt32Value": _UINT32,
    "BoolValue": _BOOL,
    "StringValue": _STRING,
    "BytesValue": _BYTES,
    "Timestamp": {"type": "string", "format": "date-time"},
    "Duration": {
        "type": "string",
        "pattern": _DURATION,
        "examples": ["3.5s"],
    },
    "FieldMask": {"type": "string", "pattern": _MASK, "examples": ["title,author.name"]},
    "Struct": {"type": "object", "additionalProperties": True},
    "Value": {},
    "ListValue": {"type": "array", "items": {}},
    "Empty": {"type": "object", "additionalProperties": False},
    "Any": {
        "type": "object",
        "required": ["@type"],
        "properties": {"@type": _STRING},
        "additionalProperties": True,
    },
}
_WRITTEN_TIME: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3}|\.[0-9]{6}|\.[0-9]{9})?Z$"
)
"""ProtoJSON: UTC, with 0, 3, 6 or 9 digits of a second."""
OWN_PATTERNS: Final = frozenset({_WRITTEN_TIME})
"""The patterns that only some documents state, by the settings."""
_MAP_KEYS: Final[Mapping[str, str]] = {
    "integer": "^-?(0|[1-9][0-9]{0,9})$",
    "boolean": "^(true|false)$",
}


def scalar(field: FieldDescriptor, *, strict_floats: bool = False) -> Json:
    """The schema of one value of a field that is neither a message nor an enum.

    With `strict_floats` it states the texts of numbers that JSON does not have.
    """
    found = _SCALARS[field.type]
    return _strict(found) if strict_floats else dict(found)


def or_number(named: Json) -> Json:
    """The schema of the value of an enum that may be its number too; null has none."""
    return {"anyOf": [named, NUMBERS_OF_ENUMS]} if "$ref" in named else named


def well_known(full_name: str, *, strict_floats: bool = False) -> Json | None:
    """The schema of a message with a JSON form of its own, or None for all others."""
    if not full_name.startswith(_PACKAGE):
        return None
    found = _WELL_KNOWN.get(full_name.removeprefix(_PACKAGE))
    if found is None:
        return None
    return _strict(found) if strict_floats else dict(found)


def _strict(part: Json) -> Json:
    """A copy of the schema of a value; a number may also be one of the texts of ProtoJSON."""
    if part not in (_FLOAT, _DOUBLE):
        return dict(part)
    return {"anyOf": [dict(part), TEXTS_OF_NUMBERS]}


def strict_time(full_name: str, part: Json) -> None:
    """Adds to the schema of a Timestamp the form in which the gateway writes it."""
    if full_name == f"{_PACKAGE}Timestamp":
        part["pattern"] = _WRITTEN_TIME


def map_keys(field: FieldDescriptor) -> Json | None:
    """The schema of the names in an object that is a map; None if all texts are allowed."""
    key = _SCALARS[field.type]
    pattern = key.get("pattern") or _MAP_KEYS.get(str(key["type"]))
    return {"pattern": pattern} if pattern else None


def default(field: FieldDescriptor) -> object | None:
    """The default that a proto2 file states for a scalar field, as in JSON, or None."""
    if field.is_repeated or field.message_type is not None or not field.has_default_value:
        return None
    value: object = field.default_value
    if field.enum_type is not None:
        named = field.enum_type.values_by_number.get(field.default_value)
        return None if named is None else named.name
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):  # noqa: PLR0124 - NaN
        return None
    return str(value) if _SCALARS[field.type] in (_INT64, _UINT64) else value

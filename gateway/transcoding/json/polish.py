"""Improves the JSON library's output: short floats, whole numbers in a Value, indentation."""

import json
import re
import struct
from base64 import b64encode
from collections.abc import Callable

from google.protobuf.descriptor import FieldDescriptor

from gateway.config.json import JsonOptions
from gateway.transcoding.json.type_copies import WRAPPERS, entry_fields

Polish = Callable[[str], str]

# Possessive throughout: a text of any length is read once, without state per character.
_TEXT = r'"(?:[^"\\]++|\\.)*+"'
# Skip short numbers: up to six digits are always the shortest form.
_TOKEN = re.compile(rf"{_TEXT}|[^\",:\[\]{{}}]{{8,}}+")
_POINT_ZERO = r"\.0(?=[,}\]]|\Z)"
_TO_WHOLE = re.compile(rf'((?:[^".]++|{_TEXT}|(?!{_POINT_ZERO})\.)*+)(?:{_POINT_ZERO}|\Z)')
_PIECE = 4096
_PACK = struct.Struct("<f").pack
_MAY_HAVE_WHOLE = re.compile(r"\.0(?:[,}\]]|\Z)")


def polish(mark: str | None, *, integers: bool) -> Polish | None:
    """Makes the function that polishes a text in which names of float members end in `mark`.

    With `integers`, the text may hold a google.protobuf.Value, in which 5.0 is written as 5.
    """
    steps: list[Polish] = []
    if mark is not None:
        steps.append(_float_polish(mark))
    if integers:
        steps.append(_without_point_zero)
    if len(steps) < 2:
        return steps[0] if steps else None
    first, second = steps
    return lambda text: second(first(text))


def indented(text: str) -> str:
    """Indents a JSON text, for people."""
    return json.dumps(json.loads(text), indent=2, ensure_ascii=False)


def shortest_float(text: str) -> str:
    """Returns the shortest decimal that is read as the same 32-bit float."""
    value = float(text)
    bits = _PACK(value)
    short = float(f"{value:.8g}")
    if _PACK(short) != bits:
        return repr(float(f"{value:.9g}"))
    shorter = float(f"{value:.7g}")
    if _PACK(shorter) != bits:
        return repr(short)
    shortest = float(f"{value:.6g}")
    return repr(shortest if _PACK(shortest) == bits else shorter)


def default_json(field: FieldDescriptor, options: JsonOptions) -> str:
    """Returns the JSON of a field that is not set."""
    if entry_fields(field):
        return "{}"
    if field.is_repeated:
        return "[]"
    if field.message_type is not None:
        return _UNSET.get(field.message_type.full_name, "{}")
    value = field.default_value
    if field.enum_type is not None:
        if field.enum_type.full_name == "google.protobuf.NullValue":
            return "null"
        names = {each.number: each.name for each in reversed(field.enum_type.values)}
        return json.dumps(value if options.enums_as_numbers else names[value])
    if isinstance(value, bytes):
        return json.dumps(b64encode(value).decode())
    if isinstance(value, float):
        return _finite_or_text(value)
    wide = field.cpp_type in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
    return json.dumps(str(value) if wide else value, ensure_ascii=False)


def _finite_or_text(value: float) -> str:
    special = {"inf": '"Infinity"', "-inf": '"-Infinity"', "nan": '"NaN"'}
    return special.get(repr(value), repr(value))


def _float_polish(mark: str) -> Polish:
    map_of_numbers = rf"\{{(?:{_TEXT}:[^,}}]*+,?)*+\}}"
    marked = re.compile(rf'{mark}":(\[[^\]]*\]|{map_of_numbers}|[^,}}\]]*)')

    def shorten(found: re.Match[str]) -> str:
        return '":' + _shorten_all(found[1])

    # Unmark what needs no change first, in native code: most values of a dense reply are unset.
    unset = [(f'{mark}":{value}', f'":{value}') for value in ("[]", "{}", "0,", "0}", "0.0,")]

    def shorten_marked(text: str) -> str:
        if mark not in text:
            return _bare(text)
        if len(text) > _PIECE:
            for old, new in unset:
                text = text.replace(old, new)
        return marked.sub(shorten, text)

    return shorten_marked


def _bare(text: str) -> str:
    """Shortens the text of a google.protobuf.FloatValue, which is only a number."""
    return text if text[:1] in '{["' else _TOKEN.sub(_shorter, text)


def _shorten_all(text: str) -> str:
    """Shortens the floats in the text of a field's value; a long list in pieces.

    The pieces limit memory: the parts of a replacement take many times the list's size.
    """
    if len(text) <= _PIECE or text[0] != "[":
        return _TOKEN.sub(_shorter, text)
    pieces: list[str] = []
    start = 0
    while start < len(text):
        end = text.find(",", start + _PIECE) + 1 or len(text)
        piece = text[start:end]
        pieces.append(_TOKEN.sub(_shorter, piece))
        start = end
    return "".join(pieces)


def _shorter(token: re.Match[str]) -> str:
    text = token[0]
    return text if text[0] == '"' else shortest_float(text)


def _without_point_zero(text: str) -> str:
    return _TO_WHOLE.sub(r"\1", text) if _MAY_HAVE_WHOLE.search(text) else text


# Messages for which `{}` is not a JSON form.
_UNSET = {
    "google.protobuf.ListValue": "[]",
    "google.protobuf.Value": "null",
    "google.protobuf.Timestamp": "null",
    "google.protobuf.Duration": "null",
    "google.protobuf.FieldMask": '""',
    **dict.fromkeys(WRAPPERS, "null"),
}

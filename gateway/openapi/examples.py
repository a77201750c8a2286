"""Examples of values: the options `gatewayapi.v1.example` and `message_example` of the protos.

An example that does not fit its type is left out, with a warning in the log: the document is made
while the gateway serves, and must not fail for it.
"""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.openapi.annotated_schemas import Json, field_example, message_example
from gateway.schema.field_behavior import behavior
from gatewayapi.v1 import openapi_pb2

logger = logging.getLogger("gateway.openapi")

_MESSAGE_EXAMPLE: Final[Any] = openapi_pb2.message_example


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_FITS: Final[Mapping[object, Callable[[object], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": _is_number,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}
"""The test of a value for each type of JSON Schema."""


def add_example(part: dict[str, object], field: FieldDescriptor, text: str) -> None:
    """Adds the example of a field, as its proto states it, to the schema of its value."""
    if not text:
        return
    kind = "string" if field.enum_type is not None and not field.is_repeated else part.get("type")
    _add(part, text, kind, field.full_name, "example")


def add_stated_example(part: dict[str, object], field: FieldDescriptor, words: Json) -> None:
    """Adds the example in a field's annotation, if its schema has none."""
    if "example" in words and "examples" not in part and not behavior(field).is_secret:
        value = field_example(field, words)
        if value is not None:
            part["examples"] = [value]


def add_checked_example(part: dict[str, object], field: FieldDescriptor, example: object) -> None:
    """Adds the example in the rules of a field, if its schema has none."""
    if example is not None and "examples" not in part and not behavior(field).is_secret:
        part["examples"] = [example]


def add_message_example(part: dict[str, object], message: Descriptor, words: Json) -> None:
    """Adds the example of a whole message to its schema; its own option, or its annotation."""
    if not message.has_options:
        return
    stated: Any = message.GetOptions()
    if stated.HasExtension(_MESSAGE_EXAMPLE):
        text = stated.Extensions[_MESSAGE_EXAMPLE]
        _add(part, text, "object", message.full_name, "message_example")
    elif (value := message_example(message, words)) is not None:
        part["examples"] = [value]


def _no_number(text: str) -> object:
    """Refuses NaN and the infinities, which Python reads and JSON does not have."""
    raise ValueError(f"{text} is no number of JSON")


def _add(part: dict[str, object], text: str, kind: object, of: str, option: str) -> None:
    """Adds an example of this JSON type; None for any type."""
    try:
        value = text if kind == "string" else json.loads(text, parse_constant=_no_number)
    except ValueError:
        value = None
    fits = _FITS.get(kind)
    if value is None or (fits is not None and not fits(value)):
        logger.warning(
            "%s: (gatewayapi.v1.%s) is left out: expected JSON of the type %s, not %.100r",
            *(of, option, kind or "that the field has", text),
        )
        return
    part["examples"] = [value]

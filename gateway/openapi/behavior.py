"""The options of fields that describe their use: `google.api.field_behavior` (AIP-203) and more."""

from dataclasses import dataclass
from typing import Any, Final

from google.api import field_behavior_pb2
from google.protobuf.descriptor import FieldDescriptor

_BEHAVIOR: Final[Any] = field_behavior_pb2.field_behavior


@dataclass(frozen=True, slots=True)
class Behavior:
    """The use of a field, as its options state it."""

    is_required: bool = False
    is_output_only: bool = False
    is_input_only: bool = False
    is_immutable: bool = False
    is_deprecated: bool = False
    is_secret: bool = False


_NONE: Final = Behavior()
_REQUIRED: Final = Behavior(is_required=True)


def behavior(field: FieldDescriptor) -> Behavior:
    """Reads the options of a field; a proto2 `required` field is required too."""
    if not field.has_options:
        return _REQUIRED if field.is_required else _NONE
    options: Any = field.GetOptions()
    stated = frozenset(options.Extensions[_BEHAVIOR])
    return Behavior(
        is_required=field_behavior_pb2.REQUIRED in stated or field.is_required,
        is_output_only=field_behavior_pb2.OUTPUT_ONLY in stated,
        is_input_only=field_behavior_pb2.INPUT_ONLY in stated,
        is_immutable=field_behavior_pb2.IMMUTABLE in stated
        or field_behavior_pb2.IDENTIFIER in stated,
        is_deprecated=options.deprecated,
        is_secret=options.debug_redact,
    )


def mark(part: dict[str, object], of: Behavior) -> None:
    """Adds the keywords for a field's use to its schema."""
    if of.is_output_only:
        part["readOnly"] = True
    if of.is_input_only:
        part["writeOnly"] = True
    if of.is_immutable:
        part["x-immutable"] = True
    if of.is_deprecated:
        part["deprecated"] = True
    if of.is_secret and part.get("type") == "string" and "format" not in part:
        part["format"] = "password"

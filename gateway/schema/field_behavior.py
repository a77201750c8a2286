"""The options of fields that describe their use: `google.api.field_behavior` (AIP-203) and more."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from google.api import field_behavior_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FieldOptions

from gatewayapi.v1 import openapi_pb2

_BEHAVIOR: Final[Any] = field_behavior_pb2.field_behavior
_EXAMPLE: Final[Any] = openapi_pb2.example


@dataclass(frozen=True, slots=True)
class Behavior:
    """The use of a field, as its options state it."""

    is_required: bool = False
    is_output_only: bool = False
    is_input_only: bool = False
    is_immutable: bool = False
    is_identifier: bool = False
    """True for the name of a resource, which is immutable too."""
    is_deprecated: bool = False
    is_secret: bool = False
    example: str = ""
    """The text of `gatewayapi.v1.example`; empty for none, and for secrets."""


_NONE: Final = Behavior()
_REQUIRED: Final = Behavior(is_required=True)


def behavior(field: FieldDescriptor) -> Behavior:
    """Reads the options of a field; a proto2 `required` field is required too."""
    if not field.has_options:
        return _REQUIRED if field.is_required else _NONE
    options: Any = field.GetOptions()
    return _behavior(options.SerializeToString(), field.is_required)


# A large API has few different options, in a hundred thousand fields.
@lru_cache(maxsize=4096)
def _behavior(encoded: bytes, is_required: bool) -> Behavior:  # noqa: FBT001 - for the cache
    """The use that these FieldOptions state."""
    options: Any = FieldOptions.FromString(encoded)
    stated = frozenset(options.Extensions[_BEHAVIOR])
    is_identifier = field_behavior_pb2.IDENTIFIER in stated
    return Behavior(
        is_required=field_behavior_pb2.REQUIRED in stated or is_required,
        is_output_only=field_behavior_pb2.OUTPUT_ONLY in stated,
        is_input_only=field_behavior_pb2.INPUT_ONLY in stated,
        is_immutable=field_behavior_pb2.IMMUTABLE in stated or is_identifier,
        is_identifier=is_identifier,
        is_deprecated=options.deprecated,
        is_secret=options.debug_redact,
        example="" if options.debug_redact else options.Extensions[_EXAMPLE],
    )

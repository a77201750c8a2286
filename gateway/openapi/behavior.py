"""The keywords of schemas that describe the use of a field."""

from gateway.schema.field_behavior import Behavior


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


def immutable(of: Behavior) -> tuple[str, ...]:
    """The sentence about a field that cannot be changed; none for others."""
    return ("It cannot be changed once it is set.",) if of.is_immutable else ()

"""The further forms in which requests may have a value, stated if the settings ask for it."""

from typing import Final

from gateway.openapi.comments import Json

_NULL: Final[Json] = {"type": "null"}
_ABOUT: Final[tuple[str, ...]] = (
    *("title", "description", "readOnly", "writeOnly", "deprecated", "examples"),
)
"""The keywords about a member, not about one of the forms of its value."""


def widen(part: Json) -> None:
    """Adds to a schema that integers of 64 bits may be numbers (ProtoJSON)."""
    for inner in (part.get("items"), part.get("additionalProperties")):
        if isinstance(inner, dict):
            widen(inner)
    if part.get("format") in {"int64", "uint64"} and part.get("type") == "string":
        part["type"] = ["string", "integer"]


def admit_null(part: Json) -> Json:
    """The schema of a member that may be null, as if it were not sent (ProtoJSON).

    `part` is changed, or is a part of it.
    """
    kind = part.get("type")
    if isinstance(choices := part.get("anyOf"), list):
        part["anyOf"] = [*choices, _NULL]
    elif kind is None and "$ref" not in part:
        pass  # any value
    elif kind is None or part.keys() & {"enum", "const", "not"}:
        moved: Json = {word: part.pop(word) for word in _ABOUT if word in part}
        return {**moved, "anyOf": [part, _NULL]}
    elif kind != "null":
        part["type"] = [*(kind if isinstance(kind, list) else [kind]), "null"]
    return part

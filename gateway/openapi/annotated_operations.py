"""The reading of annotations on methods: what they say, and how the document says it."""

from typing import Any, Final

from gateway.openapi.annotated_schemas import Json, stated_example

_WORDS: Final = ("summary", "description", "externalDocs", "operationId", "tags", "deprecated")
_SAID: Final = frozenset({"extensions", "responses", "parameters", *_WORDS})
_IGNORED_HEADERS: Final = frozenset({"accept", "content-type", "authorization"})
"""Header fields that OpenAPI describes by other means ("Parameter Object", `name`)."""
_TYPES: Final = frozenset({"string", "number", "integer", "boolean"})


def operation_words(stated: Json) -> tuple[Json, list[str]]:
    """The words, header parameters and responses of an operation; the parts that are left out."""
    left_out = sorted(stated.keys() - _SAID)
    found: Json = {word: stated[word] for word in _WORDS if word in stated}
    parameters, others = _parameters(stated.get("parameters", {}))
    if parameters:
        found["parameters"] = parameters
    if others:
        left_out.append("parameters")
    responses: dict[str, Any] = stated.get("responses", {})  # type: ignore[assignment]
    if responses:
        found["responses"] = {str(status): _response(one) for status, one in responses.items()}
    if any("schema" in one for one in responses.values()):
        left_out.append("responses.schema")
    return found, left_out


def _parameters(stated: Any) -> tuple[list[Json], bool]:
    """The parameters in the header; true if there are others."""
    given = stated.get("headers", []) if isinstance(stated, dict) else stated
    found: list[Json] = []
    for one in given:
        name = one.get("name", "")
        is_header = isinstance(stated, dict) or one.get("in") == "header"
        if is_header and name and name.lower() not in _IGNORED_HEADERS:
            schema = one.get("schema", one)
            part: Json = {"name": name, "in": "header"}
            if one.get("description"):
                part["description"] = one["description"]
            if one.get("required"):
                part["required"] = True
            part["schema"] = _plain_schema(schema)
            found.append(part)
    return found, len(found) < len(given)


def _plain_schema(stated: Json) -> Json:
    kind = str(stated.get("type", "")).lower()
    found: Json = {"type": kind if kind in _TYPES else "string"}
    for word in ("format", "pattern"):
        if stated.get(word):
            found[word] = stated[word]
    return found


def _response(stated: Json) -> Json:
    """The words, headers and examples of a response."""
    found: Json = {"description": stated["description"]} if stated.get("description") else {}
    headers: Any = stated.get("headers", {})
    if headers:
        found["headers"] = {name: _header(one) for name, one in headers.items()}
    examples: Any = stated.get("examples", {})
    for media_type, one in (stated.get("content") or {}).items():  # type: ignore[attr-defined]
        if isinstance(one, dict) and "example" in one:
            examples = examples | {media_type: one["example"]}
    if examples:
        found["examples"] = examples
    extensions: Any = stated.get("extensions", {})
    return found | {key: extensions[key] for key in sorted(extensions) if key.startswith("x-")}


def _header(stated: Json) -> Json:
    inner: Any = stated.get("schema", stated)
    found: Json = {"schema": _plain_schema(inner)}
    if stated.get("description"):
        found["description"] = stated["description"]
    return found


def annotate_operation(operation: Json, words: Json) -> None:
    """Adds what an annotation says of a method to its operation, in place of its own words."""
    for word in ("summary", "description", "externalDocs"):
        if words.get(word):
            operation[word] = words[word]
    if words.get("deprecated") is True:
        operation["deprecated"] = True
    headers: Any = words.get("parameters")
    if headers:
        operation["parameters"] = [*operation.get("parameters", ()), *headers]  # type: ignore[misc]
    responses: Any = words.get("responses", {})
    if responses:
        given: Any = operation["responses"]
        operation["responses"] = given | {
            status: _annotated(given.get(status), one) for status, one in responses.items()
        }
    for word, value in words.items():
        if word.startswith("x-"):
            operation.setdefault(word, value)


def _annotated(given: Json | None, words: Json) -> Json:
    """A response with the words of an annotation; one that the gateway shares takes only a text."""
    stated = {word: value for word, value in words.items() if word != "examples"}
    if given is None:
        return {"description": "As the service says.", **stated}
    if "$ref" in given:
        text = words.get("description")
        return {**given, "description": text} if text else given
    content: Any = given.get("content", {})
    examples: Any = words.get("examples", {})
    for media_type in content.keys() & examples.keys():
        content[media_type] = {
            **content[media_type],
            "example": stated_example(examples[media_type]),
        }
    return given | stated

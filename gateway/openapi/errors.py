"""The responses of failures, in the form of errors that the settings choose."""

from collections.abc import Collection, Mapping
from functools import cache
from typing import Final

from gateway.openapi.comments import Json
from gateway.status import ERROR_MEDIA_TYPE, Code, ErrorShape

ERROR: Final = "Failure"
"""The name of the schema of a failure's body."""
RECORD: Final = "StreamError"
"""The name of the schema of the last record of a stream that fails."""

_STRING: Final[Json] = {"type": "string"}
_HTTP_STATUS: Final[Json] = {"type": "integer", "description": "The HTTP status."}
_CODES: Final[Json] = {
    "type": "string",
    "enum": [code.name for code in Code],
    "description": "The name of the gRPC code.",
}
_DETAILS: Final[Json] = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["@type"],
        "properties": {"@type": _STRING},
        "additionalProperties": True,
    },
    "description": "More about the failure, such as google.rpc.BadRequest with invalid fields.",
}


def _object(properties: Mapping[str, object], *required: str) -> Json:
    return {"type": "object", "required": list(required), "properties": dict(properties)}


def _error_schema(shape: ErrorShape) -> Json:
    """The schema of a failure's body; `status.error_document` writes it."""
    match shape:
        case ErrorShape.AIP193:
            inner = {
                "code": _HTTP_STATUS,
                "message": _STRING,
                "status": _CODES,
                "details": _DETAILS,
            }
            body = _object({"error": _object(inner, "code", "message", "status")}, "error")
        case ErrorShape.STATUS:
            number: Json = {"type": "integer", "description": "The number of the gRPC code."}
            inner = {"code": number, "message": _STRING, "details": _DETAILS}
            body = _object(inner, "code", "message", "details")
        case ErrorShape.PROBLEM:
            inner = {
                "type": {"type": "string", "format": "uri-reference"},
                "title": _STRING,
                "status": _HTTP_STATUS,
                "detail": _STRING,
                "code": _CODES,
                "details": _DETAILS,
            }
            body = _object(inner, "type", "title", "status", "detail", "code")
    return {**body, "description": "A failure."}


def error_schemas(shape: ErrorShape, *, has_streams: bool) -> dict[str, Json]:
    """The schemas of failures by name: of responses, and, if there are streams, of records."""
    found = {ERROR: _error_schema(shape)}
    if has_streams:
        # exchange/rendering.py: a record has the one member `error` in every shape.
        reference: Json = {"$ref": f"#/components/schemas/{ERROR}"}
        body = reference if shape is ErrorShape.AIP193 else _object({"error": reference}, "error")
        found[RECORD] = {**body, "description": "The last record of a stream that fails."}
    return found


_STATUSES: Final[Mapping[str, tuple[str, str]]] = {
    "400": ("BadRequest", "The request does not fit the method, or its state does not allow it."),
    "401": ("Unauthorized", "A credential is needed, and none, or no valid one, was sent."),
    "403": ("Forbidden", "The caller may not do this."),
    "404": ("NotFound", "There is no such resource, or no such path."),
    "412": ("PreconditionFailed", "The resource has another entity tag than `If-Match` names."),
    "413": ("ContentTooLarge", "The body is too large."),
    "415": ("UnsupportedMediaType", "The body has a media type that is not accepted here."),
    "429": ("TooManyRequests", "Too many requests; `Retry-After` says when to try again."),
    "503": ("ServiceUnavailable", "The service does not answer; the call may be tried again."),
    "504": ("GatewayTimeout", "The deadline of the call has passed."),
    "default": ("Failure", "Any other failure."),
}


_RETRY: Final = {"Retry-After": "The seconds after which to try again."}
_HEADERS: Final[Mapping[str, Mapping[str, str]]] = {
    "401": {"WWW-Authenticate": "The kinds of credentials that are accepted (RFC 9110)."},
    "429": _RETRY
    | {
        "RateLimit": "The rest of the limit that is nearest, if the settings show it.",
        "RateLimit-Policy": "The limits that apply, if the settings show them.",
    },
    "503": _RETRY,
}


def error_responses(shape: ErrorShape, statuses: Collection[str]) -> dict[str, Json]:
    """The responses of failures with these statuses, by the names to which `failures` refers."""
    schema: Json = {"$ref": f"#/components/schemas/{ERROR}"}
    content: Json = {ERROR_MEDIA_TYPE[shape]: {"schema": schema}}
    return {
        name: {"description": text, **_headers(status), "content": content}
        for status, (name, text) in _STATUSES.items()
        if status in statuses
    }


def _headers(status: str) -> Json:
    """The header fields of a failure, none of which is in every response."""
    headers = _HEADERS.get(status, {})
    stated = {name: {"description": text, "schema": _STRING} for name, text in headers.items()}
    return {"headers": stated} if stated else {}


@cache
def failures(
    *, takes_body: bool, is_guarded: bool, is_limited: bool, is_conditional: bool
) -> Mapping[str, Json]:
    """References to the failures that an operation can have, by status."""
    left_out = {
        *(() if takes_body else ("413", "415")),
        *(() if is_guarded else ("401", "403")),
        *(() if is_limited else ("429",)),
        *(() if is_conditional else ("412",)),
    }
    return {
        status: {"$ref": f"#/components/responses/{name}"}
        for status, (name, _) in _STATUSES.items()
        if status not in left_out
    }

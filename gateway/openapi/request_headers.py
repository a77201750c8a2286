"""The header fields that change a call, as parameters that operations refer to.

`Accept`, `Content-Type` and `Authorization` are none (OpenAPI, "Parameter Object", `name`).
"""

from typing import Any, Final, NamedTuple

from gateway.openapi.comments import Json
from gateway.policy.options import MethodPolicy

_KEY: Final = "Idempotency-Key"
_NONE_MATCH: Final = "If-None-Match"
_MATCH: Final = "If-Match"
_FOR_ALL: Final = ("Grpc-Timeout", "X-Request-Id")
_STRING: Final[Json] = {"type": "string"}
_ALL: Final[dict[str, tuple[str, Json]]] = {
    "Grpc-Timeout": (
        "The time that the call may take: a number and H, M, S, m, u or n, such as `500m`.",
        {"type": "string", "pattern": "^[0-9]{1,8}[HMSmun]$"},
    ),
    "X-Request-Id": ("An id for the logs, which the response repeats.", _STRING),
    _KEY: ("A key with which the request may be repeated, and is done once.", _STRING),
    _NONE_MATCH: ("The entity tag of the representation that the client has.", _STRING),
    _MATCH: ("The entity tag that the resource must have; otherwise the answer is 412.", _STRING),
}
_TAG: Final[Json] = {
    "description": "The entity tag of this representation.",
    "schema": _STRING,
}
_ID: Final[Json] = {"description": "The id of the request in the logs.", "schema": _STRING}
_CHANGES: Final = frozenset({"POST", "PATCH"})
"""The HTTP methods that idempotency keys are for."""
_READS: Final = frozenset({"GET", "HEAD"})


class Etags(NamedTuple):
    """The fields of a method that are entity tags (AIP-154)."""

    of_request: bool = False
    of_reply: bool = False


class RequestHeaders:
    """The header fields of the operations of one document."""

    def __init__(self, *, lists_all: bool) -> None:
        """`lists_all` is true if operations have those that every call takes."""
        self._always = _FOR_ALL if lists_all else ()
        self._used: set[str] = set()

    @staticmethod
    def evaluates(http_method: str, policy: MethodPolicy, etags: Etags) -> bool:
        """True if `If-Match` has an effect, so that 412 is an answer."""
        if http_method in _READS:
            return _is_tagged(policy) or etags.of_reply
        return etags.of_request

    def add(self, operation: Json, http_method: str, policy: MethodPolicy, etags: Etags) -> None:
        """Adds to an operation the header fields that change it, and the answer 304."""
        names = list(self._always)
        parts: list[Json] = []
        rule = policy.idempotency
        if rule is not None and not rule.disabled and http_method in _CHANGES:
            if rule.needs_key:
                parts.append(_parameter(_KEY) | {"required": True})
            else:
                names.append(_KEY)
        responses: Any = operation["responses"]
        if (_is_tagged(policy) or etags.of_reply) and http_method in _READS:
            names.append(_NONE_MATCH)
            responses["304"] = {"description": "The client has this representation."}
            responses["200"].setdefault("headers", {})["ETag"] = _TAG
        elif etags.of_reply and http_method != "PUT":  # RFC 9110 section 9.3.4
            responses["200"].setdefault("headers", {})["ETag"] = _TAG
        if self.evaluates(http_method, policy, etags):
            names.append(_MATCH)
        if self._always:
            responses["200"].setdefault("headers", {})["X-Request-Id"] = _ID
        self._used.update(names)
        parts += [{"$ref": f"#/components/parameters/{name}"} for name in names]
        if parts:
            given: Any = operation.get("parameters", [])
            operation["parameters"] = [*given, *parts]

    def components(self) -> Json:
        """The parameters that operations refer to, by name."""
        return {name: _parameter(name) for name in _ALL if name in self._used}


def _is_tagged(policy: MethodPolicy) -> bool:
    """True if the gateway gives responses to GETs an entity tag."""
    return policy.cache is not None if policy.etag is None else policy.etag


def _parameter(name: str) -> Json:
    text, schema = _ALL[name]
    return {"name": name, "in": "header", "description": text, "schema": schema}

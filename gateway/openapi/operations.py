"""Long-running operations in the document: what they return in the end (AIP-151).

The proto states it in `google.longrunning.operation_info`; a client sees only a
`google.protobuf.Any`, so the types are in the extension `x-operation-response`.
"""

from typing import Any, Final

# `operations_pb2` has the same types, and loads grpcio, which takes 8 MB, with them.
from google.longrunning import operations_proto_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from gateway.openapi.schemas import Schemas, Use
from gateway.schema.catalog import Method
from gateway.schema.resources import begins_operation

_INFO: Final[Any] = operations_proto_pb2.operation_info
_LOCATION: Final = "The path that shows the operation."


def describe_operation(
    operation: dict[str, Any],
    method: Method,
    schemas: Schemas,
    *,
    accepted: bool,
    longest_wait_s: int,
) -> None:
    """Adds the types of a method's operations, and with `accepted` the answer 202.

    `longest_wait_s` is the longest time that a call may wait for its operation; 0 if none does.
    """
    if not begins_operation(method):
        return
    options: Any = MethodOptions.FromString(method.options[1])
    stated = options.Extensions[_INFO]
    names = (("response", stated.response_type), ("metadata", stated.metadata_type))
    found: dict[str, object] = {}
    for key, name in names:
        message = _find(method, name)
        if message is not None and schemas.visibility.shows_type(message):
            # An extension may hold a schema, but not be a reference.
            found[key] = {"allOf": [schemas.message(message, Use.REPLY)]}
    if found:
        operation["x-operation-response"] = found
    if longest_wait_s and not method.streams:
        _describe_wait(operation, longest_wait_s)
    if accepted:
        location = {"description": _LOCATION, "schema": {"type": "string"}}
        responses = operation["responses"]
        responses["202"] = responses["200"] | {
            "description": "The operation has begun.",
            "headers": {**responses["200"].get("headers", {}), "Operation-Location": location},
        }


def _describe_wait(operation: dict[str, Any], longest_s: int) -> None:
    """Adds the preference to wait for the operation (RFC 7240 section 4.3), and its answer."""
    prefer = {
        "name": "Prefer",
        "in": "header",
        "description": f"`wait=N` waits N seconds for the operation, {longest_s} at most.",
        "schema": {"type": "string"},
        "example": f"wait={longest_s}",
    }
    operation["parameters"] = [*operation.get("parameters", ()), prefer]
    applied = {"description": "The wait that was granted.", "schema": {"type": "string"}}
    response = operation["responses"]["200"]
    headers = {**response.get("headers", {}), "Preference-Applied": applied}
    operation["responses"]["200"] = response | {"headers": headers}


def _find(method: Method, name: str) -> Descriptor | None:
    """The type of this name: a full one, or one in the package of the method (AIP-151)."""
    pool: Any = method.output.file.pool
    package = method.service.rpartition(".")[0]
    for full_name in (f"{package}.{name}", name) if name else ():
        try:
            found: Descriptor = pool.FindMessageTypeByName(full_name)
        except KeyError:
            continue
        return found
    return None

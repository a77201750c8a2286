"""Requests as the access log notes them, on methods that have something to hide."""

from functools import cache
from typing import Any

from gateway.http.header_fields import HeaderFields
from gateway.schema.catalog import Schema, build_schema
from gateway.status import Code
from gateway.telemetry.masking import PathMasks
from gateway.telemetry.record import Record
from gateway.transcoding.binding import Binding, bind
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package logged.v1;
import "google/api/annotations.proto";

message Card { string number = 1 [debug_redact = true]; string holder = 2; Owner owner = 3; }
message Owner { string name = 1; string pin = 2 [debug_redact = true]; }

service Cards {
  rpc GetCard(Card) returns (Card) {
    option (google.api.http) = {
      get: "/v1/cards/{number}"
      additional_bindings { get: "/v1/holders/{holder}/cards/{number=cards/*}:read" }
      additional_bindings { get: "/v1/all/{number=**}" }
      additional_bindings { get: "/v1/deep/{number=**}/tail/{holder}" }
      additional_bindings { get: "/v1/shallow/{holder=**}/tail/{number}" }
      additional_bindings { get: "/v1/owners/{owner.pin}/{owner.name}" }
    };
  }
  rpc GetHolder(Card) returns (Card) { option (google.api.http) = {get: "/v1/holders/{holder}"}; }
  rpc Watch(Card) returns (stream Card) { option (google.api.http) = {get: "/v1/watch"}; }
}
"""


@cache
def schema() -> Schema:
    """The schema of `PROTO`."""
    return build_schema(descriptor_set(logged=PROTO))


@cache
def bindings() -> dict[str, Binding]:
    """Its bindings by template."""
    return {one.rule.template: one for one in bind(schema())[0]}


PLAIN: dict[str, Any] = {
    "at_s": 1.5,
    "request_id": "id",
    "method": "GET",
    "path": "/v1/holders/ada",
    "query": "",
    "masks": PathMasks(()),
    "binding": None,
    "status": 200,
    "code": Code.OK,
    "duration_s": 0.0012345,
    "request_bytes": 1,
    "response_bytes": 2,
    "peer": "10.0.0.1",
    "client": "192.0.2.1",
    "user_agent": "me",
    "traceparent": "",
    "principal": None,
    "headers": {},
}


def entry(**changes: Any) -> Record:
    """A request, as it is or with these changes."""
    values = PLAIN | changes
    fields = HeaderFields(values.pop("headers"), ())
    return Record(**values, host=fields.host, fields=fields)

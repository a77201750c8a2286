"""Measures the check of a request message against the rules of its type, without I/O."""

from collections.abc import Sequence
from functools import partial

from google.protobuf.message_factory import GetMessageClass

from benchmarks.pure import Row, measure_all
from gateway.config.validation import Validation
from gateway.interceptors.validate import Validate, validation_stages
from gateway.schema.catalog import build_schema
from tests.support.schema import descriptor_set
from tests.support.validated import RULES

_PROTO = """
syntax = "proto3";
package checked.v1;
import "buf/validate/validate.proto";
import "google/api/annotations.proto";
message Five {
  string id = 1 [(buf.validate.field).string = {pattern: "^[a-z0-9]+$"}];
  int32 pieces = 2 [(buf.validate.field).int32 = {gte: 0, lte: 100}];
  string buyer = 3 [(buf.validate.field).string = {min_len: 1, max_len: 40}];
  string city = 4;
}
message Expressed {
  option (buf.validate.message).cel = {id: "few" message: "few" expression: "this.pieces <= 100"};
  string id = 1;
  int32 pieces = 2;
  string buyer = 3;
  string city = 4;
}
service Orders {
  rpc Put(Five) returns (Five) { option (google.api.http) = {put: "/v1/five" body: "*"}; }
  rpc Say(Expressed) returns (Five) { option (google.api.http) = {put: "/v1/cel" body: "*"}; }
}
"""
_NAMES = {"Put": "five rules", "Say": "one rule in CEL"}


def run() -> list[Row]:
    """The cost of a check for each kind of rules, in microseconds of CPU."""
    files = descriptor_set(**{"orders": _PROTO, "buf/validate/validate": RULES})
    methods = list(build_schema(files).methods.values())
    stages = validation_stages(Validation.PROTOVALIDATE, methods, proto_names=False)
    works = []
    for method in methods:
        stage = stages[method]
        assert isinstance(stage, Validate)
        order = {"id": "a42", "pieces": 3, "buyer": "users/ada", "city": "London"}
        wire = GetMessageClass(method.input)(**order).SerializeToString()
        works.append(partial(stage.check, wire))
    costs: Sequence[float] = measure_all(works)
    return [
        ("valid message", f"check of {_NAMES[method.name]}", cost)
        for method, cost in zip(methods, costs, strict=True)
    ]

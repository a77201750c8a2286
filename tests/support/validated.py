"""An API whose requests have rules, and a gateway before a real server of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from aiohttp import ClientSession

from gateway.app.gateway import open_gateway
from gateway.config.model import Config
from services.serving import serve
from tests.support.schema import descriptor_set

RULES = """
syntax = "proto2";
package buf.validate;
import "google/protobuf/descriptor.proto";
message Rule {
  optional string id = 1;
  optional string message = 2;
  optional string expression = 3;
}
message MessageRules { repeated Rule cel = 3; }
message StringRules {
  optional string const = 1;
  optional uint64 min_len = 2;
  optional uint64 max_len = 3;
  optional uint64 max_bytes = 5;
  optional string pattern = 6;
  optional string prefix = 7;
  optional string suffix = 8;
  optional string contains = 9;
  repeated string in = 10;
  repeated string not_in = 11;
  oneof well_known { bool email = 12; bool ip = 14; bool uuid = 22; }
  optional uint64 len = 19;
  repeated string example = 92;
}
message Int32Rules {
  optional int32 lt = 2;
  optional int32 lte = 3;
  optional int32 gt = 4;
  optional int32 gte = 5;
  repeated int32 in = 6;
}
message Int64Rules { optional int64 lte = 3; repeated int64 example = 9; }
message DoubleRules {
  optional double lte = 3;
  repeated double in = 6;
  repeated double example = 9;
}
message BytesRules {
  optional uint64 min_len = 2;
  optional uint64 max_len = 3;
  repeated bytes example = 14;
}
message RepeatedRules {
  optional uint64 min_items = 1;
  optional uint64 max_items = 2;
  optional bool unique = 3;
  optional FieldRules items = 4;
}
message MapRules {
  optional uint64 min_pairs = 1;
  optional uint64 max_pairs = 2;
  optional FieldRules keys = 4;
  optional FieldRules values = 5;
}
enum Ignore {
  IGNORE_UNSPECIFIED = 0;
  IGNORE_IF_ZERO_VALUE = 1;
  IGNORE_ALWAYS = 3;
}
message FieldRules {
  repeated Rule cel = 23;
  optional bool required = 25;
  optional Ignore ignore = 27;
  oneof type {
    DoubleRules double = 2;
    Int32Rules int32 = 3;
    Int64Rules int64 = 4;
    StringRules string = 14;
    BytesRules bytes = 15;
    RepeatedRules repeated = 18;
    MapRules map = 19;
  }
}
message OneofRules { optional bool required = 1; }
extend google.protobuf.OneofOptions { optional OneofRules oneof = 1159; }
extend google.protobuf.MessageOptions { optional MessageRules message = 1159; }
extend google.protobuf.FieldOptions { optional FieldRules field = 1159; }
"""
"""The part of protovalidate's file that the tests use: names and numbers are the same."""

PROTO = """
syntax = "proto3";
package checked.v1;
import "buf/validate/validate.proto";
import "google/api/annotations.proto";
import "google/api/field_behavior.proto";
import "google/protobuf/field_mask.proto";
message Line {
  string sku_code = 1 [(buf.validate.field).string = {min_len: 3}];
  int32 count = 2 [(google.api.field_behavior) = REQUIRED];
}
message Order {
  option (buf.validate.message).cel = {
    id: "order.small" message: "an order has at most 100 pieces in all"
    expression: "this.pieces <= 100"
  };
  string order_id = 1 [(buf.validate.field).string = {pattern: "^[a-z0-9]*$"}];
  int32 pieces = 2 [(buf.validate.field).int32 = {gte: 0}];
  repeated Line all_lines = 3;
  map<string, Line> by_shop = 4;
  string buyer = 5 [(google.api.field_behavior) = REQUIRED];
}
message UpdateRequest { Order order = 1; google.protobuf.FieldMask update_mask = 2; }
service Orders {
  rpc Put(Order) returns (Order) {
    option (google.api.http) = {
      put: "/v1/orders/{order_id}" body: "*"
      additional_bindings {get: "/v1/orders/{order_id}"}
    };
  }
  rpc Update(UpdateRequest) returns (Order) {
    option (google.api.http) = {patch: "/v1/orders" body: "order"};
  }
  rpc Load(stream Order) returns (Order) {
    option (google.api.http) = {post: "/v1/orders:load" body: "*"};
  }
}
"""


class Orders(grpc.GenericRpcHandler):
    """Answers everything with an empty message, and counts the messages that arrive."""

    def __init__(self) -> None:
        self.received = 0

    def service(self, call: Any) -> Any:
        """The handler of any method."""

        async def answer(requests: Any, context: Any) -> bytes:
            async for _ in requests:
                self.received += 1
            return b""

        # On the wire, one message is a stream of one.
        return grpc.stream_unary_rpc_method_handler(answer)


@asynccontextmanager
async def open_orders(
    place: Path, proto: str = PROTO, **settings: Any
) -> AsyncIterator[tuple[ClientSession, Orders]]:
    """A client of a gateway with these settings, and the servicer behind it."""
    descriptors = place / "orders.binpb"
    files = descriptor_set(**{"orders": proto, "buf/validate/validate": RULES})
    descriptors.write_bytes(files.SerializeToString())
    orders = Orders()

    def register(server: grpc.aio.Server) -> str:
        server.add_generic_rpc_handlers([orders])
        return "checked.v1.Orders"

    async with serve(register, reflect=False) as address:
        config = Config.model_validate(
            {
                "listen": "127.0.0.1:0",
                "descriptors": [descriptors],
                "upstreams": {"orders": {"target": address}},
                "log": {"access": "off", "audit": "off"},
            }
            | settings
        )
        async with open_gateway(config) as gateway, ClientSession(gateway.url) as client:
            yield client, orders

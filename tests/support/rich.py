"""Message types that have everything ProtoJSON speaks of: proto3, proto2 and an edition."""

from functools import cache

from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pool import DescriptorPool

from gateway.config.json import JsonOptions
from gateway.transcoding.json.codec import Codec
from tests.support.schema import descriptor_pool, descriptor_set

PROTO3 = """
syntax = "proto3";
package rich;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

enum Color { NONE = 0; RED = 1; CRIMSON = 1; BLUE = 2; option allow_alias = true; }

message Author { string name = 1; int32 birth_year = 2; Author mentor = 3; }

message Book {
  int32 i32 = 1; int64 i64 = 2; uint32 u32 = 3; uint64 u64 = 4; sint32 s32 = 5; sint64 s64 = 6;
  fixed32 f32 = 7; fixed64 f64 = 8; sfixed32 sf32 = 9; sfixed64 sf64 = 10;
  double ratio = 11; float weight = 12; bool on = 13; string title = 14; bytes data = 15;
  Color color = 16;
  Author author = 17; repeated Author co_authors = 18;
  repeated int32 pages = 19; repeated int64 wide_pages = 20; repeated string tags = 21;
  repeated Color colors = 22; repeated float weights = 23; repeated bytes blobs = 24;
  map<string, string> labels = 25; map<int32, Author> by_year = 26; map<bool, Color> by_flag = 27;
  map<string, int64> counts = 28; map<string, float> shares = 29; map<uint64, string> by_id = 30;
  oneof source { string url = 31; int32 shelf = 32; Author donor = 33;
                 google.protobuf.NullValue nothing = 34; }
  oneof cover { string photo = 35; Color paint = 36; }
  optional int32 edition = 37; optional string subtitle = 38;
  google.protobuf.Timestamp printed = 39; google.protobuf.Duration loan = 40;
  google.protobuf.FieldMask mask = 41; google.protobuf.Struct extra = 42;
  google.protobuf.Value value = 43; google.protobuf.ListValue list = 44;
  google.protobuf.NullValue null = 45; google.protobuf.Any any = 46;
  google.protobuf.Empty empty = 47;
  google.protobuf.Int32Value w_int = 48; google.protobuf.Int64Value w_wide = 49;
  google.protobuf.StringValue w_string = 50; google.protobuf.BytesValue w_bytes = 51;
  google.protobuf.BoolValue w_bool = 52; google.protobuf.DoubleValue w_double = 53;
  google.protobuf.FloatValue w_float = 54; google.protobuf.UInt64Value w_unsigned = 55;
  repeated google.protobuf.Value values = 56; repeated google.protobuf.FieldMask masks = 57;
  map<string, google.protobuf.FieldMask> masks_by = 58;
  string renamed = 59 [json_name = "pg"];
  repeated google.protobuf.Timestamp reprints = 60;
  map<string, google.protobuf.Duration> loans = 61;
  repeated google.protobuf.FloatValue w_floats = 62; map<string, Book> parts = 63;
}

message Plain { string name = 1; int32 count = 2; repeated string tags = 3; }
message Shelf { repeated Book books = 1; }
message Holder { google.protobuf.FloatValue only = 1; }
"""

PROTO2 = """
syntax = "proto2";
package old;

enum Mode { OFF = 0; SLOW = 1; FAST = 2; }

message Job {
  required int32 id = 1;
  optional string name = 2 [default = "none"];
  optional Mode mode = 3 [default = SLOW];
  repeated Mode modes = 4;
  optional group Detail = 5 { optional int32 depth = 1; }
  repeated group Step = 6 { optional string text = 1; }
  optional int64 limit = 7 [default = 7];
  optional bytes key = 8 [default = "ab"];
  optional double rate = 9 [default = inf];
  optional bool active = 10 [default = true];
  map<string, Mode> by_name = 11;
  extensions 100 to 200;
}

extend Job { optional int32 priority = 100; repeated int64 sizes = 101; optional Job parent = 102; }
message Scope { extend Job { optional string note = 110; } }
"""

OTHER = """
syntax = "proto2";
package other;
message Task { extensions 1 to 9; }
extend Task { optional int32 extra = 1; }
"""

EDITION = """
edition = "2023";
package modern;
option features.field_presence = IMPLICIT;

enum Open { OPEN_ZERO = 0; OPEN_ONE = 1; }
enum Closed { option features.enum_type = CLOSED; CLOSED_ONE = 1; CLOSED_TWO = 2; }

message Node {
  int32 implicit = 1;
  int32 explicit = 2 [features.field_presence = EXPLICIT];
  Node child = 3 [features.message_encoding = DELIMITED];
  repeated Node children = 4 [features.message_encoding = DELIMITED];
  Open open = 5;
  Closed closed = 6 [features.field_presence = EXPLICIT];
  int32 must = 7 [features.field_presence = LEGACY_REQUIRED];
  repeated int32 spread = 8 [features.repeated_field_encoding = EXPANDED];
}
"""


@cache
def pool() -> DescriptorPool:
    """A pool with all files."""
    return descriptor_pool(descriptor_set(rich=PROTO3, old=PROTO2, modern=EDITION, other=OTHER))


def message(name: str) -> Descriptor:
    """The message type of that full name."""
    return pool().FindMessageTypeByName(name)


@cache
def codec(options: JsonOptions | None = None, json_depth: int = 100) -> Codec:
    """A codec for them; the same one for the same options."""
    return Codec(pool(), options or JsonOptions(emit_unset=False), json_depth=json_depth)


def read(body: str | bytes, name: str = "rich.Book") -> bytes:
    """The wire bytes of a JSON body."""
    return codec().reader(message(name))(body if isinstance(body, bytes) else body.encode())


def write(wire: bytes, name: str = "rich.Book") -> str:
    """The JSON of a message, without what is unset."""
    return codec().writer(message(name))(wire).decode()

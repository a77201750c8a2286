"""The parts of other generators' options that tests use, with their names and numbers."""

_VALUE = 'import "google/protobuf/struct.proto";\n'
_DESCRIPTOR = 'import "google/protobuf/descriptor.proto";\n'

OPENAPIV2 = f"""
syntax = "proto3";
package grpc.gateway.protoc_gen_openapiv2.options;
{_VALUE}{_DESCRIPTOR}
extend google.protobuf.FileOptions {{ Swagger openapiv2_swagger = 1042; }}
extend google.protobuf.MethodOptions {{ Operation openapiv2_operation = 1042; }}
extend google.protobuf.MessageOptions {{ Schema openapiv2_schema = 1042; }}
extend google.protobuf.EnumOptions {{ EnumSchema openapiv2_enum = 1042; }}
extend google.protobuf.ServiceOptions {{ Tag openapiv2_tag = 1042; }}
extend google.protobuf.FieldOptions {{ JSONSchema openapiv2_field = 1042; }}
message Swagger {{
  Info info = 2;
  string host = 3;
  repeated Tag tags = 13;
  Docs external_docs = 14;
  map<string, google.protobuf.Value> extensions = 15;
}}
message Operation {{
  repeated string tags = 1;
  string summary = 2;
  string description = 3;
  Docs external_docs = 4;
  string operation_id = 5;
  repeated string consumes = 6;
  map<string, Response> responses = 9;
  bool deprecated = 11;
  repeated Security security = 12;
  map<string, google.protobuf.Value> extensions = 13;
  Parameters parameters = 14;
}}
message Security {{ map<string, string> security_requirement = 1; }}
message Parameters {{ repeated HeaderParameter headers = 1; }}
message HeaderParameter {{
  enum Type {{ UNKNOWN = 0; STRING = 1; NUMBER = 2; INTEGER = 3; BOOLEAN = 4; }}
  string name = 1;
  string description = 2;
  Type type = 3;
  bool required = 5;
}}
message Header {{ string description = 1; string type = 2; string format = 3; }}
message Response {{
  string description = 1;
  Schema schema = 2;
  map<string, Header> headers = 3;
  map<string, string> examples = 4;
}}
message Info {{ string title = 1; string description = 2; string version = 6; }}
message Docs {{ string description = 1; string url = 2; }}
message Schema {{
  JSONSchema json_schema = 1;
  bool read_only = 3;
  Docs external_docs = 5;
  string example = 6;
}}
message EnumSchema {{ string description = 1; string title = 3; }}
message JSONSchema {{
  enum Type {{ UNKNOWN = 0; STRING = 7; }}
  string title = 5;
  string description = 6;
  bool read_only = 8;
  string example = 9;
  double maximum = 11;
  bool exclusive_maximum = 12;
  uint64 max_length = 15;
  string pattern = 17;
  uint64 min_items = 21;
  repeated string required = 26;
  repeated Type type = 35;
  string format = 36;
  map<string, google.protobuf.Value> extensions = 48;
}}
message Tag {{ string name = 1; string description = 2; }}
"""
"""Of grpc-gateway's protoc-gen-openapiv2."""

GNOSTIC = f"""
syntax = "proto3";
package openapi.v3;
{_DESCRIPTOR}
import "google/protobuf/any.proto";
extend google.protobuf.FileOptions {{ Document document = 1143; }}
extend google.protobuf.MethodOptions {{ Operation operation = 1143; }}
extend google.protobuf.MessageOptions {{ Schema schema = 1143; }}
extend google.protobuf.FieldOptions {{ Schema property = 1143; }}
message Document {{ Info info = 2; repeated Server servers = 3; }}
message Info {{ string title = 1; repeated NamedAny specification_extension = 7; }}
message Server {{ string url = 1; }}
message Any {{ google.protobuf.Any value = 1; string yaml = 2; }}
message NamedAny {{ string name = 1; Any value = 2; }}
message Operation {{
  string summary = 2;
  repeated ParameterOrReference parameters = 6;
  Responses responses = 8;
  repeated NamedAny specification_extension = 13;
}}
message ParameterOrReference {{ oneof oneof {{ Parameter parameter = 1; }} }}
message Parameter {{
  string name = 1;
  string in = 2;
  string description = 3;
  SchemaOrReference schema = 10;
}}
message SchemaOrReference {{ oneof oneof {{ Schema schema = 1; }} }}
message Responses {{
  ResponseOrReference default = 1;
  repeated NamedResponseOrReference response_or_reference = 2;
}}
message NamedResponseOrReference {{ string name = 1; ResponseOrReference value = 2; }}
message ResponseOrReference {{ oneof oneof {{ Response response = 1; }} }}
message Response {{ string description = 1; }}
message Schema {{
  Any example = 7;
  string title = 9;
  double minimum = 13;
  bool exclusive_minimum = 14;
  repeated string required = 23;
  string type = 25;
  string description = 34;
  string format = 35;
  repeated NamedAny specification_extension = 36;
}}
"""
"""Of gnostic's openapiv3."""

"""The document says what the gateway serves: paths, parameters, bodies, answers, callers."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, OpenAPIV32SpecValidator

from gateway.config.model import Config
from gateway.exchange.dialects.websocket.handshake import JSON_PROTOCOL, PROTOBUF_PROTOCOL
from gateway.openapi.document import build_document
from gateway.openapi.text import to_json
from gateway.policy.effective import effective_policies
from gateway.schema.catalog import build_schema
from gateway.transcoding.transcoder import build_transcoder
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package shop.v1;
import "google/api/annotations.proto";
import "google/api/field_behavior.proto";
import "google/api/httpbody.proto";
import "google/api/resource.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";

// Sells things.
service Shop {
  // Gets a thing.
  //
  // Even a sold one. (-- for us --)
  rpc GetThing(GetThingRequest) returns (Thing) {
    option deprecated = true;
    option (google.api.http) = {
      get: "/v1/{name=boxes/*/things/*}"
      additional_bindings {get: "/v1/things/{name}"}
    };
  }
  rpc PutThing(PutThingRequest) returns (Thing) {
    option (google.api.http) = {patch: "/v1/{thing.name=boxes/*/things/*}" body: "thing"};
  }
  rpc SellThing(SellThingRequest) returns (google.protobuf.Empty) {
    option (google.api.http) = {post: "/v1/{name=boxes/*/things/*}:sell" body: "*"};
  }
  rpc ListThings(ListThingsRequest) returns (ListThingsResponse) {
    option (google.api.http) = {get: "/v1/things" response_body: "things"};
  }
  rpc WatchThings(ListThingsRequest) returns (stream Thing) {
    option (google.api.http) = {get: "/v1/things:watch"};
  }
  rpc LoadThings(stream Thing) returns (google.protobuf.Empty) {
    option (google.api.http) = {post: "/v1/things:load" body: "*"};
  }
  rpc GetFile(File) returns (google.api.HttpBody) {
    option (google.api.http) = {get: "/v1/files/{path=**}"};
  }
  rpc PutFile(File) returns (google.protobuf.Empty) {
    option (google.api.http) = {put: "/v1/files/{path=**}" body: "body"};
  }
  rpc AnyThing(SellThingRequest) returns (google.protobuf.Empty) {
    option (google.api.http) = {custom {kind: "*" path: "/v1/any"}};
  }
  rpc Head(google.protobuf.Empty) returns (google.protobuf.Empty) {
    option (google.api.http) = {custom {kind: "HEAD" path: "/v1/head"}};
  }
  rpc Purge(google.protobuf.Empty) returns (google.protobuf.Empty) {
    option (google.api.http) = {custom {kind: "PURGE" path: "/v1/head"}};
  }
}

// A thing, see [Color][shop.v1.Color].
message Thing {
  option (google.api.resource) = {type: "x/Thing" pattern: "boxes/{container}/things/{thing}"};
  string name = 1;
  // Its title.
  string title = 2 [(google.api.field_behavior) = REQUIRED];
  google.protobuf.Timestamp made = 3 [(google.api.field_behavior) = OUTPUT_ONLY];
  string secret = 4 [(google.api.field_behavior) = INPUT_ONLY, deprecated = true];
  Color color = 5;
  int64 size = 6;
  map<int32, Thing> parts = 7;
  oneof price { int32 cents = 8; string words = 9; }
  optional string note = 10;
  google.protobuf.Struct more = 11;
  bytes data = 12;
}

// A color.
enum Color {
  COLOR_UNSPECIFIED = 0;
  // Like fire.
  RED = 1;
}

message GetThingRequest { string name = 1; }
message PutThingRequest { Thing thing = 1; google.protobuf.FieldMask update_mask = 2; }
message SellThingRequest { string name = 1; int32 cents = 2; }
message Filter { repeated Color colors = 1; Filter inner = 2; map<string, string> labels = 3; }
message ListThingsRequest {
  string word = 1 [(google.api.field_behavior) = REQUIRED];
  Filter filter = 2;
  repeated int64 sizes = 3;
}
message ListThingsResponse { repeated Thing things = 1; }
message File { string path = 1; google.api.HttpBody body = 2; }
"""


def document(proto: str = PROTO, **settings: Any) -> dict[str, Any]:
    """The document of a proto, as a client reads it."""
    config = Config.model_validate(settings)
    schema = build_schema(descriptor_set(shop=proto), comments=True)
    bindings = build_transcoder(config, schema).bindings
    policies = effective_policies(schema, config.policies)
    found: dict[str, Any] = json.loads(to_json(build_document(config, schema, bindings, policies)))
    return found


DOCUMENT = document()
SCHEMAS = DOCUMENT["components"]["schemas"]


def operation(path: str, method: str, of: Mapping[str, Any] = DOCUMENT) -> dict[str, Any]:
    """One operation of a document."""
    found: dict[str, Any] = of["paths"][path][method]
    return found


def parameters(path: str, method: str = "get", of: Mapping[str, Any] = DOCUMENT) -> dict[str, Any]:
    """The parameters of an operation by name."""
    return {one["name"]: one for one in operation(path, method, of)["parameters"]}


@pytest.mark.parametrize("errors", ["aip193", "status", "problem"])
@pytest.mark.parametrize("json_", [{}, {"enums_as_numbers": True, "proto_names": True}])
def test_the_document_is_valid(errors: str, json_: dict[str, bool]) -> None:
    found = document(errors=errors, json=json_, query={"maps": True})
    assert list(OpenAPIV31SpecValidator(found).iter_errors()) == []


def test_the_document_is_the_same_each_time() -> None:
    assert to_json(document()) == to_json(DOCUMENT)


def test_a_variable_with_a_pattern_is_one_parameter_for_each_segment() -> None:
    names = parameters("/v1/boxes/{container}/things/{thing}")
    assert list(names) == ["container", "thing"]
    assert all(one["in"] == "path" and one["required"] for one in names.values())
    assert names["thing"]["description"] == "A part of `name=boxes/*/things/*`."


def test_a_variable_of_any_length_is_marked() -> None:
    assert parameters("/v1/files/{path}")["path"]["x-wildcard"] is True


def test_a_verb_is_text() -> None:
    assert "/v1/boxes/{container}/things/{thing}:sell" in DOCUMENT["paths"]


def test_each_binding_has_an_id_of_its_own() -> None:
    ids = [
        one["operationId"]
        for item in DOCUMENT["paths"].values()
        for one in [*item.values(), *item.get("x-operations", {}).values()]
        if "operationId" in one
    ]
    assert {"Shop_GetThing", "Shop_GetThing_2"} <= set(ids)
    assert len(set(ids)) == len(ids)


def test_services_of_one_name_have_their_packages_in_ids() -> None:
    proto = """
        syntax = "proto3"; package PACKAGE; import "google/api/annotations.proto";
        message M {} service S { rpc Get(M) returns (M) {
          option (google.api.http) = {get: "/PACKAGE"}; } }
    """
    config = Config()
    files = {name: proto.replace("PACKAGE", name) for name in ("a", "b")}
    schema = build_schema(descriptor_set(**files))
    bindings = build_transcoder(config, schema).bindings
    found: Any = build_document(config, schema, bindings, effective_policies(schema, ()))
    ids = [item["get"]["operationId"] for item in found["paths"].values()]
    assert ids == ["a_S_Get", "b_S_Get"]


def test_comments_become_texts() -> None:
    found = operation("/v1/things/{name}", "get")
    assert (found["summary"], found["description"]) == ("Gets a thing.", "Even a sold one.")
    assert found["deprecated"] is True
    assert DOCUMENT["tags"] == [{"name": "shop.v1.Shop", "description": "Sells things."}]
    assert SCHEMAS["shop.v1.Thing"]["description"].startswith("A thing, see Color.")
    assert SCHEMAS["shop.v1.Color"]["description"].startswith("A color.\n\n- `RED`: Like fire.")


def test_query_parameters_are_field_paths() -> None:
    found = parameters("/v1/things")
    assert list(found) == ["word", "filter.colors", "sizes"]
    assert found["word"]["required"] is True
    assert found["sizes"]["schema"]["items"]["format"] == "int64"
    assert found["filter.colors"]["explode"] is True


def test_maps_are_query_parameters_if_the_settings_allow_them() -> None:
    found = parameters("/v1/things", of=document(query={"maps": True}))
    assert found["filter.labels"]["style"] == "deepObject"


def test_the_body_field_is_no_query_parameter() -> None:
    found = parameters("/v1/boxes/{container}/things/{thing}", "patch")
    assert list(found) == ["container", "thing", "updateMask"]


def test_a_patch_needs_no_field_and_has_none_that_the_path_sets() -> None:
    found = operation("/v1/boxes/{container}/things/{thing}", "patch")
    reference = found["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    body = SCHEMAS[reference.rpartition("/")[2]]
    assert "required" not in body
    assert "name" not in body["properties"]


def test_a_whole_body_leaves_out_what_the_path_sets() -> None:
    body = SCHEMAS["shop.v1.SellThingRequestBody"]
    assert list(body["properties"]) == ["cents"]
    assert body["additionalProperties"] is False


def test_a_reply_always_has_the_fields_without_presence() -> None:
    assert SCHEMAS["shop.v1.Thing"]["required"] == [
        *("name", "title", "secret", "color", "size", "parts", "data")
    ]
    assert "additionalProperties" not in SCHEMAS["shop.v1.Thing"]
    without = document(json={"emit_unset": False})["components"]["schemas"]["shop.v1.Thing"]
    assert "required" not in without


def test_a_request_needs_its_required_fields() -> None:
    assert SCHEMAS["shop.v1.ThingInput"]["required"] == ["title"]


def test_types_are_those_of_json() -> None:
    properties = SCHEMAS["shop.v1.Thing"]["properties"]
    assert properties["made"] == {"type": "string", "format": "date-time", "readOnly": True}
    assert properties["secret"] == {"type": "string", "writeOnly": True, "deprecated": True}
    assert properties["size"]["type"] == "string"
    assert properties["more"] == {"type": "object", "additionalProperties": True}
    assert properties["data"]["contentEncoding"] == "base64"
    assert properties["parts"] == {
        "type": "object",
        "additionalProperties": {"$ref": "#/components/schemas/shop.v1.Thing"},
        "propertyNames": {"pattern": "^-?(0|[1-9][0-9]{0,9})$"},
    }
    assert "At most one of `cents`, `words` is set." in SCHEMAS["shop.v1.Thing"]["description"]
    assert "note" not in SCHEMAS["shop.v1.Thing"]["description"]


def test_enums_are_names_or_numbers_as_the_settings_say() -> None:
    assert SCHEMAS["shop.v1.Color"]["enum"] == ["COLOR_UNSPECIFIED", "RED"]
    numbers = document(json={"enums_as_numbers": True})["components"]["schemas"]["shop.v1.Color"]
    assert (numbers["type"], numbers["enum"]) == ("integer", [0, 1])


def test_enums_have_one_name_for_a_number_and_say_which_are_deprecated() -> None:
    proto = """
        syntax = "proto3"; package p; import "google/api/annotations.proto";
        enum E {
          option allow_alias = true;
          NONE = 0;
          // Like fire.
          RED = 1 [deprecated = true];
          CRIMSON = 1;
          BLUE = 2;
        }
        message M { E e = 1; }
        service S { rpc Get(M) returns (M) { option (google.api.http) = {get: "/v1"}; } }
    """
    found = document(proto)["components"]["schemas"]["p.E"]
    assert found["enum"] == ["NONE", "RED", "BLUE"]
    assert found["x-enum-descriptions"] == ["", "Like fire. Deprecated.", ""]
    assert found["description"] == (
        "- `RED`: Like fire. Deprecated.\n\nA reply may have a number that has no name here."
    )
    numbers = document(proto, json={"enums_as_numbers": True})["components"]["schemas"]["p.E"]
    assert numbers["enum"] == [0, 1, 2]
    assert numbers["x-enum-varnames"] == ["NONE", "RED", "BLUE"]


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ("string a = 1; M m = 2;", ["a"]),  # recursion
        ("string a = 1; A b = 2;", ["a"]),  # too deep
        ("string a = 1; repeated M m = 2;", None),  # which a query cannot set
    ],
)
def test_an_operation_says_that_its_query_can_set_more(
    fields: str, names: list[str] | None
) -> None:
    proto = """
        syntax = "proto3"; package p; import "google/api/annotations.proto";
        message A { B b = 1; } message B { C c = 1; } message C { D d = 1; } message D { E e = 1; }
        message E { string f = 1; }
        message M { FIELDS }
        service S { rpc Get(M) returns (M) { option (google.api.http) = {get: "/v1"}; } }
    """
    found = document(proto.replace("FIELDS", fields))["paths"]["/v1"]["get"]
    assert [one["name"] for one in found["parameters"]] == (names or ["a"])
    assert ("can set more fields" in found.get("description", "")) == (names is not None)


def test_names_are_those_of_the_proto_if_the_settings_say_so() -> None:
    found = document(json={"proto_names": True})
    assert "update_mask" in parameters("/v1/boxes/{container}/things/{thing}", "patch", found)


def test_a_response_body_is_that_field() -> None:
    content = operation("/v1/things", "get")["responses"]["200"]["content"]
    assert content == {
        "application/json": {
            "schema": {"type": "array", "items": {"$ref": "#/components/schemas/shop.v1.Thing"}}
        }
    }


def test_a_stream_has_each_of_its_formats() -> None:
    content = operation("/v1/things:watch", "get")["responses"]["200"]["content"]
    assert list(content) == [
        "application/x-ndjson",
        "application/json",
        "text/event-stream",
        "application/jsonl",
        "application/x-protobuf",
    ]
    item = content["application/x-ndjson"]["schema"]
    assert {"$ref": "#/components/schemas/StreamError"} in item["anyOf"]
    assert content["application/json"]["schema"] == {"type": "array", "items": item}


def test_a_method_that_streams_says_how_it_is_a_websocket() -> None:
    watch = operation("/v1/things:watch", "get")
    assert watch["x-websocket"] is True
    assert f"`{JSON_PROTOCOL}`" in watch["description"]
    assert f"`{PROTOBUF_PROTOCOL}`" in watch["description"]
    without = operation("/v1/things:watch", "get", document(websocket={"enabled": False}))
    assert "x-websocket" not in without
    assert "WebSocket" not in without.get("description", "")


def test_a_stream_of_requests_has_lines_or_an_array() -> None:
    content = operation("/v1/things:load", "post")["requestBody"]["content"]
    assert content["application/json"]["schema"]["type"] == "array"
    assert "application/x-ndjson" in content


NEWER = document(openapi={"version": "3.2"})


def test_version_3_2_has_words_for_streams() -> None:
    OpenAPIV32SpecValidator(NEWER).validate()
    assert NEWER["openapi"] == "3.2.0"
    content = operation("/v1/things:watch", "get", NEWER)["responses"]["200"]["content"]
    assert content["application/x-ndjson"].keys() == {"itemSchema"}
    item = content["application/x-ndjson"]["itemSchema"]
    event = content["text/event-stream"]["itemSchema"]["properties"]["data"]
    assert event["contentSchema"] == item
    assert content["application/json"]["schema"] == {"type": "array", "items": item}
    lines = operation("/v1/things:load", "post", NEWER)["requestBody"]["content"]
    assert lines["application/x-ndjson"].keys() == {"itemSchema"}


def test_version_3_2_has_a_place_for_any_http_method() -> None:
    assert list(NEWER["paths"]["/v1/head"]["additionalOperations"]) == ["PURGE"]
    assert "x-" not in " ".join(NEWER["paths"]["/v1/head"])


def test_raw_bytes_have_any_media_type() -> None:
    assert operation("/v1/files/{path}", "get")["responses"]["200"]["content"] == {"*/*": {}}
    assert list(operation("/v1/files/{path}", "put")["requestBody"]["content"]) == [
        "*/*",
        "multipart/form-data",
    ]


def test_a_form_has_the_file_and_the_fields_that_its_parts_set() -> None:
    proto = """
        syntax = "proto3"; package p; import "google/api/annotations.proto";
        import "google/api/field_behavior.proto"; import "google/api/httpbody.proto";
        message M {
          string id = 1;
          google.api.HttpBody file = 2;
          repeated int32 page_numbers = 3 [(google.api.field_behavior) = REQUIRED];
          string title = 4;
        }
        message E {}
        service S {
          rpc Put(stream M) returns (E) { option (google.api.http) = {put: "/v1/{id}" body: "*"}; }
        }
    """
    found = document(proto)
    assert list(OpenAPIV31SpecValidator(found).iter_errors()) == []
    content = found["paths"]["/v1/{id}"]["put"]["requestBody"]["content"]
    form = content["multipart/form-data"]["schema"]
    assert list(form["properties"]) == ["file", "pageNumbers", "title"]
    assert form["required"] == ["pageNumbers"]
    assert form["additionalProperties"] is False
    open_ = document(proto, query={"unknown": "ignore"})["paths"]["/v1/{id}"]["put"]["requestBody"]
    assert "additionalProperties" not in open_["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["pageNumbers"]["items"] == {"type": "integer", "format": "int32"}


def test_a_binding_of_any_method_is_listed_for_the_usual_ones() -> None:
    usual = {"head", "get", "put", "post", "delete", "options", "patch", "trace"}
    assert DOCUMENT["paths"]["/v1/any"].keys() == usual
    assert "content" not in operation("/v1/any", "head")["responses"]["200"]
    assert operation("/v1/any", "get")["operationId"] == "Shop_AnyThing"


def test_a_binding_of_any_method_leaves_head_to_that_of_get() -> None:
    proto = """
        syntax = "proto3"; package p; import "google/api/annotations.proto";
        message M { string a = 1; }
        service S {
          rpc Get(M) returns (M) { option (google.api.http) = {get: "/v1"}; }
          rpc Any(M) returns (M) { option (google.api.http) = {custom {kind: "*" path: "/v1"}}; }
        }
    """
    item = document(proto)["paths"]["/v1"]
    assert item.keys() == {"get", "put", "post", "delete", "options", "patch", "trace"}
    assert item["get"]["operationId"] == "S_Get"


def test_head_has_no_body_and_other_methods_stand_apart() -> None:
    item = DOCUMENT["paths"]["/v1/head"]
    assert "content" not in item["head"]["responses"]["200"]
    assert list(item["x-operations"]) == ["PURGE"]


def test_two_templates_that_openapi_cannot_tell_apart_are_one_operation() -> None:
    proto = """
        syntax = "proto3"; package p; import "google/api/annotations.proto";
        message M { string a = 1; string b = 2; }
        service S {
          rpc One(M) returns (M) { option (google.api.http) = {get: "/v1/{a}"}; }
          rpc Many(M) returns (M) { option (google.api.http) = {get: "/v1/{b=**}"}; }
          rpc Put(M) returns (M) { option (google.api.http) = {put: "/v1/{b}" body: "*"}; }
        }
    """
    found = document(proto)
    item = found["paths"]["/v1/{a}"]
    assert item["get"]["x-alternatives"] == [{"path": "/v1/{b=**}", "method": "p.S.Many"}]
    assert [one["name"] for one in item["put"]["parameters"]] == ["a"]
    assert list(OpenAPIV31SpecValidator(found).iter_errors()) == []


def test_without_credentials_there_is_no_security() -> None:
    assert DOCUMENT["security"] == []
    assert "securitySchemes" not in DOCUMENT["components"]
    assert "401" not in operation("/v1/things", "get")["responses"]


SECURE: dict[str, Any] = {
    "auth": {"store": "memory:", "tokens": {"auth_upstream": "auth"}, "order": ["token", "key"]},
    "policies": [
        {"selector": "shop.v1.Shop.GetThing", "anonymous": True},
        {"selector": "shop.v1.Shop.PutThing", "scopes": {"all": ["a"], "any": ["b", "c"]}},
        {
            "selector": "shop.v1.Shop.SellThing",
            "rate_limits": [{"limit": 3, "window_s": 60}],
            "cost": 2,
            "timeout_s": 2,
        },
    ],
}


def test_credentials_become_security_schemes() -> None:
    # Of a scope that no policy names, nothing is said.
    scopes = {"b": "Write things.", "z": "Not used."}
    found = document(**SECURE, openapi={"scopes": scopes})
    schemes = found["components"]["securitySchemes"]
    assert schemes["key"] == {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    flow = schemes["token"]["flows"]["clientCredentials"]
    assert (flow["tokenUrl"], list(flow["scopes"])) == ("/oauth2/token", ["a", "b", "c"])
    assert flow["scopes"]["b"] == "Write things."
    assert list(OpenAPIV31SpecValidator(found).iter_errors()) == []


def test_policies_become_requirements() -> None:
    found = document(**SECURE)
    path = "/v1/boxes/{container}/things/{thing}"
    assert operation(path, "get", found)["security"] == [{}, {"token": []}, {"key": []}]
    patch = operation(path, "patch", found)
    assert {"token": ["a", "b"]} in patch["security"]
    assert {"key": ["a", "c"]} in patch["security"]
    assert {} not in patch["security"]
    assert {"401", "403"} <= patch["responses"].keys()
    assert "429" not in patch["responses"]


def test_limits_are_stated() -> None:
    found = operation("/v1/boxes/{container}/things/{thing}:sell", "post", document(**SECURE))
    assert found["x-ratelimit"] == [{"limit": 3, "window_s": 60}]
    assert (found["x-cost"], found["x-timeout-s"]) == (2, 2)
    assert "429" in found["responses"]


def test_nothing_of_back_ends_and_of_logs_is_told() -> None:
    upstreams = {"backstage": {"target": "10.1.2.3:50051"}}
    policies = [{"selector": "shop.v1.Shop.GetThing", "redact": ["name"]}]
    text = to_json(document(upstreams=upstreams, policies=policies))
    assert not [word for word in ("backstage", "10.1.2.3", "redact") if word in text]


def test_failures_have_the_form_of_the_settings() -> None:
    assert SCHEMAS["Failure"]["required"] == ["error"]
    problem = document(errors="problem")
    content = problem["components"]["responses"]["NotFound"]["content"]
    assert list(content) == ["application/problem+json"]
    assert problem["components"]["schemas"]["StreamError"]["required"] == ["error"]


def test_the_settings_name_the_api() -> None:
    found = document(openapi={"title": "T", "api_version": "7", "description": "D", "servers": []})
    assert found["info"] == {"title": "T", "version": "7", "description": "D"}
    assert DOCUMENT["info"] == {"title": "shop.v1", "version": "v1"}


def test_the_settings_state_whom_to_ask_and_on_which_terms() -> None:
    stated = {
        "contact": {"name": "Shop", "email": "shop@example.com"},
        "license": {"name": "Apache 2.0", "url": "https://example.com/license"},
        "terms": "https://example.com/terms",
        "external_docs": {"url": "https://example.com/docs"},
    }
    found = document(openapi=stated)
    assert (
        found["info"].items()
        >= {
            "contact": stated["contact"],
            "license": stated["license"],
            "termsOfService": stated["terms"],
        }.items()
    )
    assert found["externalDocs"] == stated["external_docs"]
    OpenAPIV31SpecValidator(found).validate()


def test_failures_have_the_headers_that_say_how_to_go_on() -> None:
    policies = [{"selector": "*", "scopes": {"all": ["a"]}, "rate_limits": [{"limit": 1}]}]
    found = document(policies=policies, auth={"store": "memory:"})
    responses = found["components"]["responses"]
    assert list(responses["Unauthorized"]["headers"]) == ["WWW-Authenticate"]
    limited = ["Retry-After", "RateLimit", "RateLimit-Policy"]
    assert list(responses["TooManyRequests"]["headers"]) == limited
    assert "headers" not in responses["NotFound"]


def test_a_name_that_a_message_has_already_gets_a_number() -> None:
    proto = """
        syntax = "proto3"; package p; import "google/api/annotations.proto";
        message M { string a = 1; } message MInput { M m = 1; }
        service S {
          rpc One(M) returns (M) { option (google.api.http) = {post: "/v1/a" body: "*"}; }
          rpc Two(MInput) returns (M) { option (google.api.http) = {post: "/v1/b" body: "*"}; }
        }
    """
    names = document(proto)["components"]["schemas"].keys()
    assert {"p.M", "p.MInput", "p.MInput_2"} <= names


def test_defaults_and_required_fields_of_proto2() -> None:
    proto = """
        syntax = "proto2"; package p; import "google/api/annotations.proto";
        enum E { A = 0; B = 1; }
        message M {
          required string a = 1; optional int64 b = 2 [default = 7]; optional E e = 3 [default = B];
          optional double inf = 4 [default = inf]; optional bytes c = 5 [default = "x"];
          extensions 100 to 200;
        }
        service S {
          rpc One(M) returns (M) { option (google.api.http) = {post: "/v1/a" body: "*"}; }
        }
    """
    schemas = document(proto)["components"]["schemas"]
    assert schemas["p.M"]["required"] == schemas["p.MInput"]["required"] == ["a"]
    properties = schemas["p.M"]["properties"]
    assert (properties["b"]["default"], properties["e"]["default"]) == ("7", "B")
    assert properties["c"]["default"] == "eA=="
    assert "default" not in properties["inf"]
    assert schemas["p.MInput"]["additionalProperties"] is False


def test_extensions_are_properties_and_no_parameters() -> None:
    proto = """
        syntax = "proto2"; package p; import "google/api/annotations.proto";
        message M { optional string a = 1; extensions 100 to 200; }
        extend M { optional int64 big = 100; }
        message Other { extend M { repeated Other others = 101; } }
        service S {
          rpc Put(M) returns (M) { option (google.api.http) = {post: "/v1" body: "*"}; }
          rpc Get(M) returns (M) { option (google.api.http) = {get: "/v1"}; }
        }
    """
    found = document(proto)
    schemas = found["components"]["schemas"]
    # ProtoJSON: the name of an extension is its full name in brackets.
    assert list(schemas["p.MInput"]["properties"]) == ["a", "[p.big]", "[p.Other.others]"]
    assert schemas["p.M"]["properties"]["[p.Other.others]"]["type"] == "array"
    assert "required" not in schemas["p.M"]
    assert list(parameters("/v1", "get", found)) == ["a"]
    assert list(OpenAPIV31SpecValidator(found).iter_errors()) == []

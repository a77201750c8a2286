"""Settings and policies change the document: names, integers, header fields, issuers, tags."""

from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.config.model import Config
from gateway.openapi.changes.documents import compare_documents
from gateway.openapi.document import build_document
from gateway.policy.effective import effective_policies
from gateway.schema.catalog import build_schema
from gateway.transcoding.transcoder import build_transcoder
from tests.support.schema import descriptor_set
from tests.unit.openapi.test_document import document

SHELF = """
syntax = "proto3"; package library.v1;
import "google/api/annotations.proto";
import "google/protobuf/wrappers.proto";
// Keeps books.
service Library {
  rpc GetShelf(Id) returns (Shelf) { option (google.api.http) = {get: "/v1/{id}"}; }
  rpc PutShelf(Shelf) returns (Shelf) { option (google.api.http) = {post: "/v1" body: "*"}; }
  rpc GetError(Id) returns (Error) { option (google.api.http) = {get: "/v1/errors/{id}"}; }
}
service Keepers {
  rpc CountShelves(Id) returns (Id) {
    option (google.api.http) = {custom: {kind: "HEAD" path: "/v1"}};
  }
}
message Id { string id = 1; }
message Error { string text = 1; }
message Shelf {
  message Row { int32 at = 1; }
  string id = 1;
  int64 size = 2;
  repeated uint64 widths = 3;
  map<string, int64> by_name = 4;
  google.protobuf.Int64Value weight = 5;
  Row row = 6;
  int32 small = 7;
  oneof kind { string color = 8; string wood = 9; }
}
"""
PATH = "/v1/{id}"


def schemas(**settings: Any) -> dict[str, Any]:
    """The schemas of a valid document."""
    found = document(SHELF, **settings)
    assert list(OpenAPIV31SpecValidator(found).iter_errors()) == []
    of_document: dict[str, Any] = found["components"]["schemas"]
    return of_document


def test_short_names_leave_out_the_package() -> None:
    found = schemas(openapi={"names": "short"})
    assert {"Shelf", "ShelfInput", "Shelf.Row", "Shelf.RowInput"} <= found.keys()
    assert found["Shelf"]["properties"]["row"]["$ref"] == "#/components/schemas/Shelf.Row"
    # `Error` is the body of a failure.
    assert "error" in found["Error"]["properties"]
    assert "text" in found["Error_2"]["properties"]


def test_types_of_two_packages_with_one_name_keep_their_full_names() -> None:
    proto = """
        syntax = "proto3"; package p; import "google/api/annotations.proto";
        import "google/type/date.proto";
        message Date { google.type.Date inner = 1; }
        service S { rpc Get(Date) returns (Date) { option (google.api.http) = {get: "/v1"}; } }
    """
    found = document(proto, openapi={"names": "short"})["components"]["schemas"]
    assert {"p.Date", "google.type.Date"} <= found.keys()
    assert "Date" not in found


def test_requests_may_have_large_integers_as_numbers_if_the_settings_say_it() -> None:
    found = schemas(openapi={"lenient_input": True})
    given = found["library.v1.ShelfInput"]["properties"]
    both = ["string", "integer"]
    assert given["size"]["type"] == both
    assert given["widths"]["items"]["type"] == both
    assert given["byName"]["additionalProperties"]["type"] == both
    assert given["weight"]["type"] == both
    assert given["small"]["type"] == "integer"
    assert found["library.v1.Shelf"]["properties"]["size"]["type"] == "string"
    strict = schemas()["library.v1.ShelfInput"]["properties"]
    assert strict["size"]["type"] == "string"


def test_a_oneof_of_requests_can_be_a_constraint() -> None:
    proto = """
        syntax = "proto3"; package p; import "google/api/annotations.proto";
        // One of two.
        enum E {
          NONE = 0;
          // The first.
          ONE = 1;
        }
        message M { oneof of { string a = 1; int64 b_c = 2; } optional string d = 3; E e = 4; }
        service S { rpc Put(M) returns (M) { option (google.api.http) = {post: "/v1" body: "*"}; } }
    """
    found = document(proto, openapi={"oneof": "constrained"})
    schemas = found["components"]["schemas"]
    validator = OAS31Validator(
        {"$ref": "#/components/schemas/p.MInput", "components": found["components"]}
    )
    assert [validator.is_valid(one) for one in ({}, {"a": ""}, {"bC": "1", "d": ""})] == [True] * 3
    assert not validator.is_valid({"a": "", "bC": "1"})
    assert "allOf" not in schemas["p.M"]
    assert "allOf" not in document(proto)["components"]["schemas"]["p.MInput"]
    assert schemas["p.E"]["x-enum-descriptions"] == ["", "The first."]
    assert schemas["p.E"]["x-extensible-enum"] is True


def test_header_fields_are_listed_once_and_referred_to() -> None:
    found = document(SHELF, openapi={"headers": True})
    names = ["Grpc-Timeout", "X-Request-Id"]
    assert list(found["components"]["parameters"]) == names
    references = [{"$ref": f"#/components/parameters/{name}"} for name in names]
    assert found["paths"][PATH]["get"]["parameters"][1:] == references
    assert "X-Request-Id" in found["paths"][PATH]["get"]["responses"]["200"]["headers"]
    assert list(OpenAPIV31SpecValidator(found).iter_errors()) == []
    assert "parameters" not in document(SHELF)["components"]


def test_methods_list_the_header_fields_of_their_policies() -> None:
    policies: list[dict[str, Any]] = [
        {"selector": "library.v1.Library.GetShelf", "etag": True},
        {"selector": "library.v1.Library.PutShelf", "idempotency": {"key": "optional"}},
    ]
    found = document(SHELF, policies=policies)
    get, post = found["paths"][PATH]["get"], found["paths"]["/v1"]["post"]
    assert get["parameters"][-1] == {"$ref": "#/components/parameters/If-None-Match"}
    assert "304" in get["responses"]
    assert "ETag" in get["responses"]["200"]["headers"]
    assert post["parameters"] == [{"$ref": "#/components/parameters/Idempotency-Key"}]
    assert list(OpenAPIV31SpecValidator(found).iter_errors()) == []
    policies[1]["idempotency"] = {"key": "required"}
    needed = document(SHELF, policies=policies)["paths"]["/v1"]["post"]["parameters"]
    assert [(one["name"], one["required"]) for one in needed] == [("Idempotency-Key", True)]


def test_an_issuer_with_discovery_is_a_scheme_of_its_own() -> None:
    issuers = [
        {"issuer": "https://id.example.com/", "audiences": ["api"], "prefix": "a/"},
        {
            "issuer": "https://old.example.com",
            "audiences": ["api"],
            "prefix": "b/",
            "keys_url": "https://old.example.com/keys",
        },
    ]
    found = document(SHELF, auth={"jwt": {"issuers": issuers}, "order": ["jwt"]})
    schemes = found["components"]["securitySchemes"]
    assert list(schemes) == ["jwt", "openid"]
    assert schemes["jwt"]["bearerFormat"] == "JWT"
    url = "https://id.example.com/.well-known/openid-configuration"
    assert schemes["openid"] == {"type": "openIdConnect", "openIdConnectUrl": url}
    assert found["paths"][PATH]["get"]["security"] == [{"jwt": []}, {"openid": []}]
    assert list(OpenAPIV31SpecValidator(found).iter_errors()) == []


def test_each_service_is_a_tag_with_its_comment() -> None:
    found = document(SHELF)
    assert found["tags"] == [
        {"name": "library.v1.Library", "description": "Keeps books."},
        {"name": "library.v1.Keepers"},
    ]
    assert found["paths"][PATH]["get"]["tags"] == ["library.v1.Library"]
    assert "x-tagGroups" not in found  # for a single package


def test_tags_of_several_packages_are_grouped() -> None:
    other = """
        syntax = "proto3"; package other.v1; import "google/api/annotations.proto";
        message M {}
        service S { rpc Get(M) returns (M) { option (google.api.http) = {get: "/v2"}; } }
    """
    config = Config()
    schema = build_schema(descriptor_set(library=SHELF, other=other))
    bindings = build_transcoder(config, schema).bindings
    found = build_document(config, schema, bindings, effective_policies(schema, config.policies))
    assert found["x-tagGroups"] == [
        {"name": "library.v1", "tags": ["library.v1.Library", "library.v1.Keepers"]},
        {"name": "other.v1", "tags": ["other.v1.S"]},
    ]


def test_what_the_gateway_answers_by_itself_is_not_listed() -> None:
    found = document(SHELF)
    listed = {path: set(item) for path, item in found["paths"].items()}
    # HEAD of a GET, and OPTIONS of any path; a HEAD that a method is bound to is listed.
    assert listed == {PATH: {"get"}, "/v1": {"post", "head"}, "/v1/errors/{id}": {"get"}}


@pytest.mark.parametrize(
    "openapi",
    [{"names": "short"}, {"lenient_input": True}, {"oneof": "constrained"}, {"headers": True}],
)
def test_what_only_describes_changes_nothing_for_clients(openapi: dict[str, Any]) -> None:
    plain, other = document(SHELF), document(SHELF, openapi=openapi)
    assert plain != other
    assert compare_documents(plain, other) == compare_documents(other, plain) == []

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
from gateway.transcoding.field_masks import read_mask
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
  rpc GetError(Id) returns (Failure) { option (google.api.http) = {get: "/v1/errors/{id}"}; }
}
service Keepers {
  rpc CountShelves(Id) returns (Id) {
    option (google.api.http) = {custom: {kind: "HEAD" path: "/v1"}};
  }
}
message Id { string id = 1; }
message Failure { string text = 1; }
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
  Use use = 10;
}
enum Use { NONE = 0; LENDING = 1; }
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
    # `Failure` is the body of a failure.
    assert "error" in found["Failure"]["properties"]
    assert "text" in found["Failure_2"]["properties"]


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
    assert given["use"]["anyOf"][0]["$ref"] == "#/components/schemas/library.v1.Use"
    assert given["use"]["anyOf"][1] == {"type": "integer", "format": "int32"}
    assert "$ref" in found["library.v1.Shelf"]["properties"]["use"]
    strict = schemas()["library.v1.ShelfInput"]["properties"]
    assert strict["size"]["type"] == "string"


FORMS = """
syntax = "proto3"; package p;
import "google/api/annotations.proto";
import "google/api/field_behavior.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
enum E { NONE = 0; ONE = 1; }
message M {
  string name = 1 [(google.api.field_behavior) = REQUIRED];
  double number = 2;
  repeated float numbers = 3;
  google.protobuf.DoubleValue wrapped = 4;
  google.protobuf.Timestamp time = 5;
  // Another.
  M inner = 6;
  E of = 7;
  google.protobuf.Value any = 8;
  google.protobuf.NullValue nothing = 9;
  int64 large = 10;
  google.protobuf.FieldMask mask = 11;
}
service S { rpc Put(M) returns (M) { option (google.api.http) = {post: "/v1" body: "*"}; } }
"""


def validator(schema: str, **openapi: Any) -> OAS31Validator:
    """Validates values by a schema of the document with these settings."""
    found = document(FORMS, openapi=openapi)
    assert list(OpenAPIV31SpecValidator(found).iter_errors()) == []
    root = {"$ref": f"#/components/schemas/{schema}", "components": found["components"]}
    return OAS31Validator(root)


@pytest.mark.parametrize("lenient", [False, True])
def test_members_of_requests_may_be_null_if_the_settings_say_it(lenient: bool) -> None:
    nullable = validator("p.MInput", nullable=True, strict_floats=True, lenient_input=lenient)
    plain = validator("p.MInput")
    names = {"number", "numbers", "wrapped", "time", "inner", "of", "large", "mask"}
    for name in names:
        body = {"name": "x", name: None}
        assert nullable.is_valid(body), name
        assert not plain.is_valid(body), name
    for name in ("any", "nothing"):
        assert nullable.is_valid({"name": "x", name: None})
    assert not nullable.is_valid({"name": None})
    assert nullable.is_valid({"name": "x", "inner": {"name": "y", "of": "ONE"}, "large": "1"})
    assert not nullable.is_valid({"name": "x", "number": "1"})
    inner = document(FORMS, openapi={"nullable": True})["components"]["schemas"]["p.MInput"]
    assert inner["properties"]["inner"]["description"] == "Another."


@pytest.mark.parametrize("schema", ["p.M", "p.MInput"])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_numbers_may_be_texts_if_the_settings_say_it(schema: str, value: str) -> None:
    properties = {"number": value, "numbers": [value, 1.5], "wrapped": value}
    for name, one in properties.items():
        strict = validator(schema, strict_floats=True)
        errors = [error for error in strict.iter_errors({name: one}) if name in error.path]
        assert errors == []
        assert [error for error in validator(schema).iter_errors({name: one}) if error.path]


@pytest.mark.parametrize(
    ("time", "is_written"),
    [
        ("2026-01-02T03:04:05Z", True),
        ("2026-01-02T03:04:05.678Z", True),
        ("2026-01-02T03:04:05.67Z", False),
        ("2026-01-02T03:04:05+01:00", False),
    ],
)
def test_replies_have_times_in_one_form_if_the_settings_say_it(time: str, is_written: bool) -> None:
    strict = validator("p.M", strict_times=True)
    assert ([one for one in strict.iter_errors({"time": time}) if one.path] == []) == is_written
    assert validator("p.MInput", strict_times=True).is_valid({"name": "x", "time": time})


@pytest.mark.parametrize(
    ("mask", "fits"),
    [
        ("", True),
        ("title", True),
        ("title,author.birthYear", True),
        ("*", True),
        ("labels.`a,b`.*", True),
        ('labels."a\\"b"', True),
        ("title,", False),
        ("a b", False),
        ("1", False),
        ("a..b", False),
    ],
)
def test_a_field_mask_has_a_form(mask: str, fits: bool) -> None:
    assert validator("p.MInput").is_valid({"name": "x", "mask": mask}) == fits
    try:
        read_mask(mask, camel_case=True)
    except ValueError:
        assert not fits
    else:
        assert fits


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
    assert get["parameters"][-2:] == [
        {"$ref": "#/components/parameters/If-None-Match"},
        {"$ref": "#/components/parameters/If-Match"},
    ]
    assert {"304", "412"} <= get["responses"].keys()
    assert "412" not in post["responses"]
    assert "ETag" in get["responses"]["200"]["headers"]
    assert post["parameters"] == [{"$ref": "#/components/parameters/Idempotency-Key"}]
    assert list(OpenAPIV31SpecValidator(found).iter_errors()) == []
    policies[1]["idempotency"] = {"key": "required"}
    needed = document(SHELF, policies=policies)["paths"]["/v1"]["post"]["parameters"]
    assert [(one["name"], one["required"]) for one in needed] == [("Idempotency-Key", True)]


def test_etags_of_resources_are_header_fields() -> None:
    proto = """
        syntax = "proto3"; package p; import "google/api/annotations.proto";
        message M { string id = 1; string etag = 2; }
        message Update { M m = 1; }
        service S {
          rpc Get(Update) returns (M) {
            option idempotency_level = NO_SIDE_EFFECTS;
            option (google.api.http) = {get: "/v1/{m.id}"};
          }
          rpc Patch(Update) returns (M) {
            option (google.api.http) = {patch: "/v1/{m.id}" body: "m"};
          }
          rpc Put(Update) returns (M) { option (google.api.http) = {put: "/v1/{m.id}" body: "m"}; }
          rpc Drop(M) returns (Update) { option (google.api.http) = {delete: "/v1/{id}"}; }
        }
    """
    found = document(proto, resources={"etags": "quoted"})
    assert list(OpenAPIV31SpecValidator(found).iter_errors()) == []
    (item,) = found["paths"].values()
    stated = {
        method: (
            [one["$ref"].rpartition("/")[2] for one in of["parameters"] if "$ref" in one],
            "304" in of["responses"],
            "412" in of["responses"],
            "ETag" in of["responses"]["200"].get("headers", {}),
        )
        for method, of in item.items()
    }
    assert stated == {
        "get": (["If-None-Match", "If-Match"], True, True, True),
        "patch": (["If-Match"], False, True, True),
        "put": (["If-Match"], False, True, False),
        "delete": (["If-Match"], False, True, False),
    }
    assert "Match" not in str(document(proto))


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
    [
        {"names": "short"},
        {"lenient_input": True},
        {"nullable": True},
        {"nullable": True, "lenient_input": True},
        {"strict_floats": True},
        {"strict_floats": True, "nullable": True},
        {"strict_times": True},
        {"oneof": "constrained"},
        {"headers": True},
    ],
)
def test_what_only_describes_changes_nothing_for_clients(openapi: dict[str, Any]) -> None:
    proto = FORMS if openapi.keys() & {"nullable", "strict_floats", "strict_times"} else SHELF
    plain, other = document(proto), document(proto, openapi=openapi)
    assert plain != other
    assert compare_documents(plain, other) == compare_documents(other, plain) == []

"""The changes of an API, each as a pair of protos or settings, and the rules that find them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from gateway.config.model import Config
from gateway.openapi.changes.documents import compare_documents
from gateway.openapi.changes.findings import RULES as OWN_RULES
from gateway.openapi.changes.findings import Finding, Level
from gateway.openapi.document import build_document
from gateway.policy.effective import effective_policies
from gateway.schema.catalog import build_schema
from gateway.schema.places import Elements, elements_of
from gateway.transcoding.transcoder import build_transcoder
from tests.support.schema import descriptor_set
from tests.support.validated import RULES

PROTO = """
syntax = "proto3";
package shop.v1;
import "google/api/annotations.proto";
import "google/api/field_behavior.proto";
import "buf/validate/validate.proto";
import "google/api/httpbody.proto";
import "google/protobuf/timestamp.proto";

service Shop {
  rpc Get(GetRequest) returns (Thing) {
    option (google.api.http) = {get: "/v1/{name=things/*}"};
  }
  rpc Put(PutRequest) returns (Done) {
    option (google.api.http) = {post: "/v1/things" body: "thing"};
  }
  rpc Watch(GetRequest) returns (stream Event) {
    option (google.api.http) = {get: "/v1/{name=things/*}:watch"};
  }
  rpc File(FileRequest) returns (google.api.HttpBody) {
    option (google.api.http) = {get: "/v1/files/{path=**}"};
  }
  rpc Load(stream Line) returns (Done) {
    option (google.api.http) = {post: "/v1/lines" body: "*"};
  }
}
message GetRequest { string name = 1; int32 depth = 2; repeated string tags = 3; }
message PutRequest { NewThing thing = 1; string note = 2; }
message NewThing {
  string title = 1 [(google.api.field_behavior) = REQUIRED];
  int32 count = 2;
  Color color = 3;
  map<string, int32> sizes = 4;
  repeated string tags = 5;
  Inner inner = 6;
}
message Inner { string text = 1; }
message Thing {
  string name = 1;
  int32 count = 2;
  Shade shade = 3;
  google.protobuf.Timestamp time = 4;
  float weight = 5;
  Thing parent = 6;
  bytes icon = 7;
}
message Event { string text = 1; }
message FileRequest { string path = 1; }
message Line { string text = 1; }
message Done { bool ok = 1; }
enum Color { COLOR_UNSPECIFIED = 0; RED = 1; }
enum Shade { SHADE_UNSPECIFIED = 0; DARK = 1; }
"""


class Api(NamedTuple):
    """One version of the API: replacements in the proto, and settings."""

    edits: Mapping[str, str] = {}
    settings: Mapping[str, Any] = {}

    def build(self) -> tuple[dict[str, Any], Elements]:
        """Its document, and the elements of its proto."""
        text = PROTO
        for before, after in self.edits.items():
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        files = descriptor_set(shop=text, **{"buf/validate/validate": RULES})
        schema = build_schema(files, comments=True)
        config = Config.model_validate({"json": {"unknown_fields": "reject"}, **self.settings})
        policies = effective_policies(schema, config.policies)
        bindings = build_transcoder(config, schema).bindings
        return build_document(config, schema, bindings, policies), elements_of(files.file)


def changes(old: Api, new: Api) -> list[Finding]:
    (before, were), (after, are) = old.build(), new.build()
    return compare_documents(before, after, (were, are))


BASE = Api()
TOKENS = {"auth": {"store": "memory:"}}
GET = "shop.v1.Shop.Get"
ENCODED = "property-encoding-changed"


def proto(before: str, after: str) -> Api:
    return Api({before: after})


def policy(**values: Any) -> Api:
    return Api(settings={**TOKENS, "policies": [{"selector": GET, **values}]})


def checked(rules: str) -> Api:
    """An API that checks the title of a thing."""
    title = "string title = 1 [(google.api.field_behavior) = REQUIRED"
    settings = {"validation": "protovalidate"}
    return Api({title: f"{title}, (buf.validate.field).{rules}"}, settings)


def choice(option: str) -> Api:
    """An API that checks a oneof with this option."""
    fields = "  int32 count = 2;\n  Color color = 3;"
    oneof = f"  oneof choice {{ {option} int32 count = 2; Color color = 3; }}"
    return Api({fields: oneof}, {"validation": "protovalidate"})


def aliased(values: str) -> Api:
    """An API of which a value of a request has several names."""
    color = "enum Color { COLOR_UNSPECIFIED = 0;"
    return Api({f"{color} RED = 1;": f"{color} option allow_alias = true; {values}"})


def issuer(*urls: str) -> Api:
    """An API for callers with JWTs of these issuers."""
    issuers = [{"issuer": url, "audiences": ["api"], "prefix": url[8:]} for url in urls]
    return Api(settings={"auth": {"jwt": {"issuers": issuers}, "order": ["jwt"]}})


def issuing(*, allow_password: bool) -> Api:
    """An API whose gateway issues tokens."""
    tokens = {"auth_upstream": "auth", "allow_password": allow_password}
    return Api(settings={"auth": {"store": "memory:", "tokens": tokens}})


OPERATION = {
    'import "google/api/httpbody.proto";': 'import "google/api/httpbody.proto";\n'
    'import "google/longrunning/operations_proto.proto";',
    "rpc Put(PutRequest) returns (Done) {": "rpc Put(PutRequest) "
    "returns (google.longrunning.Operation) {",
}
"""The edits by which a method begins an operation."""


def both(title: str, old: Api, new: Api, forth: str, back: str) -> list[Any]:
    """A pair of versions, and the same pair in the other order; rules are parted by blanks."""
    return [
        pytest.param(old, new, forth, id=title),
        pytest.param(new, old, back, id=f"{title}, back"),
    ]


TABLE = [
    *both(
        "a route is removed",
        BASE,
        proto('    option (google.api.http) = {get: "/v1/{name=things/*}"};\n', ""),
        "path-removed",
        "path-added",
    ),
    *both(
        "a path changes",
        BASE,
        proto("/v1/things", "/v2/things"),
        "path-removed path-added",
        "path-removed path-added",
    ),
    *both(
        "an HTTP method of a path that stays is removed",
        Api(
            {
                '{post: "/v1/things" b': '{additional_bindings {put: "/v1/things" body: "thing"} '
                'post: "/v1/things" b'
            }
        ),
        BASE,
        "method-removed",
        "method-added",
    ),
    *both(
        "an HTTP method changes",
        BASE,
        proto('post: "/v1/things"', 'put: "/v1/things"'),
        "method-removed method-added",
        "method-removed method-added",
    ),
    *both(
        "a deep wildcard becomes one segment",
        BASE,
        proto("{path=**}", "{path}"),
        "path-parameter-narrowed",
        "path-parameter-widened",
    ),
    *both(
        "a path parameter has another name",
        proto("{path=**}", "{path=*}"),
        Api({"{path=**}": "{file}", "FileRequest { string path": "FileRequest { string file"}),
        "path-parameter-renamed",
        "path-parameter-renamed",
    ),
    *both(
        "a path parameter has another type",
        proto("{path=**}", "{path}"),
        Api({"{path=**}": "{path}", "FileRequest { string path": "FileRequest { int32 path"}),
        "request-type-changed",
        "request-type-changed",
    ),
    *both(
        "a query parameter is removed",
        BASE,
        proto(" int32 depth = 2;", ""),
        "request-parameter-removed",
        "request-parameter-added",
    ),
    *both(
        "a query parameter is renamed",
        BASE,
        proto("int32 depth = 2", "int32 levels = 2"),
        "request-parameter-removed request-parameter-added",
        "request-parameter-removed request-parameter-added",
    ),
    *both(
        "a query parameter is repeated",
        BASE,
        proto("int32 depth = 2", "repeated int32 depth = 2"),
        "request-type-changed",
        "request-type-changed",
    ),
    *both(
        "a query parameter becomes required",
        BASE,
        proto("int32 depth = 2", "int32 depth = 2 [(google.api.field_behavior) = REQUIRED]"),
        "request-parameter-became-required",
        "request-parameter-became-optional",
    ),
    *both(
        "a required query parameter is added",
        BASE,
        proto(
            "int32 depth = 2;",
            "int32 depth = 2; string by = 4 [(google.api.field_behavior) = REQUIRED];",
        ),
        "request-parameter-required-added",
        "request-parameter-removed",
    ),
    *both(
        "a field moves from the body to the query",
        proto('things" body: "thing"', 'things" body: "*"'),
        proto('things" body: "thing"', 'things" body: "note"'),
        "request-type-changed request-media-type-removed request-parameter-added",
        "request-type-changed request-media-type-added request-parameter-removed",
    ),
    *both(
        "a body is no longer taken",
        proto('things" body: "thing"', 'things" body: "thing"'),
        proto('things" body: "thing"', 'things"'),
        "request-body-removed request-parameter-added",
        "request-body-added request-parameter-removed",
    ),
    *both(
        "a body becomes required",
        BASE,
        proto("NewThing thing = 1", "NewThing thing = 1 [(google.api.field_behavior) = REQUIRED]"),
        "request-body-became-required",
        "request-body-became-optional",
    ),
    *both(
        "a field of the body is removed",
        BASE,
        proto("  repeated string tags = 5;\n", ""),
        "request-property-removed",
        "request-property-added",
    ),
    *both(
        "a field of the body is renamed",
        BASE,
        proto("repeated string tags = 5", "repeated string labels = 5"),
        "request-property-renamed",
        "request-property-renamed",
    ),
    *both(
        "a field has another name in JSON",
        BASE,
        proto("repeated string tags = 5", 'repeated string tags = 5 [json_name = "t"]'),
        "request-property-renamed",
        "request-property-renamed",
    ),
    *both(
        "a field of the body has another type",
        BASE,
        proto("  int32 count = 2;\n  Color", "  int64 count = 2;\n  Color"),
        "request-type-changed",
        "request-type-changed",
    ),
    *both(
        "an integer of the body becomes a number",
        BASE,
        proto("  int32 count = 2;\n  Color", "  double count = 2;\n  Color"),
        "request-type-widened property-encoding-changed",
        "request-type-changed",
    ),
    *both(
        "an integer of the body can no longer be negative",
        BASE,
        proto("  int32 count = 2;\n  Color", "  uint32 count = 2;\n  Color"),
        "request-type-changed",
        "request-type-changed",
    ),
    *both(
        "an integer of the reply can be negative",
        proto("  int32 count = 2;\n  Shade", "  uint32 count = 2;\n  Shade"),
        BASE,
        "response-type-changed",
        "response-type-changed",
    ),
    *both(
        "a text has a limit where it had to be an address",
        checked("string.email = true"),
        checked("string.max_len = 9"),
        "request-type-widened request-constraint-tightened",
        "request-type-changed",
    ),
    *both(
        "a field of the body becomes required",
        BASE,
        proto("tags = 5", "tags = 5 [(google.api.field_behavior) = REQUIRED]"),
        "request-property-became-required",
        "request-property-became-optional",
    ),
    *both(
        "a required field is added to the body",
        BASE,
        proto(
            "Inner inner = 6;",
            "Inner inner = 6; string id = 7 [(google.api.field_behavior) = REQUIRED];",
        ),
        "request-property-required-added",
        "request-property-removed",
    ),
    *both(
        "a field inside a message inside the body is removed",
        BASE,
        proto("Inner { string text = 1; }", "Inner {}"),
        "request-property-removed",
        "request-property-added",
    ),
    *both(
        "the values of a map have another type",
        BASE,
        proto("map<string, int32> sizes", "map<string, string> sizes"),
        "request-type-changed",
        "request-type-changed",
    ),
    *both(
        "the keys of a map have another type",
        BASE,
        proto("map<string, int32> sizes", "map<int32, int32> sizes"),
        "request-type-changed",
        "request-type-changed",
    ),
    *both(
        "a list becomes a single value",
        BASE,
        proto("repeated string tags = 5", "string tags = 5"),
        "request-type-changed",
        "request-type-changed",
    ),
    *both(
        "a text may be shorter only",
        checked("string.max_len = 9"),
        checked("string.max_len = 5"),
        "request-constraint-tightened",
        "request-constraint-loosened",
    ),
    *both(
        "a text must be longer",
        checked("string.min_len = 2"),
        checked("string.min_len = 5"),
        "request-constraint-tightened",
        "request-constraint-loosened",
    ),
    *both(
        "a text has a limit that it had not",
        checked("string.max_len = 9"),
        checked("string = {max_len: 9, min_len: 1}"),
        "request-constraint-tightened",
        "request-constraint-loosened",
    ),
    *both(
        "a text has another pattern",
        checked('string.pattern = "^a$"'),
        checked('string.pattern = "^b$"'),
        "request-constraint-tightened",
        "request-constraint-tightened",
    ),
    *both(
        "a text must be one of a few",
        checked("string.max_len = 9"),
        checked('string = {max_len: 9, in: ["a", "b"]}'),
        "request-constraint-tightened",
        "request-constraint-loosened",
    ),
    *both(
        "a text may be one of fewer",
        checked('string = {in: ["a", "b"]}'),
        checked('string = {in: ["a"]}'),
        "request-enum-value-removed",
        "request-enum-value-added",
    ),
    *both(
        "a text must be an address",
        checked("string.max_len = 9"),
        checked("string = {max_len: 9, email: true}"),
        "request-type-changed",
        "request-type-widened",
    ),
    *both(
        "a value of an enum in requests is removed",
        BASE,
        proto(" RED = 1;", ""),
        "request-enum-value-removed",
        "request-enum-value-added",
    ),
    *both(
        "a value of an enum in replies is added",
        BASE,
        proto("DARK = 1;", "DARK = 1; LIGHT = 2;"),
        "response-enum-value-added",
        "response-enum-value-removed",
    ),
    *both(
        "a field of the reply is removed",
        BASE,
        proto("  bytes icon = 7;\n", ""),
        "response-property-removed",
        "response-property-added",
    ),
    *both(
        "a field of the reply is renamed",
        BASE,
        proto("bytes icon", "bytes image"),
        "response-property-renamed",
        "response-property-renamed",
    ),
    *both(
        "a field of the reply has another type",
        BASE,
        proto("bytes icon", "string icon"),
        "response-type-changed",
        "response-type-changed",
    ),
    *both(
        "a time becomes a text",
        BASE,
        proto("google.protobuf.Timestamp time = 4", "optional string time = 4"),
        "response-type-changed",
        "response-type-narrowed property-encoding-changed",
    ),
    *both(
        "a list of texts that must not be sent",
        checked("string.max_len = 9"),
        checked('string = {max_len: 9, not_in: ["a"]}'),
        "request-constraint-tightened",
        "request-constraint-loosened",
    ),
    *both(
        "a second pattern",
        checked('string = {prefix: "a"}'),
        checked('string = {prefix: "a", suffix: "b"}'),
        "request-constraint-tightened",
        "request-constraint-loosened",
    ),
    *both(
        "a rule in words",
        checked("string.max_len = 9"),
        Api(
            {
                "string title = 1 [(google.api.field_behavior) = REQUIRED": "string title = 1 "
                "[(google.api.field_behavior) = REQUIRED, (buf.validate.field) = {string: "
                '{max_len: 9} cel: {id: "a", message: "no tab", expression: "true"}}'
            },
            {"validation": "protovalidate"},
        ),
        "request-constraint-tightened",
        "request-constraint-loosened",
    ),
    *both(
        "a field is set by the server only",
        BASE,
        proto("tags = 5", "tags = 5 [(google.api.field_behavior) = OUTPUT_ONLY]"),
        "request-property-became-read-only",
        "request-property-became-writable",
    ),
    *both(
        "a field is never returned",
        BASE,
        proto("bytes icon = 7", "bytes icon = 7 [(google.api.field_behavior) = INPUT_ONLY]"),
        "response-property-became-write-only",
        "response-property-became-readable",
    ),
    *both(
        "fields can no longer be set together",
        BASE,
        proto(
            "  int32 count = 2;\n  Color color = 3;",
            "  oneof choice { int32 count = 2;\n  Color color = 3; }",
        ),
        "request-properties-became-exclusive",
        "",
    ),
    *both(
        "a field joins those of which one can be set",
        Api({"  Color color = 3;": "  oneof choice { Color color = 3; bytes raw = 9; }"}),
        Api(
            {
                "  int32 count = 2;\n  Color color = 3;": "  oneof choice { int32 count = 2;\n"
                "  Color color = 3; bytes raw = 9; }"
            }
        ),
        "request-properties-became-exclusive",
        "",
    ),
    *both(
        "a new field joins those of which one can be set",
        Api({"  Color color = 3;": "  oneof choice { Color color = 3; bytes raw = 9; }"}),
        Api(
            {"  Color color = 3;": "  oneof choice { Color color = 3; bytes raw = 9; bool b = 8; }"}
        ),
        "request-property-added",
        "request-property-removed",
    ),
    *both(
        "a field has another number",
        BASE,
        proto("bytes icon = 7", "bytes icon = 8"),
        "property-number-changed",
        "property-number-changed",
    ),
    *both(
        "API keys are sent in another header field",
        Api(settings={"auth": {**TOKENS["auth"], "keys": {"header": "X-Old-Key"}}}),
        Api(settings={"auth": {**TOKENS["auth"], "keys": {"header": "X-New-Key"}}}),
        "credential-form-changed",
        "credential-form-changed",
    ),
    *both(
        "JWTs of another issuer are accepted",
        issuer("https://old.example.com"),
        issuer("https://new.example.com"),
        "credential-issuer-changed",
        "credential-issuer-changed",
    ),
    *both(
        "tokens are no longer issued for passwords",
        issuing(allow_password=True),
        issuing(allow_password=False),
        "credential-address-changed",
        "credential-address-changed",
    ),
    *both(
        "operations are no longer answered with 202",
        Api(OPERATION, {"resources": {"operations": "accepted"}}),
        Api(OPERATION),
        "response-status-removed",
        "",
    ),
    *both(
        "one of a oneof must be set",
        choice(""),
        choice("option (buf.validate.oneof).required = true;"),
        "request-choice-became-required",
        "",
    ),
    *both(
        "another name of a value is removed",
        aliased("RED = 1; ROUGE = 1;"),
        BASE,
        "request-enum-value-removed",
        "request-enum-value-added",
    ),
    *both(
        "an idempotency key is needed",
        Api(settings={"policies": [{"selector": "shop.v1.Shop.Put", "idempotency": {}}]}),
        Api(
            settings={
                "policies": [{"selector": "shop.v1.Shop.Put", "idempotency": {"key": "required"}}]
            }
        ),
        "request-parameter-became-required",
        "",
    ),
    *both(
        "a reply has no entity tag any more",
        Api({"float weight = 5": "string etag = 5"}, {"resources": {"etags": "quoted"}}),
        proto("float weight = 5", "string etag = 5"),
        "request-parameter-removed response-header-removed",
        "",
    ),
    *both(
        "a duration becomes a text",
        Api({"Timestamp time = 4": "Duration time = 4", "timestamp.proto": "duration.proto"}),
        proto("google.protobuf.Timestamp time = 4", "optional string time = 4"),
        "response-constraint-loosened property-encoding-changed",
        "response-constraint-tightened property-encoding-changed",
    ),
    *both(
        "a mask becomes a text",
        Api({"Timestamp time = 4": "FieldMask time = 4", "timestamp.proto": "field_mask.proto"}),
        proto("google.protobuf.Timestamp time = 4", "optional string time = 4"),
        "response-constraint-loosened property-encoding-changed",
        "response-constraint-tightened property-encoding-changed",
    ),
    *both(
        "a float of the reply becomes a double",
        BASE,
        proto("float weight", "double weight"),
        "response-type-changed",
        "response-type-narrowed property-encoding-changed",
    ),
    *both(
        "a field of the reply gets presence",
        Api({"  bytes icon = 7;\n": "  bytes icon = 7;\n"}, {"json": {"emit_unset": True}}),
        Api({"bytes icon": "optional bytes icon"}, {"json": {"emit_unset": True}}),
        "response-property-became-optional",
        "response-property-became-required",
    ),
    *both(
        "a field of a type that holds itself is removed",
        BASE,
        proto("  Thing parent = 6;\n", ""),
        "response-property-removed",
        "response-property-added",
    ),
    *both(
        "a reply becomes a stream",
        BASE,
        proto("Get(GetRequest) returns (Thing)", "Get(GetRequest) returns (stream Thing)"),
        "response-stream-changed websocket-added",
        "response-stream-changed websocket-removed",
    ),
    *both(
        "a field of a streamed message is removed",
        BASE,
        proto("Event { string text = 1; }", "Event {}"),
        "response-property-removed",
        "response-property-added",
    ),
    *both(
        "a request is no longer a stream",
        BASE,
        proto("Load(stream Line)", "Load(Line)"),
        "request-stream-changed websocket-removed",
        "request-stream-changed websocket-added",
    ),
    *both(
        "raw bytes become JSON",
        BASE,
        proto("returns (google.api.HttpBody)", "returns (Done)"),
        "response-media-type-removed response-media-type-added",
        "response-media-type-removed response-media-type-added",
    ),
    *both(
        "a route calls another method",
        BASE,
        proto("rpc Get(", "rpc Fetch("),
        "operation-replaced",
        "operation-replaced",
    ),
    *both(
        "a method is deprecated",
        BASE,
        proto(
            'option (google.api.http) = {get: "/v1/{name=things/*}"}',
            'option deprecated = true; option (google.api.http) = {get: "/v1/{name=things/*}"}',
        ),
        "deprecated",
        "",
    ),
    *both(
        "fields that are not known are refused",
        Api(settings={"json": {"unknown_fields": "ignore"}}),
        BASE,
        "request-unknown-fields-refused",
        "request-unknown-fields-allowed",
    ),
    *both(
        "enums are numbers",
        BASE,
        Api(settings={"json": {"unknown_fields": "reject", "enums_as_numbers": True}}),
        "request-type-changed response-type-changed",
        "request-type-changed response-type-changed",
    ),
    *both(
        "errors have another form",
        BASE,
        Api(settings={"errors": "problem"}),
        "error-shape-changed",
        "error-shape-changed",
    ),
    *both(
        "a scope is needed",
        policy(anonymous=False),
        policy(anonymous=False, scopes={"all": ["read"]}),
        "scope-added",
        "security-loosened",
    ),
    *both(
        "callers need a credential",
        policy(anonymous=True),
        policy(anonymous=False),
        "credential-required",
        "security-loosened",
    ),
    *both(
        "a rate limit is lower",
        policy(rate_limits=[{"by": "address", "limit": 9, "window_s": 1}]),
        policy(rate_limits=[{"by": "address", "limit": 5, "window_s": 1}]),
        "rate-limit-lowered",
        "rate-limit-raised",
    ),
    *both(
        "a timeout is lower",
        policy(timeout_s=9),
        policy(timeout_s=2),
        "timeout-lowered",
        "timeout-raised",
    ),
    *both(
        "streams are no longer WebSockets",
        Api(settings={"websocket": {"enabled": True}}),
        Api(settings={"websocket": {"enabled": False}}),
        "websocket-removed",
        "websocket-added",
    ),
]


@pytest.mark.parametrize(("old", "new", "rules"), TABLE)
def test_a_change_is_found_by_its_rules_alone(old: Api, new: Api, rules: str) -> None:
    assert {one.rule for one in changes(old, new)} == set(rules.split())


def test_no_change_is_no_finding() -> None:
    assert changes(BASE, BASE) == []


def test_names_of_a_value_may_change_places_in_requests() -> None:
    assert changes(aliased("RED = 1; ROUGE = 1;"), aliased("ROUGE = 1; RED = 1;")) == []


def test_issuers_may_change_places() -> None:
    one, other = "https://one.example.com", "https://other.example.com"
    assert changes(issuer(one, other), issuer(other, one)) == []
    (finding,) = changes(issuer(one, other), issuer("https://new.example.com", one))
    assert finding.rule == "credential-issuer-changed"
    assert other in finding.text


def test_a_document_without_protos_may_list_all_names_of_a_value() -> None:
    (listing, _), (new, elements) = BASE.build(), aliased("RED = 1; ROUGE = 1;").build()
    assert compare_documents(listing, new, ({}, elements)) == []
    listing["components"]["schemas"]["shop.v1.Color"]["enum"].append("ROUGE")
    assert compare_documents(listing, new, ({}, elements)) == []
    assert compare_documents(new, listing, (elements, {})) == []


def test_comments_and_the_order_of_fields_do_not_matter() -> None:
    moved = Api(
        {"string name = 1; int32 depth = 2;": "int32 depth = 2; /* its */ string name = 1;"}
    )
    assert changes(BASE, moved) == []


def test_the_worst_come_first() -> None:
    new = Api(
        {
            "  bytes icon = 7;\n": "",
            "float weight": "double weight",
            "RED = 1;": "RED = 1; BLUE = 2;",
        }
    )
    order = list(Level)
    levels = [order.index(one.level) for one in changes(BASE, new)]
    assert levels == sorted(levels)
    assert set(levels) == {0, 2}


def test_a_finding_names_its_element_and_operation() -> None:
    (finding,) = changes(BASE, proto("  bytes icon = 7;\n", ""))
    assert finding.element == "shop.v1.Thing.icon"
    assert finding.text == "shop.v1.Thing.icon in GET /v1/things/{thing}: removed"


def test_a_route_that_has_moved_is_named() -> None:
    findings = changes(BASE, proto('/v1/things"', '/v2/things"'))
    assert findings[0].text == "POST /v1/things: removed; POST /v2/things is there"


@pytest.mark.parametrize(
    ("edits", "rules"),
    [
        ({" DARK = 1;": " DARK = 2;"}, {"enum-number-changed"}),
        ({" RED = 1;": " RED = 3;"}, {"enum-number-changed"}),
        ({"  int32 count = 2;\n  Color": "  sint32 count = 2;\n  Color"}, {ENCODED}),
        ({"  int32 count = 2;\n  Shade": "  sfixed32 count = 2;\n  Shade"}, {ENCODED}),
        ({"Color color = 3": "string color = 3"}, {ENCODED, "request-constraint-loosened"}),
    ],
)
def test_what_counts_in_protobuf_alone_is_found(edits: dict[str, str], rules: set[str]) -> None:
    found = changes(BASE, Api(edits))
    assert {one.rule for one in found} == rules
    assert found[0].level is Level.BREAKING
    assert found[0].text.startswith("shop.v1.")


def test_rules_for_the_keys_of_a_map_are_compared() -> None:
    ruled = {"sizes = 4": "sizes = 4 [(buf.validate.field).map.keys.string.max_len = 4]"}
    old, new = Api({}, {"validation": "protovalidate"}), Api(ruled, {"validation": "protovalidate"})
    assert [one.rule for one in changes(old, new)] == ["request-constraint-tightened"]
    assert [one.rule for one in changes(new, old)] == ["request-constraint-loosened"]


def test_a_new_route_that_takes_requests_of_another_is_named() -> None:
    added = ("things/best", "best", "things/best:watch", "things/a:see", "things/a/b", "files/a/b")
    bindings = " ".join(f'additional_bindings {{get: "/v1/{one}"}}' for one in added)
    found = changes(BASE, proto('post: "/v1/things" b', f'{bindings} post: "/v1/things" b'))
    assert {one.text for one in found if one.rule == "path-hidden"} == {
        "GET /v1/things/best: takes requests from GET /v1/things/{thing}",
        "GET /v1/things/best:watch: takes requests from GET /v1/things/{thing}:watch",
        "GET /v1/files/a/b: takes requests from GET /v1/files/{path}",
    }


def test_every_rule_has_a_reason_and_is_written_alike() -> None:
    assert all(why and rule == rule.lower() for rule, (_, why) in OWN_RULES.items())

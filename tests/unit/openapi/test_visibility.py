"""The document leaves out what is for callers with labels that the settings do not name."""

from typing import Any

from gateway.config.model import Config
from gateway.openapi.document import build_document
from gateway.policy.effective import effective_policies
from gateway.schema.catalog import build_schema
from gateway.transcoding.transcoder import build_transcoder
from tests.support.schema import descriptor_set
from tests.unit.openapi.test_document import document

PROTO = """
syntax = "proto3";
package shop.v1;
import "google/api/annotations.proto";
import "google/api/visibility.proto";
service Shop {
  rpc Get(Thing) returns (Thing) { option (google.api.http) = {get: "/v1/{name}"}; }
  rpc Try(Thing) returns (Thing) {
    option (google.api.http) = {get: "/v1/try"};
    option (google.api.method_visibility).restriction = "PREVIEW, TESTER";
  }
}
service Hidden {
  option (google.api.api_visibility).restriction = "INTERNAL";
  rpc See(Thing) returns (Thing) { option (google.api.http) = {get: "/v1/see"}; }
}
message Thing {
  string name = 1 [(google.api.field_visibility).restriction = "INTERNAL"];
  oneof size {
    int32 known = 2;
    int32 weighed = 3 [(google.api.field_visibility).restriction = "INTERNAL"];
    int32 guessed = 4;
  }
  Color color = 5;
}
enum Color {
  COLOR_UNSPECIFIED = 0;
  NEW = 1 [(google.api.value_visibility).restriction = "TESTER"];
}
"""


def described(*labels: str) -> dict[str, Any]:
    """The document of the proto for these labels."""
    return document(PROTO, openapi={"visibility": labels})


def test_what_is_restricted_is_left_out() -> None:
    found = described()
    assert list(found["paths"]) == ["/v1/{name}"]
    assert [tag["name"] for tag in found["tags"]] == ["shop.v1.Shop"]
    get = found["paths"]["/v1/{name}"]["get"]
    assert [one["name"] for one in get["parameters"]] == ["name", "known", "guessed", "color"]
    schemas = found["components"]["schemas"]
    assert list(schemas["shop.v1.Thing"]["properties"]) == ["known", "guessed", "color"]
    assert schemas["shop.v1.Thing"]["description"] == "At most one of `known`, `guessed` is set."
    assert schemas["shop.v1.Color"]["enum"] == ["COLOR_UNSPECIFIED"]


TYPES = """
syntax = "proto3";
package shop.v1;
import "google/api/annotations.proto";
import "google/api/visibility.proto";
import "google/longrunning/operations_proto.proto";
service Shop {
  rpc Get(Thing) returns (Thing) { option (google.api.http) = {get: "/v1/{shade}"}; }
  rpc Ask(Secret) returns (Thing) { option (google.api.http) = {get: "/v1/ask"}; }
  rpc Tell(Thing) returns (Secret) { option (google.api.http) = {get: "/v1/tell"}; }
  rpc Send(Thing) returns (Thing) {
    option (google.api.http) = {post: "/v1/send" body: "secret"};
  }
  rpc Take(Thing) returns (Thing) {
    option (google.api.http) = {get: "/v1/take" response_body: "inner"};
  }
  rpc Start(Thing) returns (google.longrunning.Operation) {
    option (google.api.http) = {post: "/v1/start" body: "*"};
    option (google.longrunning.operation_info) = {response_type: "Secret" metadata_type: "Thing"};
  }
}
message Secret {
  option (google.api.message_visibility).restriction = "INTERNAL";
  message Inner { string text = 1; }
}
message Thing {
  string name = 1;
  Secret secret = 2;
  Secret.Inner inner = 3;
  map<string, Secret> named = 4;
  repeated Shade shades = 5;
  Shade shade = 6;
  oneof choice { Secret hidden = 7; string said = 8; }
}
enum Shade {
  option (google.api.enum_visibility).restriction = "INTERNAL";
  SHADE_UNSPECIFIED = 0;
  DIM = 1;
}
"""


def shop_paths(found: dict[str, Any]) -> list[str]:
    """The paths of the proto's own service."""
    return [path for path in found["paths"] if not path.startswith("/v1/operations")]


def test_what_has_a_restricted_type_is_left_out() -> None:
    found = document(TYPES)
    assert shop_paths(found) == ["/v1/{shade}", "/v1/start"]
    thing = found["components"]["schemas"]["shop.v1.ThingInput"]
    assert list(thing["properties"]) == ["name", "said"]
    assert "description" not in thing
    # The path needs its parameter, and the enum is not told.
    shade, *_ = found["paths"]["/v1/{shade}"]["get"]["parameters"]
    assert (shade["name"], shade["schema"]) == ("shade", {"type": "string"})
    results = found["paths"]["/v1/start"]["post"]["x-operation-response"]
    assert list(results) == ["metadata"]
    for word in ("Secret", "Shade", "DIM"):
        assert word not in str(found)


def test_the_restricted_type_may_be_of_another_file() -> None:
    types = """
        syntax = "proto3"; package types; import "google/api/visibility.proto";
        message Secret { option (google.api.message_visibility).restriction = "INTERNAL"; }
    """
    shop = """
        syntax = "proto3"; package shop; import "google/api/annotations.proto";
        import "types.proto";
        message Thing { string name = 1; types.Secret secret = 2; }
        service Shop { rpc Get(Thing) returns (Thing) { option (google.api.http).get = "/v1"; } }
    """
    config = Config()
    schema = build_schema(descriptor_set(types=types, shop=shop))
    bindings = build_transcoder(config, schema).bindings
    found = build_document(config, schema, bindings, effective_policies(schema, config.policies))
    assert "Secret" not in str(found)
    assert "shop.Thing" in str(found)


def test_restricted_types_are_shown_to_their_labels() -> None:
    found = document(TYPES, openapi={"visibility": ["INTERNAL"]})
    assert len(shop_paths(found)) == 6
    assert {"shop.v1.Secret.Inner", "shop.v1.Shade"} <= found["components"]["schemas"].keys()


def test_one_of_the_labels_of_a_restriction_is_enough() -> None:
    found = described("TESTER")
    assert list(found["paths"]) == ["/v1/{name}", "/v1/try"]
    assert found["components"]["schemas"]["shop.v1.Color"]["enum"] == ["COLOR_UNSPECIFIED", "NEW"]
    assert (
        "weighed" in described("INTERNAL")["components"]["schemas"]["shop.v1.Thing"]["properties"]
    )
    assert "/v1/see" in described("INTERNAL")["paths"]

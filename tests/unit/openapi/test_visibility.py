"""The document leaves out what is for callers with labels that the settings do not name."""

from typing import Any

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


def test_one_of_the_labels_of_a_restriction_is_enough() -> None:
    found = described("TESTER")
    assert list(found["paths"]) == ["/v1/{name}", "/v1/try"]
    assert found["components"]["schemas"]["shop.v1.Color"]["enum"] == ["COLOR_UNSPECIFIED", "NEW"]
    assert (
        "weighed" in described("INTERNAL")["components"]["schemas"]["shop.v1.Thing"]["properties"]
    )
    assert "/v1/see" in described("INTERNAL")["paths"]

"""The masks that updates get from their bodies, which the codec has accepted before."""

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from gateway.config.model import Config
from gateway.schema.catalog import build_schema
from gateway.transcoding.transcoder import build_transcoder
from gateway.transcoding.wire import last_value
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package masks.v1;
import "google/api/annotations.proto";
import "google/protobuf/field_mask.proto";

message Book { string title = 1; Part part = 2; double price = 3; }
message Part { Part part = 1; int32 pages = 2; }
message Update { string id = 1; Book book = 2; google.protobuf.FieldMask update_mask = 3; }

service Masks {
  rpc Change(Update) returns (Book) {
    option (google.api.http) = {patch: "/v1/{id}" body: "book"};
  }
}
"""


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ('{"title": "t", "part": {"pages": 3}, "price": 1.5}', ["title", "part.pages", "price"]),
        (' \r\n\t{"title": null}\n', ["title"]),
        ('{"part": {"part": {"part": {}, "pages": 1}}}', ["part.part.part", "part.part.pages"]),
        ('{"price": -0.5e3, "part": null}', ["price", "part"]),
        # A member that is ignored, with more digits than Python reads as an integer.
        (f'{{"other": {"9" * 5000}, "title": "t"}}', ["title"]),
        ('{"other": [[[{"a": 1}]]], "part": {"other": {"a": 1}}, "title": ""}', ["title"]),
    ],
)
def test_a_mask_has_the_members_of_the_body(body: str, paths: list[str]) -> None:
    config = Config.model_validate({"json": {"unknown_fields": "ignore"}})
    transcoder = build_transcoder(config, build_schema(descriptor_set(masks=PROTO)))
    wire = transcoder.decode(transcoder.match("PATCH", "/v1/7"), "", None, body.encode())
    mask = last_value(wire, [3])
    assert mask is not None
    assert list(FieldMask.FromString(mask).paths) == paths

"""Examples in the protos are in the document, where they fit."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from openapi_schema_validator import OAS31Validator

from gateway.config.model import Config
from gateway.openapi.document import build_document
from gateway.policy.effective import effective_policies
from gateway.schema.catalog import build_schema
from gateway.transcoding.transcoder import build_transcoder
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package a.v1;
import "gatewayapi/v1/openapi.proto";
import "google/api/annotations.proto";
service Things {
  rpc Put(Thing) returns (Thing) { option (google.api.http) = {post: "/v1/things" body: "*"}; }
  rpc Get(Named) returns (Thing) { option (google.api.http) = {get: "/v1/{PATH}"}; }
}
enum Color { NONE = 0; RED = 1; }
message Thing { FIELD }
message Named {
  string name = 1 [(gatewayapi.v1.example) = "NAME"];
  int32 number = 2 [(gatewayapi.v1.example) = "3"];
}
"""


def document(files: FileDescriptorSet, **settings: Any) -> Any:
    schema = build_schema(files, comments=True)
    config = Config.model_validate(settings)
    bindings = build_transcoder(config, schema).bindings
    policies = effective_policies(schema, config.policies)
    return build_document(config, schema, bindings, policies)


def thing(field: str, **json_settings: Any) -> Any:
    """The schema of a message with this field."""
    text = PROTO.replace("FIELD", field).replace("PATH", "name")
    found = document(descriptor_set(a=text), json=json_settings)
    return found["components"]["schemas"]["a.v1.ThingInput"]


@pytest.mark.parametrize(
    ("kind", "stated", "example"),
    [
        ("string", "Solaris", "Solaris"),
        ("string", "42", "42"),
        ("int64", "42", "42"),
        ("int32", "42", 42),
        ("double", "4.5", 4.5),
        ("double", "4", 4),
        ("bool", "true", True),
        ("bytes", "BAFf", "BAFf"),
        ("Color", "RED", "RED"),
        ("repeated Color", '[\\"RED\\"]', ["RED"]),
        ("repeated int32", "[1, 2]", [1, 2]),
        ("map<string, int32>", '{\\"a\\": 1}', {"a": 1}),
        ("Thing", '{\\"f\\": null}', {"f": None}),
    ],
)
def test_an_example_is_a_value_of_its_field(kind: str, stated: str, example: object) -> None:
    schema = thing(f'{kind} f = 1 [(gatewayapi.v1.example) = "{stated}"];')
    assert schema["properties"]["f"]["examples"] == [example]


@pytest.mark.parametrize(
    ("kind", "stated"),
    [
        ("int32", "many"),
        ("int32", "true"),
        ("int32", "4.5"),
        ("bool", "1"),
        ("double", '\\"4\\"'),
        ("double", "NaN"),
        ("repeated double", "[Infinity]"),
        ("repeated string", "a"),
        ("map<string, int32>", "[]"),
        ("Thing", "{"),
    ],
)
def test_an_example_of_another_type_is_left_out_and_told(
    kind: str, stated: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "gateway.openapi"):
        schema = thing(f'{kind} f = 1 [(gatewayapi.v1.example) = "{stated}"];')
    assert "examples" not in schema["properties"]["f"]
    assert "a.v1.Thing.f: (gatewayapi.v1.example) is left out: expected JSON" in caplog.text


def test_a_secret_has_no_example() -> None:
    schema = thing('string f = 1 [(gatewayapi.v1.example) = "x", debug_redact = true];')
    assert schema["properties"]["f"] == {"type": "string", "format": "password"}


def test_enums_as_numbers_have_no_examples_in_names() -> None:
    field = 'Color f = 1 [(gatewayapi.v1.example) = "RED"];'
    field += r'option (gatewayapi.v1.message_example) = "{\"f\": \"RED\"}";'
    assert thing(field)["examples"] == [{"f": "RED"}]
    schema = thing(field, enums_as_numbers=True)
    assert "examples" not in schema
    assert "examples" not in schema["properties"]["f"]


@pytest.mark.parametrize(
    ("template", "name", "examples"),
    [
        ("name", "x", ["x"]),
        ("name", "x/y", [None]),
        ("name=boxes/*/things/*", "boxes/red/things/ball", ["red", "ball"]),
        ("name=boxes/*/things/*", "bags/red/things/ball", [None, None]),
        ("name=boxes/*/things/*", "boxes/red/things/", [None, None]),
        ("name=boxes/*/things/*", "boxes/red", [None, None]),
        ("name=boxes/*/things/*", "boxes/red/things/a/b", [None, None]),
        ("name=boxes/*/**", "boxes/red/a/b", ["red", "a/b"]),
        ("number", "x", [None]),
    ],
)
def test_parameters_of_a_path_have_their_parts_of_the_example(
    template: str, name: str, examples: list[str | None]
) -> None:
    text = PROTO.replace("FIELD", "").replace("PATH", template).replace("NAME", name)
    (path,) = [
        item["get"] for item in document(descriptor_set(a=text))["paths"].values() if "get" in item
    ]
    found = [one.get("example") for one in path["parameters"] if one["in"] == "path"]
    assert found == examples


def test_parameters_that_are_parts_of_a_resource_have_examples_made_of_their_names() -> None:
    text = """
        syntax = "proto3"; package a.v1;
        import "google/api/annotations.proto"; import "google/api/resource.proto";
        message Thing {
          option (google.api.resource) = {type: "a/Thing" pattern: "boxes/{box_id}/things/{thing}"};
          string name = 1;
        }
        service Things {
          rpc Get(Thing) returns (Thing) {
            option (google.api.http) = {get: "/v1/{name=boxes/*/things/*}"};
          }
        }
    """
    (path,) = document(descriptor_set(a=text))["paths"].values()
    found = {one["name"]: one.get("example") for one in path["get"]["parameters"]}
    assert found == {"box_id": "box_id-1", "thing": "thing-1"}


def test_all_examples_of_the_sample_are_valid_by_their_schemas() -> None:
    files = FileDescriptorSet.FromString(Path("gen/descriptors.binpb").read_bytes())
    whole = document(files)
    found = 0

    def check(part: Any) -> None:
        nonlocal found
        if isinstance(part, list):
            for one in part:
                check(one)
        elif isinstance(part, dict):
            if isinstance(part.get("examples"), list):
                for example in part["examples"]:
                    root = {**part, "components": whole["components"]}
                    OAS31Validator(root).validate(example)
                    found += 1
            for one in part.values():
                check(one)

    check(json.loads(json.dumps(whole)))
    assert found > 40

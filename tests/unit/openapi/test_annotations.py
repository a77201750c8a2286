"""Annotations for other generators change words, and never what is said to be served."""

import json
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.config.model import Config
from gateway.openapi.annotations import read_annotations
from gateway.openapi.document import build_document
from gateway.openapi.text import to_json
from gateway.policy.effective import effective_policies
from gateway.schema.catalog import Schema, build_schema, files_of
from gateway.transcoding.transcoder import build_transcoder
from tests.support.annotated import GNOSTIC, OPENAPIV2
from tests.support.schema import descriptor_set

V2 = "grpc.gateway.protoc_gen_openapiv2.options"
PROTO = f"""
syntax = "proto3";
package a.v1;
import "google/api/annotations.proto";
import "google/api/field_info.proto";
import "v2.proto";
import "gnostic.proto";
option ({V2}.openapiv2_swagger) = {{
  info {{title: "Old title" version: "7" description: "About things."}}
  host: "elsewhere.example.com"
  tags {{name: "things" description: "All about things."}}
  external_docs {{url: "https://example.com/more"}}
  extensions {{key: "x-of-file" value {{string_value: "yes"}}}}
  extensions {{key: "paths" value {{string_value: "no"}}}}
}};
option (openapi.v3.document) = {{
  info {{title: "Title" specification_extension {{name: "x-team" value {{yaml: "[a, 1]"}}}}}}
  servers {{url: "https://elsewhere.example.com"}}
}};
// Comment of the service.
service Things {{
  option ({V2}.openapiv2_tag) = {{name: "things" description: "Things."}};
  // Comment of the method.
  rpc Put(Thing) returns (Thing) {{
    option (google.api.http) = {{
      post: "/v1/things" body: "*" additional_bindings {{put: "/v1/things" body: "*"}}
    }};
    option ({V2}.openapiv2_operation) = {{
      summary: "Old summary"
      description: "Puts a thing."
      operation_id: "putThing"
      tags: "things"
      tags: "writing"
      deprecated: true
      consumes: "text/plain"
      security {{}}
      external_docs {{url: "https://example.com/put"}}
      parameters {{
        headers {{name: "X-Shelf" type: INTEGER required: true}}
        headers {{name: "Accept" type: STRING}}
      }}
      responses {{key: "200" value {{
        description: "It is there."
        headers {{key: "X-Count" value {{type: "integer" description: "How many."}}}}
        examples {{key: "application/json" value: "{{\\"name\\": \\"a\\"}}"}}
        examples {{key: "text/plain" value: "a"}}
      }}}}
      responses {{key: "404" value {{description: "No such shelf."}}}}
      responses {{key: "418" value {{description: "A teapot." schema {{json_schema {{type: STRING}}}}}}}}
      extensions {{key: "x-mine" value {{number_value: 3}}}}
      extensions {{key: "x-timeout-s" value {{number_value: 99}}}}
    }};
    option (openapi.v3.operation) = {{
      summary: "Puts"
      parameters {{parameter {{name: "X-Room" in: "header" schema {{schema {{type: "string" format: "uuid"}}}}}}}}
      responses {{response_or_reference {{name: "409" value {{response {{description: "Taken."}}}}}}}}
      specification_extension {{name: "x-other" value {{yaml: "{{a: true}}"}}}}
    }};
  }}
  rpc List(Thing) returns (Thing) {{ option (google.api.http) = {{get: "/v1/things"}}; }}
}}
// Comment of the message.
message Thing {{
  option ({V2}.openapiv2_schema) = {{
    json_schema {{title: "A thing" required: "name" required: "page_count" required: "nothing"}}
    external_docs {{url: "https://example.com/thing"}}
    example: "{{\\"name\\": \\"b\\", \\"big_count\\": 5}}"
  }};
  // Comment of the field.
  string name = 1 [
    ({V2}.openapiv2_field) = {{description: "Old." max_length: 9 pattern: "^a" example: "\\"ab\\"" type: STRING}},
    (openapi.v3.property) = {{description: "The name." title: "Name"}}
  ];
  int32 page_count = 2 [({V2}.openapiv2_field) = {{
    maximum: 10 exclusive_maximum: true pattern: "^1" example: "7"
    extensions {{key: "x-unit" value {{string_value: "page"}}}}
  }}];
  int64 big_count = 3 [(openapi.v3.property) = {{minimum: 1 example {{yaml: "12"}}}}];
  Color color = 4 [({V2}.openapiv2_field) = {{title: "Its color" example: "RED"}}];
  repeated string parts = 5 [({V2}.openapiv2_field) = {{min_items: 1 example: "[\\"x\\"]" required: "parts"}}];
  string made = 6 [({V2}.openapiv2_field) = {{read_only: true required: "made"}}];
  string id = 7 [(google.api.field_info).format = UUID4];
  string secret = 8 [debug_redact = true, ({V2}.openapiv2_field) = {{example: "\\"x\\""}}];
  int32 odd = 9 [({V2}.openapiv2_field) = {{example: "\\"no number\\"" maximum: inf pattern: "x"}}];
}}
// Comment of the enum.
enum Color {{
  option ({V2}.openapiv2_enum) = {{description: "A color." title: "Color"}};
  RED = 0;
}}
"""  # noqa: E501 - the options of one element


def schema_of(proto: str = PROTO) -> Schema:
    return build_schema(descriptor_set(v2=OPENAPIV2, gnostic=GNOSTIC, a=proto), comments=True)


def document(**settings: Any) -> dict[str, Any]:
    config = Config.model_validate(settings)
    schema = schema_of()
    bindings = build_transcoder(config, schema).bindings
    policies = effective_policies(schema, config.policies)
    found: dict[str, Any] = json.loads(to_json(build_document(config, schema, bindings, policies)))
    return found


DOCUMENT = document()
SCHEMAS = DOCUMENT["components"]["schemas"]
PUT = DOCUMENT["paths"]["/v1/things"]["post"]
FIELDS = SCHEMAS["a.v1.ThingInput"]["properties"]


def test_the_document_is_valid() -> None:
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


def test_the_document_has_the_words_of_its_file_and_keeps_its_servers() -> None:
    assert DOCUMENT["info"] == {
        "title": "Title",
        "version": "7",
        "description": "About things.",
        "x-team": ["a", 1],
    }
    assert DOCUMENT["externalDocs"] == {"url": "https://example.com/more"}
    assert DOCUMENT["x-of-file"] == "yes"
    assert DOCUMENT["servers"] == [{"url": "/"}]
    assert list(DOCUMENT["paths"]) == ["/v1/things"]


def test_settings_come_before_annotations() -> None:
    found = document(openapi={"title": "Mine", "external_docs": {"url": "https://example.com/a"}})
    assert found["info"]["title"] == "Mine"
    assert found["externalDocs"] == {"url": "https://example.com/a"}


def test_operations_have_the_words_of_annotations() -> None:
    assert PUT["summary"] == "Puts"
    assert PUT["description"] == "Puts a thing."
    assert PUT["operationId"] == "putThing"
    assert DOCUMENT["paths"]["/v1/things"]["put"]["operationId"] == "putThing_2"
    assert PUT["deprecated"] is True
    assert PUT["externalDocs"] == {"url": "https://example.com/put"}
    assert PUT["x-mine"] == 3
    assert PUT["x-other"] == {"a": True}
    assert "security" not in PUT
    assert list(PUT["requestBody"]["content"]) == ["application/json", "application/x-protobuf"]


def test_tags_are_those_of_annotations() -> None:
    assert PUT["tags"] == ["things", "writing"]
    assert DOCUMENT["paths"]["/v1/things"]["get"]["tags"] == ["things"]
    assert [tag["name"] for tag in DOCUMENT["tags"]] == ["things", "writing"]


def test_header_fields_become_parameters() -> None:
    assert PUT["parameters"] == [
        {"name": "X-Shelf", "in": "header", "required": True, "schema": {"type": "integer"}},
        {"name": "X-Room", "in": "header", "schema": {"type": "string", "format": "uuid"}},
    ]


def test_responses_have_the_words_of_annotations() -> None:
    responses = PUT["responses"]
    assert responses["409"] == {"description": "Taken."}
    assert responses["200"]["description"] == "It is there."
    assert responses["200"]["headers"]["X-Count"]["schema"] == {"type": "integer"}
    assert responses["200"]["content"]["application/json"]["example"] == {"name": "a"}
    assert responses["404"]["description"] == "No such shelf."
    assert responses["404"]["$ref"] == "#/components/responses/NotFound"
    assert responses["418"] == {"description": "A teapot."}
    assert responses["400"] == {"$ref": "#/components/responses/BadRequest"}


def test_fields_have_words_limits_and_examples() -> None:
    name = FIELDS["name"]
    assert (name["description"], name["title"]) == ("The name.", "Name")
    assert (name["maxLength"], name["pattern"], name["examples"]) == (9, "^a", ["ab"])
    pages = FIELDS["pageCount"]
    assert pages["exclusiveMaximum"] == 10
    assert pages["examples"] == [7]
    assert pages["x-unit"] == "page"
    assert "pattern" not in pages
    assert FIELDS["bigCount"]["examples"] == ["12"]
    assert "minimum" not in FIELDS["bigCount"]
    assert FIELDS["color"]["title"] == "Its color"
    assert FIELDS["color"]["examples"] == ["RED"]
    assert FIELDS["parts"]["minItems"] == 1
    assert FIELDS["made"]["readOnly"] is True
    assert FIELDS["id"]["format"] == "uuid"


def test_infinite_limits_are_left_out() -> None:
    assert FIELDS["odd"] == {"type": "integer", "format": "int32"}


def test_limits_are_those_of_requests() -> None:
    properties = SCHEMAS["a.v1.Thing"]["properties"]
    assert "maxLength" not in properties["name"]
    assert properties["name"]["title"] == "Name"


def test_examples_that_do_not_fit_and_of_secrets_are_left_out() -> None:
    assert "examples" not in FIELDS["odd"]
    assert "examples" not in FIELDS["secret"]


def test_required_fields_are_required_in_requests_alone() -> None:
    assert SCHEMAS["a.v1.ThingInput"]["required"] == ["name", "pageCount", "parts"]
    required = {one["name"] for one in DOCUMENT["paths"]["/v1/things"]["get"]["parameters"]}
    assert {"name", "pageCount"} <= required
    assert PUT["requestBody"]["required"] is True


def test_messages_and_enums_have_words_and_examples() -> None:
    thing = SCHEMAS["a.v1.ThingInput"]
    assert thing["title"] == "A thing"
    assert thing["description"] == "Comment of the message."
    assert thing["externalDocs"] == {"url": "https://example.com/thing"}
    assert thing["examples"] == [{"name": "b", "bigCount": "5"}]
    assert SCHEMAS["a.v1.Color"]["description"].startswith("A color.\n\n")


@pytest.mark.parametrize(
    ("element", "parts"),
    [
        ("a.v1.Things.Put", ["consumes", "security", "parameters", "responses.schema"]),
        ("a.v1.Thing.name", ["type"]),
        ("a.v1.Thing.page_count", ["pattern"]),
        ("a.v1.Thing.big_count", ["minimum"]),
    ],
)
def test_what_contradicts_the_gateway_is_told(element: str, parts: list[str]) -> None:
    schema = schema_of()
    methods = list(schema.methods.values())
    found = read_annotations(schema.pool, ["a.v1.Things"], files_of(methods))
    told = [part for one in found.left_out if one.element == element for part in one.parts]
    assert told == parts
    assert {one.file for one in found.left_out} == {"a.proto"}

"""The rules of requests in the document, if the gateway checks them."""

from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.config.model import Config
from gateway.openapi.document import build_document
from gateway.policy.effective import effective_policies
from gateway.schema.catalog import build_schema
from gateway.transcoding.transcoder import build_transcoder
from tests.support.schema import descriptor_set
from tests.support.validated import RULES

PROTO = """
syntax = "proto3";
package a.v1;
import "buf/validate/validate.proto";
import "google/api/annotations.proto";
service Things {
  rpc Put(Thing) returns (Thing) { option (google.api.http) = {post: "/v1/things" body: "*"}; }
  rpc List(Thing) returns (Thing) { option (google.api.http) = {get: "/v1/things"}; }
}
message Thing {
  option (buf.validate.message).cel = {id: "a" message: "all must fit" expression: "true"};
  FIELD
}
"""


def document(field: str, validation: str = "protovalidate") -> dict[str, Any]:
    """The document of an API whose request has this field."""
    text = PROTO.replace("FIELD", field)
    files = descriptor_set(**{"a": text, "buf/validate/validate": RULES})
    schema = build_schema(files, comments=True)
    config = Config.model_validate({"validation": validation, "query": {"maps": True}})
    bindings = build_transcoder(config, schema).bindings
    return build_document(config, schema, bindings, effective_policies(schema, config.policies))


def thing(field: str, *, is_request: bool = True, validation: str = "protovalidate") -> Any:
    """The schema of the message with this field, in requests or in replies."""
    schemas = document(field, validation)["components"]["schemas"]
    return schemas["a.v1.ThingInput" if is_request else "a.v1.Thing"]


def rule(kind: str, rules: str) -> str:
    return f"{kind} f = 1 [(buf.validate.field).{rules}];"


REQUIRED = "option (buf.validate.oneof).required = true;"
TEXT = {"type": "string"}
INT32 = {"type": "integer", "format": "int32"}
BYTES = {"type": "string", "format": "byte", "contentEncoding": "base64"}
NUMBERS = {"type": "array", "items": INT32}
INT64 = {"type": "string", "format": "int64", "pattern": "^-?(0|[1-9][0-9]{0,18})$"}
DOUBLE = {"type": "number", "format": "double"}


@pytest.mark.parametrize(
    ("field", "schema"),
    [
        (
            rule("string", "string = {min_len: 3, max_len: 9}"),
            TEXT | {"minLength": 3, "maxLength": 9},
        ),
        (rule("string", "string.len = 4"), TEXT | {"minLength": 4, "maxLength": 4}),
        (rule("string", "string.max_bytes = 7"), TEXT | {"maxLength": 7}),
        (rule("string", 'string.pattern = "^a+$"'), TEXT | {"pattern": "^a+$"}),
        (rule("string", 'string.prefix = "a.b"'), TEXT | {"pattern": r"^a\.b"}),
        (rule("string", 'string.suffix = "(x"'), TEXT | {"pattern": r"\(x$"}),
        (rule("string", 'string.contains = "-"'), TEXT | {"pattern": "-"}),
        (
            rule("string", 'string = {prefix: "a", suffix: "b"}'),
            TEXT | {"pattern": "^a", "allOf": [{"pattern": "b$"}]},
        ),
        (
            rule("string", 'string.pattern = "(?i)^a$"'),
            TEXT | {"description": "Rules: pattern (?i)^a$."},
        ),
        (rule("string", "string.email = true"), TEXT | {"format": "email"}),
        (rule("string", "string.uuid = true"), TEXT | {"format": "uuid"}),
        (rule("string", "string.ip = true"), TEXT | {"description": "Rules: ip."}),
        (rule("string", 'string.const = "x"'), TEXT | {"const": "x"}),
        (rule("string", 'string = {in: ["x", "y"]}'), TEXT | {"enum": ["x", "y"]}),
        (rule("string", 'string = {not_in: ["x"]}'), TEXT | {"not": {"enum": ["x"]}}),
        (rule("int32", "int32 = {gte: 1, lte: 9}"), INT32 | {"minimum": 1, "maximum": 9}),
        (
            rule("int32", "int32 = {gt: 0, lt: 9}"),
            INT32 | {"exclusiveMinimum": 0, "exclusiveMaximum": 9},
        ),
        (rule("int32", "int32 = {gt: 9, lt: 0}"), INT32 | {"description": "Rules: lt 0; gt 9."}),
        (rule("int32", "int32 = {in: [1, 2]}"), INT32 | {"enum": [1, 2]}),
        (
            rule("int64", "int64.lte = 5"),
            {
                "type": "string",
                "format": "int64",
                "pattern": "^-?(0|[1-9][0-9]{0,18})$",
                "description": "Rules: lte 5.",
            },
        ),
        (rule("string", 'string.example = "a"'), TEXT | {"examples": ["a"]}),
        (
            rule("string", 'string.example = "a", debug_redact = true'),
            TEXT | {"format": "password"},
        ),
        (rule("int64", "int64.example = 5"), INT64 | {"examples": ["5"]}),
        (rule("bytes", 'bytes.example = "abc"'), BYTES | {"examples": ["YWJj"]}),
        (
            rule("double", "double = {lte: 2.5, example: 1.5}"),
            DOUBLE | {"maximum": 2.5, "examples": [1.5]},
        ),
        # JSON has no such numbers.
        (
            rule("double", "double = {lte: inf, in: [1, nan], example: nan}"),
            DOUBLE | {"enum": [1.0]},
        ),
        (
            rule("bytes", "bytes = {min_len: 4, max_len: 4}"),
            BYTES | {"minLength": 6, "maxLength": 8},
        ),
        (
            rule("repeated int32", "repeated = {min_items: 1, max_items: 3, unique: true}"),
            NUMBERS | {"minItems": 1, "maxItems": 3, "uniqueItems": True},
        ),
        (
            rule("repeated int32", "repeated.items.int32.gte = 2"),
            {"type": "array", "items": INT32 | {"minimum": 2}},
        ),
        (
            rule(
                "map<string, int32>",
                "map = {max_pairs: 2 values {int32 {lte: 5}} keys {string {max_len: 3}}}",
            ),
            {
                "type": "object",
                "maxProperties": 2,
                "additionalProperties": INT32 | {"maximum": 5},
                "propertyNames": {"maxLength": 3},
            },
        ),
        (
            rule("string", 'cel = {id: "b" message: "must be good" expression: "true"}'),
            TEXT | {"description": "Rules: must be good."},
        ),
        (
            rule("string", "ignore = IGNORE_IF_ZERO_VALUE, (buf.validate.field).string.len = 9"),
            TEXT | {"maxLength": 9},
        ),
        (
            "string f = 1 [(buf.validate.field) = {ignore: IGNORE_ALWAYS, string: {min_len: 3}}];",
            TEXT,
        ),
    ],
)
def test_rules_become_keywords_or_sentences(field: str, schema: dict[str, object]) -> None:
    whole = document(field)
    OpenAPIV31SpecValidator(whole).validate()
    assert whole["components"]["schemas"]["a.v1.ThingInput"]["properties"]["f"] == schema


@pytest.mark.parametrize(
    ("field", "is_required"),
    [
        (rule("string", "required = true"), True),
        (rule("string", "string.min_len = 1"), True),
        (rule("optional string", "string.min_len = 1"), False),
        (rule("repeated int32", "repeated.min_items = 1"), True),
        (rule("string", "string.max_len = 1"), False),
    ],
)
def test_a_field_that_must_be_sent_is_required(field: str, is_required: bool) -> None:
    assert ("f" in thing(field).get("required", ())) is is_required
    operation = document(field)["paths"]["/v1/things"]["get"]
    assert bool(operation["parameters"][0].get("required")) is is_required
    body = document(field)["paths"]["/v1/things"]["post"]["requestBody"]
    assert bool(body.get("required")) is is_required


def test_query_parameters_have_the_rules() -> None:
    (parameter,) = document(rule("int32", "int32.gte = 2"))["paths"]["/v1/things"]["get"][
        "parameters"
    ]
    assert parameter["schema"] == INT32 | {"minimum": 2}


def test_a_rule_of_a_message_is_a_sentence() -> None:
    assert thing("string f = 1;")["description"] == "Rules: all must fit."


@pytest.mark.parametrize(("rules", "how_many"), [("", "At most"), (REQUIRED, "Exactly")])
def test_a_oneof_says_how_many_are_set(rules: str, how_many: str) -> None:
    described = thing(f"oneof choice {{ {rules} string f = 1; string g = 2; }}")["description"]
    assert described.startswith(f"{how_many} one of `f`, `g` is set.")


def test_replies_are_not_checked() -> None:
    field = rule("string", "string.min_len = 3")
    assert thing(field, is_request=False)["properties"]["f"] == TEXT
    assert "description" not in thing(field, is_request=False)


def test_without_validation_there_are_no_rules() -> None:
    assert thing(rule("string", "string.min_len = 3"), validation="off")["properties"]["f"] == TEXT

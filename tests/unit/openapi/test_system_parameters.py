"""System parameters of a service config in the document: places of API keys, and no fields."""

import json
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.config.model import Config
from gateway.openapi.document import build_document
from gateway.openapi.text import to_json
from gateway.policy.effective import effective_policies
from gateway.schema.catalog import build_schema
from gateway.schema.system_parameters import SystemParameter, SystemParameterRule
from gateway.transcoding.transcoder import build_transcoder
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3"; package a; import "google/api/annotations.proto";
message M { string id = 1; string page_size = 2; M in = 3; }
service S {
  rpc One(M) returns (M) { option (google.api.http) = {get: "/one"}; }
  rpc Two(M) returns (M) { option (google.api.http) = {get: "/two"}; }
}
"""
PARAMETERS = (
    SystemParameter("api_key", "X-Goog-Api-Key", "k[y]"),
    SystemParameter("api_key", "x-api-key", ""),
    SystemParameter("alt", "", "pageSize"),
    SystemParameter("trace", "", "in"),
)


def document(**settings: Any) -> dict[str, Any]:
    config = Config.model_validate(settings)
    rules = [SystemParameterRule("a.S.One", PARAMETERS, "x.yaml", 1)]
    schema = build_schema(descriptor_set(a=PROTO), system_parameters=rules)
    bindings = build_transcoder(config, schema).bindings
    policies = effective_policies(schema, config.policies)
    found: dict[str, Any] = json.loads(to_json(build_document(config, schema, bindings, policies)))
    return found


def test_places_of_keys_become_schemes_of_the_methods_that_have_them() -> None:
    found = document(auth={"store": "memory:"})
    schemes = found["components"]["securitySchemes"]
    assert {name: one for name, one in schemes.items() if name.startswith("key")} == {
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "key-query-k_y_": {"type": "apiKey", "in": "query", "name": "k[y]"},
        "key-header-X-Goog-Api-Key": {"type": "apiKey", "in": "header", "name": "X-Goog-Api-Key"},
    }
    one, two = (found["paths"][path]["get"]["security"] for path in ("/one", "/two"))
    assert {"key-query-k_y_": []} in one
    assert two == [{"token": []}, {"key": []}]
    assert list(OpenAPIV31SpecValidator(found).iter_errors()) == []


def test_without_api_keys_there_are_no_schemes() -> None:
    assert "securitySchemes" not in document()["components"]
    found = document(auth={"store": "memory:", "order": ["token"]})
    assert list(found["components"]["securitySchemes"]) == ["token"]


def test_their_names_are_not_those_of_fields() -> None:
    one, two = (
        [part["name"] for part in document()["paths"][path]["get"]["parameters"]]
        for path in ("/one", "/two")
    )
    assert two[:2] == ["id", "pageSize"]
    assert [name for name in two if name not in one] == ["pageSize"]

"""Methods whose replies have secret fields, at any depth."""

import pytest

from gateway.config.policy import PolicyRule
from gateway.policy.effective import effective_policies, refuse_secrets
from gateway.policy.options import PolicyError
from gateway.schema.catalog import build_schema
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package safe.v1;
import "google/api/annotations.proto";
message Plain { string name = 1; Plain next = 2; }
message Card { string number = 1 [debug_redact = true]; }
message Person { string name = 1; map<string, Card> cards = 2; }
service Safe {
  rpc GetPlain(Card) returns (Plain) { option (google.api.http) = {get: "/v1/plain"}; }
  rpc GetPerson(Plain) returns (Person) { option (google.api.http) = {get: "/v1/person"}; }
}
"""


def test_a_method_with_a_secret_in_its_replies_is_refused() -> None:
    schema = build_schema(descriptor_set(safe=PROTO))

    def refuse(selector: str) -> None:
        rule = PolicyRule.model_validate({"selector": selector, "cache": {"ttl_s": 60}})
        policies = effective_policies(schema, [rule])
        refuse_secrets(policies, "cache.store", "cache.allow_sensitive: true")

    refuse("safe.v1.Safe.GetPlain")
    with pytest.raises(PolicyError, match=r"GetPerson: cache: safe\.v1\.Card\.number is secret"):
        refuse("*")

"""What the configuration adds to the policies of the protos."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.deadlines import DeadlineOptions
from gateway.config.policy import CountBy, PolicyRule
from gateway.policy.deadlines import Deadlines
from gateway.policy.effective import effective_policies, summary, with_timeouts, without_policy
from gateway.policy.options import MethodPolicy, PolicyError
from gateway.schema.catalog import build_schema
from tests.support.rate_limits import rate_limit
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package shop.v1;
import "gatewayapi/v1/policy.proto";
message Owner { string name = 1; }
message M { string a = 1; Owner owner = 2; }
service Shop {
  rpc Get(M) returns (M) {
    option (gatewayapi.v1.policy) = {scopes: {all: "read"} cost: 2};
  }
  rpc List(M) returns (M);
}
service Shops { rpc Do(M) returns (M); }
"""
SCHEMA = build_schema(descriptor_set(shop=PROTO))


def policies(*rules: dict[str, Any]) -> dict[str, MethodPolicy]:
    read = [PolicyRule.model_validate(rule) for rule in rules]
    return {m.full_name: p for m, p in effective_policies(SCHEMA, read).items()}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("*", {"Shop.Get", "Shop.List", "Shops.Do"}),
        ("shop.v1.*", {"Shop.Get", "Shop.List", "Shops.Do"}),
        ("shop.v1.Shop.*", {"Shop.Get", "Shop.List"}),
        ("shop.v1.Shop.List", {"Shop.List"}),
    ],
)
def test_a_selector_is_a_name_or_what_names_begin_with(selector: str, selected: set[str]) -> None:
    found = policies({"selector": selector, "max_concurrent": 5})
    limited = {name for name, policy in found.items() if policy.max_concurrent == 5}
    assert limited == {f"shop.v1.{name}" for name in selected}


@pytest.mark.parametrize("selector", ["shop.v1.Shop", "shop.v1.Sho*", "shop.v1.Shop.Gett", ""])
def test_a_selector_that_selects_nothing_is_refused(selector: str) -> None:
    with pytest.raises(PolicyError, match=r"policies\[0\]\.selector: no method .* shop\.v1\.Shop"):
        policies({"selector": selector})


def test_rules_are_stronger_than_protos_and_later_rules_than_earlier_field_by_field() -> None:
    found = policies(
        {"selector": "shop.v1.*", "cost": 3, "rate_limits": [{"limit": 7, "by": "address"}]},
        {"selector": "shop.v1.Shop.Get", "rate_limits": []},
    )
    assert found["shop.v1.Shop.Get"] == MethodPolicy(
        scopes_all=frozenset({"read"}), cost=3, is_stated=True
    )
    assert found["shop.v1.Shop.List"].rate_limits == (rate_limit(7, 1.0, CountBy.ADDRESS),)


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param({"cost": 0}, id="a cost of nothing"),
        pytest.param({"rate_limits": [{"limit": 0}]}, id="a limit of nothing"),
        pytest.param({"rate_limits": [{"limit": 1, "by": "header"}]}, id="no header to count by"),
        pytest.param({"rate_limits": [{"limit": 1, "header": "x"}]}, id="a header of no use"),
        pytest.param({"rate_limits": [{"limit": 1, "by": "moon"}]}, id="by something unknown"),
        pytest.param({"scopes": {"all": ["a b"]}}, id="a scope with a space"),
        pytest.param({"anonymous": True, "scopes": {"any": ["a"]}}, id="scopes of nobody"),
        pytest.param({"timeout_s": 0}, id="no time"),
        pytest.param({"cots": 1}, id="a misspelt word"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PolicyRule.model_validate({"selector": "*"} | rule)


def test_a_header_to_count_by_must_be_one() -> None:
    limit = {"limit": 1, "by": "header", "header": "X Tenant"}
    with pytest.raises(ValidationError, match=r"rate_limits\.0\.header\s+.*expected the name"):
        policies({"selector": "shop.v1.Shop.Get", "rate_limits": [limit]})


def test_names_of_headers_to_count_by_are_compared_in_lower_case() -> None:
    limit = {"limit": 1, "by": "header", "header": "X-Tenant"}
    found = policies({"selector": "shop.v1.Shop.Get", "rate_limits": [limit]})
    assert found["shop.v1.Shop.Get"].rate_limits[0].header == "x-tenant"


def test_what_is_redacted_must_be_there() -> None:
    found = policies({"selector": "shop.v1.Shop.Get", "redact": ["owner.name", "*"]})
    assert found["shop.v1.Shop.Get"].redact == {"owner.name", "*"}
    with pytest.raises(PolicyError, match=r"shop\.v1\.M has no field owner\.nam"):
        policies({"selector": "shop.v1.Shop.Get", "redact": ["owner.nam"]})


def test_methods_without_a_policy_are_named_once() -> None:
    found = effective_policies(SCHEMA, [])
    served = list(SCHEMA.methods.values())
    lines = without_policy(found, [*served, *served])
    assert [line.split()[0] for line in lines] == ["shop.v1.Shop.List", "shop.v1.Shops.Do"]
    everything = effective_policies(SCHEMA, [PolicyRule(selector="*", anonymous=False)])
    assert without_policy(everything, served) == []


def test_a_policys_time_is_the_default_and_the_most_unless_deadlines_say_otherwise() -> None:
    rule = PolicyRule(selector="shop.v1.Shop.*", timeout_s=5)
    stated = {"methods": [{"selector": "shop.v1.Shop.List", "default_s": 2}]}
    options = with_timeouts(
        DeadlineOptions.model_validate(stated), effective_policies(SCHEMA, [rule])
    )
    deadlines = Deadlines(options)
    get, listed, other = SCHEMA.methods.values()
    assert (deadlines.timeout_s(get, None), deadlines.timeout_s(get, "60S")) == (5, 5)
    assert (deadlines.timeout_s(listed, None), deadlines.timeout_s(listed, "60S")) == (2, 5)
    assert deadlines.timeout_s(other, None) == 30


def test_a_policy_can_be_read_on_one_line() -> None:
    policy = MethodPolicy(
        anonymous=False,
        scopes_all=frozenset("ba"),
        scopes_any=frozenset("dc"),
        rate_limits=(rate_limit(10, 60), rate_limit(1, 0.5, CountBy.HEADER, "x-tenant")),
        cost=2,
        max_concurrent=4,
        timeout_s=1.5,
        redact=frozenset({"name"}),
    )
    assert summary(policy) == (
        "not anonymous; scopes a+b; scope c|d; 10/60s by principal; 1/0.5s by x-tenant; "
        "cost 2; 4 at once; 1.5s; redacts name"
    )
    assert summary(MethodPolicy()) == ""

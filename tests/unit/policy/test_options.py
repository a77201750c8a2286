"""Policies: what options say, and what becomes of parts that speak of one method."""

import re
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from pydantic import BaseModel

from gateway.config.cache import CacheRule, CacheScope, NegativeRule
from gateway.config.idempotency import IdempotencyRule, KeyNeed, OnUnknown
from gateway.config.policy import CountBy, LimitAlgorithm, PolicyRule, RateLimit, ScopesRule
from gateway.policy.options import MethodPolicy, PolicyError, declared_rules, merged
from gateway.schema.catalog import build_schema
from gatewayapi.v1 import policy_pb2 as pb
from tests.support.rate_limits import rate_limit
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package shop.v1;
import "gatewayapi/v1/policy.proto";
message M { string a = 1; }
service Shop {
  option (gatewayapi.v1.default_policy) = {anonymous: true max_concurrent: 9};
  rpc Plain(M) returns (M);
  rpc Get(M) returns (M) { option (gatewayapi.v1.policy) = {%s}; }
}
service Other { rpc Do(M) returns (M); }
"""


def policy(text: str, method: str = "Shop.Get") -> MethodPolicy:
    return merged(parts_of(descriptor_set(shop=PROTO % text), method))


def parts_of(files: FileDescriptorSet, method: str = "Shop.Get") -> tuple[PolicyRule, ...]:
    schema = build_schema(files)
    return declared_rules(schema)[schema.methods[f"shop.v1.{method}"]]


def test_a_method_of_which_nothing_is_said_has_no_policy() -> None:
    assert policy("", "Other.Do") == MethodPolicy()


def test_a_service_speaks_for_its_methods() -> None:
    expected = MethodPolicy(anonymous=True, max_concurrent=9, is_stated=True)
    assert policy("", "Shop.Plain") == expected
    assert policy("") == expected


def test_a_method_speaks_for_itself() -> None:
    stated = """
      scopes: {all: "a" all: "b" any: "c"} cost: 3 max_concurrent: 2 redact: "a"
      timeout: {seconds: 1 nanos: 500000000}
      rate_limits: {limit: 10 window: {seconds: 60} by: HEADER header: "X-Tenant" name: "shared"}
      rate_limits: {limit: 5 algorithm: SLIDING_WINDOW by: METHOD}
    """
    assert policy(stated) == MethodPolicy(
        scopes_all=frozenset("ab"),
        scopes_any=frozenset("c"),
        cost=3,
        max_concurrent=2,
        timeout_s=1.5,
        redact=frozenset("a"),
        rate_limits=(
            rate_limit(10, 60.0, CountBy.HEADER, "x-tenant", name="shared"),
            rate_limit(5, 1.0, CountBy.METHOD, algorithm=LimitAlgorithm.SLIDING_WINDOW),
        ),
        is_stated=True,
    )


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        ("rate_limits: {}", r"rate_limits\[0\].limit: expected 1 or more, got 0"),
        ("rate_limits: {limit: -1}", "expected 1 or more, got -1"),
        ("rate_limits: {limit: 1 window: {}}", "window: expected more than nothing, got 0 s"),
        ("rate_limits: {limit: 1 by: HEADER}", "header: expected the name of the header"),
        ("rate_limits: {limit: 1 by: HEADER header: 'a b'}", "header: expected the name"),
        ("rate_limits: {limit: 1 header: 'x'}", "header: applies only if by is HEADER"),
        ("rate_limits: {limit: 1} rate_limits: {limit: 1 by: 77}", r"\[1\].by: .* value 77"),
        ("rate_limits: {limit: 1 algorithm: 9}", "algorithm: this gateway does not know"),
        ("cost: 0", "cost: expected 1 or more, got 0"),
        ("max_concurrent: -2", "max_concurrent: expected 1 or more, got -2"),
        ("timeout: {seconds: -1}", "timeout: expected more than nothing, got -1 s"),
        ("scopes: {all: 'a b'}", "scopes: 'a b' is no scope"),
        ("scopes: {any: ''}", "scopes: '' is no scope"),
        ("anonymous: true scopes: {all: 'a'}", "anonymous and scopes exclude each other"),
    ],
)
def test_what_cannot_be_meant_is_refused(stated: str, says: str) -> None:
    with pytest.raises(PolicyError, match=rf"shop\.v1\.Shop\.Get: \(gatewayapi.*{says}"):
        policy(stated)


def test_every_wrong_field_of_an_option_is_named() -> None:
    with pytest.raises(PolicyError) as refused:
        policy("cost: 0 timeout: {} rate_limits: {limit: 1 window: {seconds: -2}}")
    place = "shop.v1.Shop.Get: (gatewayapi.v1.policy)"
    assert str(refused.value).splitlines() == [
        f"{place}: rate_limits[0].window: expected more than nothing, got -2 s",
        f"{place}: cost: expected 1 or more, got 0",
        f"{place}: timeout: expected more than nothing, got 0 s",
    ]


@pytest.mark.parametrize(
    ("message", "section"),
    [(pb.Policy, PolicyRule), (pb.Scopes, ScopesRule), (pb.RateLimit, RateLimit)],
)
def test_each_key_of_the_proto_is_a_setting_and_each_setting_a_key(
    message: Any, section: type[BaseModel]
) -> None:
    fields = {field.name for field in message.DESCRIPTOR.fields}
    settings = {name.removesuffix("_s") for name in section.model_fields}
    assert settings - {"selector"} == fields


def test_each_value_of_an_enum_of_the_proto_is_one_of_the_settings() -> None:
    for numbers, values in ((pb.RateLimit.By, CountBy), (pb.RateLimit.Algorithm, LimitAlgorithm)):
        named = [name.lower() for name, _ in numbers.items() if "UNSPEC" not in name]
        assert named == list(values)


def test_the_number_is_ours_only_where_our_file_is() -> None:
    files = descriptor_set(shop=PROTO % "cost: 0")
    kept = FileDescriptorSet()
    for file in files.file:
        if file.name != "gatewayapi/v1/policy.proto":
            kept.file.add().CopyFrom(file)
    kept.file[-1].dependency.remove("gatewayapi/v1/policy.proto")
    assert parts_of(kept) == ()


def test_another_version_of_our_file_in_another_place_will_do() -> None:
    files = descriptor_set(shop=PROTO % "cost: 3")
    (ours,) = [file for file in files.file if file.name == "gatewayapi/v1/policy.proto"]
    ours.name = "vendor/policy.proto"
    (policy,) = [message for message in ours.message_type if message.name == "Policy"]
    (redact,) = [field for field in policy.field if field.name == "redact"]
    policy.field.remove(redact)
    policy.field.add(name="later", number=99, type="TYPE_STRING", label="LABEL_OPTIONAL")
    files.file[-1].dependency[:] = [ours.name]
    said = merged(parts_of(files))
    assert (said.cost, said.anonymous) == (3, True)


def rule(**stated: Any) -> PolicyRule:
    return PolicyRule.model_validate({"selector": "*", **stated})


SCOPES = rule(scopes={"all": ["write"]})
OPEN = rule(anonymous=True)


@pytest.mark.parametrize(
    ("parts", "anonymous", "scopes"),
    [
        pytest.param([OPEN, SCOPES], None, {"write"}, id="asking for scopes closes"),
        pytest.param([SCOPES, OPEN], True, set(), id="opening asks for none"),
        pytest.param([SCOPES, rule(anonymous=False)], False, {"write"}, id="closing keeps them"),
        pytest.param([SCOPES, rule(scopes={})], None, set(), id="taken back"),
        pytest.param([SCOPES, rule(cost=2)], None, {"write"}, id="about something else"),
    ],
)
def test_of_what_excludes_itself_the_last_counts(
    parts: list[PolicyRule], anonymous: bool | None, scopes: set[str]
) -> None:
    policy = merged(parts)
    assert policy.anonymous is anonymous
    assert set(policy.scopes_all) == scopes


def test_storage_is_stated_key_by_key() -> None:
    stated = "cache: {ttl: {seconds: 1} scope: SHARED vary: 'X-Tenant' sie: {nanos: 500000000}}"
    (of_service, of_method) = parts_of(descriptor_set(shop=PROTO % stated))
    later = PolicyRule(selector="*", cache=CacheRule(ttl_s=9))
    expected = CacheRule(ttl_s=9, scope=CacheScope.SHARED, vary=("x-tenant",), sie_s=0.5)
    assert merged([of_service, of_method, later]).cache == expected
    nothing = PolicyRule(selector="*", cache=CacheRule(disabled=True))
    assert merged([of_method, nothing]).cache is None
    assert merged([of_method, nothing]).is_stated


def test_tags_and_failures_to_store_are_read_from_protos() -> None:
    stated = "cache: {tags: 'a:{name}' negative: {not_found: {seconds: 9}}} invalidates: 'b'"
    (_, of_method) = parts_of(descriptor_set(shop=PROTO % stated))
    assert of_method.cache == CacheRule(tags=("a:{name}",), negative=NegativeRule(not_found_s=9))
    assert merged([of_method]).invalidates == ("b",)


@pytest.mark.parametrize(
    ("stated", "why"),
    [
        ("ttl: {}", "cache.ttl: expected more than nothing, got 0 s"),
        ("vary: 'a b'", "cache.vary: 'a b' is no name of metadata, such as accept-language"),
        ("vary: 'Accept'", "cache.vary: accept has no effect on what is stored: leave it out"),
        ("scope: 9", "cache.scope: this gateway does not know the value 9"),
    ],
)
def test_a_rule_for_storage_that_cannot_be_is_refused(stated: str, why: str) -> None:
    with pytest.raises(PolicyError, match=re.escape(why)):
        policy(f"cache: {{{stated}}}")


def test_idempotency_is_read_from_protos_and_merged_key_by_key() -> None:
    stated = "idempotency: {key: REQUIRED ttl: {seconds: 60} lease: {seconds: 9} on_unknown: RETRY}"
    (_, of_method) = parts_of(descriptor_set(shop=PROTO % stated))
    later = PolicyRule(selector="*", idempotency=IdempotencyRule(lease_s=5))
    rule = IdempotencyRule(key=KeyNeed.REQUIRED, ttl_s=60, lease_s=5, on_unknown=OnUnknown.RETRY)
    assert merged([of_method, later]).idempotency == rule
    nothing = PolicyRule(selector="*", idempotency=IdempotencyRule(disabled=True))
    assert merged([of_method, nothing]).idempotency is None

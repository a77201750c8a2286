"""Policies: what options say, and what becomes of parts that speak of one method."""

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from gateway.policy.options import (
    CountBy,
    LimitAlgorithm,
    MethodPolicy,
    PolicyError,
    PolicyPart,
    RateLimit,
    declared_parts,
    merged,
)
from gateway.schema.catalog import build_schema
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


def parts_of(files: FileDescriptorSet, method: str = "Shop.Get") -> tuple[PolicyPart, ...]:
    schema = build_schema(files)
    return declared_parts(schema)[schema.methods[f"shop.v1.{method}"]]


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
            RateLimit(10, 60.0, CountBy.HEADER, "x-tenant", name="shared"),
            RateLimit(5, 1.0, CountBy.METHOD, algorithm=LimitAlgorithm.SLIDING_WINDOW),
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
        ("rate_limits: {limit: 1 header: 'x'}", "header: is of no use unless by is HEADER"),
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


SCOPES = PolicyPart(scopes_all=frozenset({"write"}))
OPEN = PolicyPart(anonymous=True)


@pytest.mark.parametrize(
    ("parts", "anonymous", "scopes"),
    [
        pytest.param([OPEN, SCOPES], None, {"write"}, id="asking for scopes closes"),
        pytest.param([SCOPES, OPEN], True, set(), id="opening asks for none"),
        pytest.param(
            [SCOPES, PolicyPart(anonymous=False)], False, {"write"}, id="closing keeps them"
        ),
        pytest.param([SCOPES, PolicyPart(scopes_all=frozenset())], None, set(), id="taken back"),
        pytest.param([SCOPES, PolicyPart(cost=2)], None, {"write"}, id="about something else"),
    ],
)
def test_of_what_excludes_itself_the_last_counts(
    parts: list[PolicyPart], anonymous: bool | None, scopes: set[str]
) -> None:
    policy = merged(parts)
    assert policy.anonymous is anonymous
    assert set(policy.scopes_all) == scopes

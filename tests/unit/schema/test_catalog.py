"""Descriptors become methods with their rules, places and kinds."""

from collections.abc import Sequence

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from gateway.schema.catalog import HttpRule, SchemaError, Source, build_schema
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package shop.v1;
import "google/api/annotations.proto";
message M { string a = 1; }
service Shop {
  rpc Get(M) returns (M) {
    option (google.api.http) = {
      get: "/v1/{a}"
      additional_bindings { post: "/v1/get" body: "*" response_body: "a" }
      additional_bindings { custom { kind: "HEAD" path: "/v1/{a}" } }
    };
  }
  rpc Plain(M) returns (M);
  rpc Watch(M) returns (stream M);
  rpc Send(stream M) returns (M);
  rpc Talk(stream M) returns (stream M);
}
service Other { rpc Do(M) returns (M); }
"""


@pytest.fixture(scope="module")
def files() -> FileDescriptorSet:
    return descriptor_set(shop=PROTO)


def written(rules: Sequence[HttpRule]) -> list[tuple[str, str, str, str]]:
    return [(r.http_method, r.template, r.body, r.response_body) for r in rules]


def test_a_method_has_its_rules_in_order(files: FileDescriptorSet) -> None:
    method = build_schema(files).methods["shop.v1.Shop.Get"]
    assert written(method.rules) == [
        ("GET", "/v1/{a}", "", ""),
        ("POST", "/v1/get", "*", "a"),
        ("HEAD", "/v1/{a}", "", ""),
    ]
    assert method.path == "/shop.v1.Shop/Get"
    assert method.input.full_name == "shop.v1.M"
    assert method.source == Source("shop.proto", 7)


def test_the_four_kinds_have_names(files: FileDescriptorSet) -> None:
    kinds = [m.kind for m in build_schema(files).methods.values() if m.service == "shop.v1.Shop"]
    assert kinds[1:] == ["unary", "server streaming", "client streaming", "bidi"]


def test_unannotated_methods_get_a_route_only_where_asked_for(files: FileDescriptorSet) -> None:
    assert build_schema(files).methods["shop.v1.Shop.Plain"].rules == ()
    method = build_schema(files, unannotated=True).methods["shop.v1.Shop.Plain"]
    assert written(method.rules) == [("POST", "/shop.v1.Shop/Plain", "*", "")]
    assert len(build_schema(files, unannotated=True).methods["shop.v1.Shop.Get"].rules) == 3


@pytest.mark.parametrize(
    ("services", "exposed"),
    [
        ((), ("shop.v1.Shop", "shop.v1.Other")),
        (("shop.v1.Other",), ("shop.v1.Other",)),
        (("shop.*",), ("shop.v1.Shop", "shop.v1.Other")),
        (("shop.v1.*",), ("shop.v1.Shop", "shop.v1.Other")),
    ],
)
def test_only_named_services_are_exposed(
    files: FileDescriptorSet, services: tuple[str, ...], exposed: tuple[str, ...]
) -> None:
    assert build_schema(files, services=services).services == exposed


def test_a_service_that_is_not_there_is_named_with_those_that_are(
    files: FileDescriptorSet,
) -> None:
    with pytest.raises(SchemaError, match=r"no service is called shop\.v2\.\*; there are: shop"):
        build_schema(files, services=["shop.v2.*"])


def test_an_override_replaces_all_of_an_annotation(files: FileDescriptorSet) -> None:
    rule = HttpRule("PUT", "/other", "*", "", Source("s.yaml", 3))
    schema = build_schema(files, overrides={"shop.v1.Shop.Get": (rule,)})
    assert schema.methods["shop.v1.Shop.Get"].rules == (rule,)


def test_an_override_for_no_method_is_refused_with_its_place(files: FileDescriptorSet) -> None:
    rule = HttpRule("PUT", "/other", "*", "", Source("s.yaml", 3))
    with pytest.raises(SchemaError, match=r"s\.yaml:3: no method is called shop\.v1\.Shop\.Nope"):
        build_schema(files, overrides={"shop.v1.Shop.Nope": (rule,)})


def test_files_that_do_not_fit_together_are_named(files: FileDescriptorSet) -> None:
    broken = FileDescriptorSet()
    broken.CopyFrom(files)
    broken.file[-1].service[0].method[0].input_type = ".shop.v1.Nope"
    with pytest.raises(SchemaError, match=r"^shop\.proto: "):
        build_schema(broken)

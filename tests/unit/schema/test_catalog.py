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
    assert {rule.source for rule in method.rules} == {Source("shop.proto", 8)}


def test_without_source_info_the_file_is_the_place(files: FileDescriptorSet) -> None:
    bare = FileDescriptorSet()
    bare.CopyFrom(files)
    for file in bare.file:
        file.ClearField("source_code_info")
    method = build_schema(bare).methods["shop.v1.Shop.Get"]
    assert {str(source) for source in (method.source, method.rules[0].source)} == {"shop.proto"}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ('put: "/x"', ("PUT", "/x", "", "")),
        ('patch: "/x" body: "a"', ("PATCH", "/x", "a", "")),
        ('delete: "/x" response_body: "a"', ("DELETE", "/x", "", "a")),
        ('custom { kind: "*" path: "/x" }', ("*", "/x", "", "")),
        ('custom { kind: "pUrGe" path: "/x" }', ("pUrGe", "/x", "", "")),
        ('custom { path: "/x" }', ("", "/x", "", "")),
        ('body: "*"', ("", "", "*", "")),
    ],
)
def test_a_rule_is_kept_as_it_is_written(rule: str, expected: tuple[str, str, str, str]) -> None:
    option = f"option (google.api.http) = {{ {rule} }};"
    text = PROTO.replace("rpc Plain(M) returns (M);", f"rpc Plain(M) returns (M) {{ {option} }}")
    schema = build_schema(descriptor_set(shop=text))
    assert written(schema.methods["shop.v1.Shop.Plain"].rules) == [expected]


def test_bindings_of_additional_bindings_are_marked() -> None:
    text = PROTO.replace('{ post: "/v1/get"', '{ additional_bindings { get: "/n" } post: "/v1/get"')
    rules = build_schema(descriptor_set(shop=text)).methods["shop.v1.Shop.Get"].rules
    assert [rule.template for rule in rules if rule.nested] == ["/n"]
    assert len(rules) == 4


def test_a_type_may_be_named_from_where_its_method_stands(files: FileDescriptorSet) -> None:
    relative = FileDescriptorSet()
    relative.CopyFrom(files)
    relative.file[-1].service[0].method[0].input_type = "M"
    method = build_schema(relative).methods["shop.v1.Shop.Get"]
    assert method.input.full_name == "shop.v1.M"


def test_methods_of_no_package_have_names_all_the_same() -> None:
    text = 'syntax = "proto3"; message M {} service S { rpc A(M) returns (M); }'
    (method,) = build_schema(descriptor_set(s=text), unannotated=True).methods.values()
    assert (method.full_name, method.path, method.rules[0].template) == ("S.A", "/S/A", "/S/A")


@pytest.mark.parametrize(
    "head",
    [
        'edition = "2023"; import "google/api/annotations.proto";',
        'edition = "2024"; import option "google/api/annotations.proto";',
    ],
)
def test_editions_are_read_like_any_syntax(head: str) -> None:
    rule = 'option (google.api.http) = { get: "/v1" };'
    text = f"{head} package e; message M {{}} service S {{ rpc A(M) returns (M) {{ {rule} }} }}"
    schema = build_schema(descriptor_set(e=text))
    assert written(schema.methods["e.S.A"].rules) == [("GET", "/v1", "", "")]


def test_two_schemas_know_nothing_of_each_other(files: FileDescriptorSet) -> None:
    other = descriptor_set(shop=PROTO.replace("string a", "int32 a"))
    one, two = (build_schema(given).methods["shop.v1.Shop.Get"] for given in (files, other))
    assert one.input.fields_by_name["a"].type != two.input.fields_by_name["a"].type


def test_the_four_kinds_have_names(files: FileDescriptorSet) -> None:
    kinds = [m.kind for m in build_schema(files).methods.values() if m.service == "shop.v1.Shop"]
    assert kinds[1:] == ["unary", "server streaming", "client streaming", "bidi"]


def test_unannotated_methods_get_a_route_only_where_asked_for(files: FileDescriptorSet) -> None:
    assert build_schema(files).methods["shop.v1.Shop.Plain"].rules == ()
    method = build_schema(files, unannotated=True).methods["shop.v1.Shop.Plain"]
    assert written(method.rules) == [("POST", "/shop.v1.Shop/Plain", "*", "")]
    assert len(build_schema(files, unannotated=True).methods["shop.v1.Shop.Get"].rules) == 3


def test_what_checks_passwords_gets_no_route_unless_a_rule_gives_it_one() -> None:
    text = """
    syntax = "proto3"; package gatewayapi.v1;
    message M {}
    service AuthService { rpc Authenticate(M) returns (M); }
    """
    files = descriptor_set(auth=text)
    name = "gatewayapi.v1.AuthService.Authenticate"
    assert build_schema(files, unannotated=True).methods[name].rules == ()
    rule = HttpRule("POST", "/check", "*", "", Source("config.yaml"))
    schema = build_schema(files, unannotated=True, overrides={name: (rule,)})
    assert schema.methods[name].rules == (rule,)


@pytest.mark.parametrize(
    ("services", "exposed"),
    [
        ((), ("shop.v1.Shop", "shop.v1.Other")),
        (("shop.v1.Other",), ("shop.v1.Other",)),
        (("shop.v1.Other.*",), ("shop.v1.Other",)),
        (("*",), ("shop.v1.Shop", "shop.v1.Other")),
        (("shop.*",), ("shop.v1.Shop", "shop.v1.Other")),
        (("shop.v1.*",), ("shop.v1.Shop", "shop.v1.Other")),
        (("shop.v1.Other", "shop.v1.Shop"), ("shop.v1.Other", "shop.v1.Shop")),
        (("shop.v1.Other", "*"), ("shop.v1.Other", "shop.v1.Shop")),
    ],
)
def test_only_named_services_are_exposed_in_their_order(
    files: FileDescriptorSet, services: tuple[str, ...], exposed: tuple[str, ...]
) -> None:
    assert build_schema(files, services=services).services == exposed


@pytest.mark.parametrize("pattern", ["shop.v2.*", "shop.v", "sho.*"])
def test_a_service_that_is_not_there_is_named_with_those_that_are(
    files: FileDescriptorSet, pattern: str
) -> None:
    with pytest.raises(SchemaError) as raised:
        build_schema(files, services=["shop.v1.Shop", pattern])
    assert str(raised.value) == (
        f"no service is called {pattern}; available: shop.v1.Shop, shop.v1.Other"
    )


@pytest.mark.parametrize("selector", ["shop.v1.S*", "shop*", ""])
def test_a_selector_of_another_form_is_told_the_right_one(
    files: FileDescriptorSet, selector: str
) -> None:
    with pytest.raises(SchemaError, match=r"no service is called .*: write a full name, a package"):
        build_schema(files, services=["shop.v1.Shop", selector])


def test_an_override_may_be_for_a_service_that_is_not_exposed(files: FileDescriptorSet) -> None:
    rule = HttpRule("PUT", "/other", "*", "", Source("s.yaml", 3))
    schema = build_schema(
        files, services=["shop.v1.Other"], overrides={"shop.v1.Shop.Get": (rule,)}
    )
    assert list(schema.methods) == ["shop.v1.Other.Do"]


def test_an_override_replaces_all_of_an_annotation(files: FileDescriptorSet) -> None:
    rule = HttpRule("PUT", "/other", "*", "", Source("s.yaml", 3))
    schema = build_schema(files, overrides={"shop.v1.Shop.Get": (rule,)})
    assert schema.methods["shop.v1.Shop.Get"].rules == (rule,)


def test_an_override_for_no_method_is_refused_with_its_place(files: FileDescriptorSet) -> None:
    rule = HttpRule("PUT", "/other", "*", "", Source("s.yaml", 3))
    with pytest.raises(SchemaError, match=r"s\.yaml:3: no method is called shop\.v1\.Shop\.Nope"):
        build_schema(files, overrides={"shop.v1.Shop.Nope": (rule,)})


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("input_type", ".shop.v1.Nope", ".shop.v1.Nope"),
        ("output_type", ".shop.v1.Shop", ".shop.v1.Shop"),
        ("name", "", "name"),
        ("name", "Plain", "Plain"),
    ],
)
def test_a_file_that_does_not_hold_together_is_named(
    files: FileDescriptorSet, field: str, value: str, says: str
) -> None:
    broken = FileDescriptorSet()
    broken.CopyFrom(files)
    setattr(broken.file[-1].service[0].method[0], field, value)
    with pytest.raises(SchemaError) as raised:
        build_schema(broken)
    assert str(raised.value).startswith("shop.proto: ")
    assert says in str(raised.value)
    assert "descriptor pool" not in str(raised.value), "the library's words stay out"


def test_one_file_under_two_names_is_refused(files: FileDescriptorSet) -> None:
    double = FileDescriptorSet()
    double.CopyFrom(files)
    double.file.add().CopyFrom(files.file[-1])
    double.file[-1].name = "protos/shop.proto"
    with pytest.raises(SchemaError, match=r"^protos/shop\.proto: duplicate symbol 'shop\.v1"):
        build_schema(double)

"""The corpus tool finds what is refused and what goes astray."""

from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from gateway.transcoding.template import parse_template
from tests.support.schema import descriptor_set
from tools.corpus import check, make_path, report

ANNOTATED = """
syntax = "proto3";
package corpus;
import "google/api/annotations.proto";
message M {{ string a = 1; }}
service S {{ {methods} }}
"""


def rpc(name: str, template: str) -> str:
    rule = f'option (google.api.http) = {{get: "{template}"}};'
    return f"rpc {name}(M) returns (M) {{ {rule} }}"


def test_every_route_of_the_sample_apis_is_reached() -> None:
    files = FileDescriptorSet.FromString(Path("gen/descriptors.binpb").read_bytes())
    outcome = check(files)
    assert outcome.errors == []
    assert outcome.astray == []
    assert outcome.routed["to its own method"] == outcome.bindings > 20
    assert f"{outcome.bindings}" in report(outcome)


def test_methods_on_one_route_share_it() -> None:
    methods = rpc("A", "/v1/{a}") + rpc("B", "/v1/{a=*}")
    outcome = check(descriptor_set(corpus=ANNOTATED.format(methods=methods)))
    assert outcome.warnings["the same route as another method"] == 1
    assert outcome.routed["to one that shares the route"] == 1
    assert outcome.astray == []


def test_a_refused_rule_is_an_error() -> None:
    outcome = check(descriptor_set(corpus=ANNOTATED.format(methods=rpc("A", "/v1/{nope}"))))
    assert len(outcome.errors) == 1
    assert "corpus.M has no field nope" in outcome.errors[0]


def test_a_path_is_made_up_for_any_template() -> None:
    assert make_path(parse_template("/v1/{a=s/*/**}/{b}:go")) == "/v1/s/zz2/zz3a/zz3b/zz4:go"

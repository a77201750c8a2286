"""No rule can break the start, and each that is bound is served."""

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.routing import OnConflict
from gateway.schema.catalog import HttpRule, Source, build_schema
from gateway.schema.sources import DescriptorFiles
from gateway.transcoding.binding import Binding, Severity, bind, build_router
from tests.support.schema import descriptor_set
from tools.corpus import make_path

PROTO = """
syntax = "proto3";
package p;
message Inner { string id = 1; oneof pick { string a = 2; string b = 3; } }
message M {
  string id = 1; Inner left = 2; optional string maybe = 3; repeated Inner many = 4;
  oneof way { Inner walk = 5; string fly = 6; } int32 count = 7;
}
service S {
  rpc First(M) returns (M);
  rpc Send(stream M) returns (M);
  rpc Talk(stream M) returns (stream M);
}
"""
FILES = descriptor_set(p=PROTO)

NAMES = st.sampled_from(
    ["id", "left", "left.id", "left.a", "maybe", "walk", "walk.id", "fly", "many", "count", "no"]
)
SEGMENTS = st.one_of(
    st.sampled_from(["a", "*", "**", "%C3%A9", "é", "", ".", "x:y", "}", "{"]),
    st.builds("{{{}}}".format, NAMES),
    st.builds("{{{}={}}}".format, NAMES, st.sampled_from(["*", "**", "a/*", "a/**/b", "{id}"])),
)
TEMPLATES = st.one_of(
    st.text(max_size=20),
    st.builds(
        lambda segments, verb: "/" + "/".join(segments) + verb,
        st.lists(SEGMENTS, max_size=5),
        st.sampled_from(["", ":go", ":"]),
    ),
)
HTTP_METHODS = st.one_of(st.sampled_from(["GET", "POST", "HEAD", "*", ""]), st.text(max_size=4))
BODIES = st.one_of(st.just(""), st.just("*"), NAMES, st.text(max_size=4))
RULES = st.builds(HttpRule, HTTP_METHODS, TEMPLATES, BODIES, BODIES, st.just(Source("p.proto")))


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(["First", "Send", "Talk"]), rule=RULES)
def test_any_rule_at_all_is_either_an_error_or_a_route(name: str, rule: HttpRule) -> None:
    bindings, diagnostics = bind(build_schema(FILES, overrides={f"p.S.{name}": (rule,)}))
    errors = [d for d in diagnostics if d.severity is Severity.ERROR]
    assert len(bindings) + len(errors) == 1
    for binding in bindings:
        _assert_served(binding)


def _assert_served(binding: Binding) -> None:
    router, conflicts = build_router([binding], on_conflict=OnConflict.REFUSE)
    assert conflicts == []
    http_method = "GET" if binding.http_method == "*" else binding.http_method
    match = router.match(http_method, make_path(binding.template))
    assert match.target is binding
    assert len(match.captures) == len(binding.variables)


@st.composite
def shuffled_files(draw: st.DrawFn) -> FileDescriptorSet:
    """Files of which each imports some made before it, in any order."""
    files = FileDescriptorSet()
    for number in range(draw(st.integers(1, 12))):
        file = files.file.add(name=f"f{number}.proto", package=f"f{number}")
        for imported in draw(st.sets(st.integers(0, number), max_size=4)) - {number}:
            file.dependency.append(f"f{imported}.proto")
    return FileDescriptorSet(file=draw(st.permutations(list(files.file))))


@settings(max_examples=100, deadline=None)
@given(files=shuffled_files())
def test_whatever_the_order_a_file_comes_behind_what_it_imports(files: FileDescriptorSet) -> None:
    subject = DescriptorFiles()
    subject.add_serialized([file.SerializeToString() for file in files.file], "test")
    ordered = subject.complete()
    assert sorted(f.name for f in ordered.file) == sorted(f.name for f in files.file)
    seen: set[str] = set()
    for file in ordered.file:
        assert seen.issuperset(file.dependency)
        seen.add(file.name)

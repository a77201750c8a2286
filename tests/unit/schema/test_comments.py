"""Comments are found by the full names of all kinds of elements."""

from gateway.schema.comments import NO_COMMENTS, collect_comments
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package a.v1;
// of S
service S {
  // of S.Get
  rpc Get(M) returns (M);
}
// of M
message M {
  string f = 1; // of M.f
  // of M.N
  message N {
    // of M.N.g
    string g = 1;
  }
  // of M.E
  enum E {
    // of M.E.ZERO
    ZERO = 0;
  }
}
// of E
enum E {
  // of E.NULL
  NULL = 0;
}
"""


def test_every_element_has_its_comment() -> None:
    found = collect_comments(descriptor_set(a=PROTO).file).read(["a.proto"])
    assert {name.removeprefix("a.v1."): text.strip() for name, text in found.items()} == {
        name: f"of {name}"
        for name in ("S", "S.Get", "M", "M.f", "M.N", "M.N.g", "M.E", "M.E.ZERO", "E", "E.NULL")
    }


def test_files_without_source_information_have_no_comments() -> None:
    files = descriptor_set(a=PROTO)
    for file in files.file:
        file.ClearField("source_code_info")
    assert collect_comments(files.file).read(["a.proto"]) == {}
    assert NO_COMMENTS.read(["a.proto"]) == {}


def test_only_the_files_that_are_asked_for_are_read() -> None:
    found = collect_comments(descriptor_set(a=PROTO, b=PROTO.replace("a.v1", "b.v1")).file)
    assert {name.partition(".")[0] for name in found.read(["b.proto", "missing.proto"])} == {"b"}
    assert len(found.read(["a.proto", "b.proto"])) == 20

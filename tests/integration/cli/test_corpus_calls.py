"""One request for each binding of whole API sets, to a back end that answers any method."""

from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from gateway.schema.sources import DescriptorFiles
from gateway.transcoding.binding import Binding
from tests.support.schema import descriptor_set
from tools import corpus_calls
from tools.corpus import main
from tools.corpus_calls import call_all
from tools.sample_messages import message_of

KINDS = descriptor_set(
    kinds="""
syntax = "proto3";
package kinds;
import "google/api/annotations.proto";
import "google/api/httpbody.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
enum Color { NONE = 0; RED = 1; }
message Inner { string name = 1; int64 size = 2; repeated Color colors = 3; }
message M {
  string id = 1; int64 number = 2; bool flag = 3; Color color = 4; bytes raw = 5; double ratio = 6;
  Inner inner = 7; repeated Inner many = 8; map<string, Inner> by_name = 9;
  repeated string tags = 10;
  oneof way { string walk = 11; Inner fly = 12; } google.protobuf.Timestamp time = 13;
  google.protobuf.FieldMask mask = 14; google.protobuf.Struct free = 15;
  google.protobuf.Int64Value wrapped = 16; google.protobuf.Value value = 17;
  optional string maybe = 18; google.api.HttpBody file = 19;
}
service S {
  rpc Get(M) returns (M) { option (google.api.http) = {
    get: "/v1/{id}/{number}/{flag}/{color}/{raw}/{time}"
    additional_bindings {get: "/v2/{inner.name=a/*/b/**}/{number}:go"}
    additional_bindings {get: "/v3/{ratio}/{wrapped}/{walk}" response_body: "inner"}
    additional_bindings {custom {kind: "*" path: "/v4/{fly.name}"} response_body: "many"}
    additional_bindings {custom {kind: "HEAD" path: "/v5/{id=x}"}}
    additional_bindings {get: "/"}
  }; }
  rpc Post(M) returns (M) { option (google.api.http) = {
    post: "/v1/{inner.name}" body: "*" response_body: "by_name"
    additional_bindings {put: "/v1/{inner.name}" body: "inner" response_body: "id"}
    additional_bindings {patch: "/v1/many" body: "many" response_body: "free"}
    additional_bindings {post: "/v2" body: "by_name" response_body: "time"}
    additional_bindings {post: "/v3/{walk}" body: "tags" response_body: "value"}
    additional_bindings {post: "/v4/{fly.size}" body: "*" response_body: "wrapped"}
    additional_bindings {post: "/v5" body: "file" response_body: "file"}
    additional_bindings {delete: "/v1/{id}" body: "*"}
  }; }
  rpc Raw(google.api.HttpBody) returns (google.api.HttpBody) {
    option (google.api.http) = {post: "/raw" body: "*"}; }
  rpc Down(M) returns (stream M) { option (google.api.http) = {get: "/down/{id}"
    additional_bindings {post: "/down" body: "*"} }; }
  rpc DownRaw(M) returns (stream google.api.HttpBody) {
    option (google.api.http) = {get: "/downraw/{id}"}; }
  rpc Up(stream M) returns (M) { option (google.api.http) = {post: "/up/{id}" body: "*"}; }
  rpc UpRaw(stream google.api.HttpBody) returns (M) {
    option (google.api.http) = {post: "/upraw" body: "*"}; }
  rpc Talk(stream M) returns (stream M) { option (google.api.http) = {post: "/talk" body: "*"}; }
}
"""
)


def installed() -> FileDescriptorSet:
    """The services that googleapis-common-protos brings."""
    files = DescriptorFiles()
    for module in (
        "google.longrunning.operations_proto_pb2",
        "google.cloud.location.locations_pb2",
    ):
        files.add_module(module)
    return files.complete()


@pytest.mark.parametrize(
    ("files", "bindings"),
    [
        pytest.param(FileDescriptorSet.FromString(Path("gen/descriptors.binpb").read_bytes()), 20,
                     id="the samples"),
        pytest.param(installed(), 6, id="googleapis-common-protos"),
        pytest.param(KINDS, 21, id="every kind of rule"),
    ],
)  # fmt: skip
async def test_each_binding_calls_its_rpc_with_its_message_and_brings_its_reply(
    files: FileDescriptorSet, bindings: int
) -> None:
    calls = await call_all(files)
    assert calls.wrong == []
    assert calls.right >= bindings
    assert calls.left_out == 0


async def test_what_comes_out_wrong_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(binding: Binding) -> corpus_calls.Request:
        request = make(binding)
        request.message = message_of(binding.method.input)
        return request

    make = corpus_calls.make_request
    monkeypatch.setattr(corpus_calls, "make_request", other)
    calls = await call_all(installed())
    assert calls.right == 0
    assert all("the back end got" in line for line in calls.wrong)


def test_a_folder_of_descriptor_sets_is_loaded_set_by_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "one.binpb").write_bytes(installed().SerializeToString())
    (tmp_path / "deep" / "two.pb").write_bytes(KINDS.SerializeToString())
    (tmp_path / "notes.txt").write_text("no descriptor set")
    assert main([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.index("two.pb") < said.index("one.binpb")
    assert "called, with the right RPC, message and reply" in said
    assert main([str(tmp_path), "--no-calls"]) == 0
    assert "called, with" not in capsys.readouterr().out

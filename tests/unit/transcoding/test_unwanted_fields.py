"""Fields that are removed from messages, at any depth, and everything else kept byte by byte."""

from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway.schema.field_behavior import behavior
from gateway.status import StatusError
from gateway.transcoding.unwanted_fields import remover
from gateway.transcoding.wire import LENGTH, MalformedError, length_delimited, tag
from tests.support.schema import descriptor_pool, descriptor_set

POOL = descriptor_pool(
    descriptor_set(
        unwanted="""
edition = "2023";
package unwanted;
import "google/api/field_behavior.proto";
message Tree {
  string name = 1;
  int32 size = 2 [(google.api.field_behavior) = OUTPUT_ONLY];
  Tree left = 3;
  Tree right = 4 [features.message_encoding = DELIMITED];
  repeated Tree many = 5;
  map<string, Tree> by_key = 6;
  Plain plain = 7;
  fixed32 f32 = 8; fixed64 f64 = 9;
  Tree made = 10 [(google.api.field_behavior) = OUTPUT_ONLY];
}
message Plain { string name = 1; Plain again = 2; }
message Holder { Plain plain = 1; repeated Tree trees = 2; }
"""
    )
)
TREE = POOL.FindMessageTypeByName("unwanted.Tree")
HOLDER = POOL.FindMessageTypeByName("unwanted.Holder")
PLAIN = POOL.FindMessageTypeByName("unwanted.Plain")
Tree, Holder = GetMessageClass(TREE), GetMessageClass(HOLDER)


def is_output_only(field: FieldDescriptor) -> bool:
    return behavior(field).is_output_only


def removed(message: Message) -> Message:
    descriptor: Any = message.DESCRIPTOR
    remove = remover(descriptor, is_output_only)
    assert remove is not None
    return type(message).FromString(remove(message.SerializeToString()))


def test_a_type_that_reaches_no_such_field_has_no_remover() -> None:
    assert remover(PLAIN, is_output_only) is None


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"size": 3, "name": "a", "f32": 1, "f64": 2}, {"name": "a", "f32": 1, "f64": 2}),
        ({"left": {"left": {"size": 3}}}, {"left": {"left": {}}}),
        ({"right": {"right": {"size": 3, "name": "r"}}}, {"right": {"right": {"name": "r"}}}),
        ({"many": [{"size": 1}, {"name": "b"}, {"size": 2}]}, {"many": [{}, {"name": "b"}, {}]}),
        ({"by_key": {"k": {"size": 1, "name": "v"}}}, {"by_key": {"k": {"name": "v"}}}),
        ({"made": {"name": "whole"}, "plain": {"name": "p"}}, {"plain": {"name": "p"}}),
    ],
)
def test_such_fields_are_removed_at_any_depth(
    given: dict[str, object], kept: dict[str, object]
) -> None:
    assert removed(Tree(**given)) == Tree(**kept)
    assert removed(Holder(trees=[given, kept])) == Holder(trees=[kept, kept])


def test_a_message_without_such_fields_is_the_same_object() -> None:
    wire = Tree(name="a", left={"name": "b"}, right={"name": "c"}).SerializeToString()
    remove = remover(TREE, is_output_only)
    assert remove is not None
    assert remove(wire) is wire


def test_unknown_fields_are_kept() -> None:
    unknown = length_delimited(99, b"x") + tag(3, 0) + b"\x05"  # `left` with another wire type
    remove = remover(TREE, is_output_only)
    assert remove is not None
    assert remove(unknown + b"\x10\x03" + unknown) == unknown + unknown


@pytest.mark.parametrize("wire", [b"\x10", tag(3, LENGTH) + b"\x05\x01", b"\x23\x0a", b"\x07"])
def test_what_is_no_message_is_an_error(wire: bytes) -> None:
    remove = remover(TREE, is_output_only)
    assert remove is not None
    with pytest.raises(MalformedError):
        remove(wire)


def test_a_refusal_names_the_field_by_its_path() -> None:
    remove = remover(HOLDER, is_output_only, refuses=True)
    assert remove is not None
    given = Holder(trees=[{"name": "a"}, {"by_key": {"k": {"size": 1}}}])
    with pytest.raises(StatusError, match=r"trees\.byKey\.value\.size: is set by the service"):
        remove(given.SerializeToString())
    kept = Holder(trees=[{"name": "a"}]).SerializeToString()
    assert remove(kept) is kept

"""The hash of what back ends describe: equal descriptors have equal hashes."""

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from gateway.schema.used_files import hash_of_files
from tests.support.schema import descriptor_set

PROTO = 'syntax = "proto3"; package a.v1; {}message {} {{}}'


def files(name: str = "One", comment: str = "") -> list[bytes]:
    text = PROTO.format(f"// {comment}\n" if comment else "", name)
    return [one.SerializeToString() for one in descriptor_set(a=text, b="syntax = 'proto3';").file]


def test_comments_and_the_order_of_files_are_no_change() -> None:
    commented = files(comment="A comment.")
    assert FileDescriptorProto.FromString(commented[0]).source_code_info.location
    assert hash_of_files({"x": files()}) == hash_of_files({"x": commented[::-1]})


def test_another_message_or_upstream_is_a_change() -> None:
    known = hash_of_files({"x": files()})
    assert hash_of_files({"x": files("Two")}) != known
    assert hash_of_files({"y": files()}) != known
    assert hash_of_files({"x": [], "y": files()}) != known


def test_without_reflection_there_is_nothing_to_compare() -> None:
    assert hash_of_files({}) == b""

"""The syntax of partial responses, and its limits."""

from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

from gateway.status import StatusError
from gateway.transcoding.selections import Selection, read_selection

FILE: Descriptor = FileDescriptorProto.DESCRIPTOR
MESSAGE: Descriptor = DescriptorProto.DESCRIPTOR


def chosen(selection: Selection) -> Any:
    """The choice as nested dicts; True where everything is chosen."""
    below = {number: chosen(one) for number, one in selection.fields.items()}
    return True if selection.is_whole else below


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name", {1: True}),
        ("name,package", {1: True, 2: True}),
        ("messageType", {4: True}),
        ("message_type/name", {4: {1: True}}),
        ("message_type.field.json_name", {4: {2: {10: True}}}),
        (
            "messageType(name,field(name,jsonName)),package",
            {4: {1: True, 2: {1: True, 10: True}}, 2: True},
        ),
        ("messageType/name,messageType/field", {4: {1: True, 2: True}}),
        ("messageType/*", {4: True}),
        ("messageType(*)", {4: True}),
        ("*", True),
        ("name,*", True),
    ],
)
def test_paths_are_read(text: str, expected: Any) -> None:
    assert chosen(read_selection(text, FILE, "$fields")) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected names of fields"),
        ("name,", 'malformed after "name,"'),
        ("name)", 'malformed after "name"'),
        ("messageType(name", "malformed after"),
        ("messageType()", "malformed after"),
        ("*/name", 'malformed after "*"'),
        ("name ,package", "malformed after"),
        ("nothing", "the reply lacks"),
        ("messageType/nothing", "the reply lacks"),
        ("name/first", "a value without members"),
        ("x" * 2049, "longer than 2048 characters"),
        ("nestedType/" * 40 + "name", "deeper than 32 levels"),
        ("nestedType(" * 40 + "name", "deeper than 32 levels"),
    ],
)
def test_others_are_refused(text: str, says: str) -> None:
    with pytest.raises(StatusError) as failure:
        read_selection(text, MESSAGE if "nested" in text else FILE, "$fields")
    assert failure.value.http_status == 400
    assert says in failure.value.message, failure.value.message


def test_of_a_value_without_members_all_can_be_chosen() -> None:
    assert read_selection("*", None, "$fields").is_whole
    with pytest.raises(StatusError, match="a value without members"):
        read_selection("name", None, "$fields")

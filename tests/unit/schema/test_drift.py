"""Differences between descriptors of the gateway and those of a back end."""

import pytest

from gateway.schema.catalog import Schema, build_schema
from gateway.schema.drift import differences
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package shop.v1;
message Order {{ string name = 1; {fields} }}
message Inner {{ Order parent = 1; repeated Inner all = 2; }}
enum Size {{ SIZE_UNSPECIFIED = 0; }}
service Shop {{
  rpc Get(Order) returns (Inner);
  {methods}
}}
"""


def schema(fields: str = "", methods: str = "") -> Schema:
    text = PROTO.format(fields=fields, methods=methods)
    return build_schema(descriptor_set(shop=text), unannotated=True)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (("", ""), ("", ""), []),
        (("", ""), ("int32 more = 2;", "rpc More(Order) returns (Order);"), []),
        (("int32 renamed = 2;", ""), ("int32 other = 2;", ""), []),
        (
            ("", "rpc New(Order) returns (Order);"),
            ("", ""),
            ["shop.v1.Shop.New is not there"],
        ),
        (
            ("", "rpc New(Order) returns (stream Order);"),
            ("", "rpc New(stream Inner) returns (Order);"),
            [
                "shop.v1.Shop.New is client-streaming there, and server-streaming here",
                "shop.v1.Shop.New uses shop.v1.Inner there, and shop.v1.Order here",
            ],
        ),
        (("Size size = 2;", ""), ("", ""), ["shop.v1.Order.size = 2 is not there"]),
        (
            ("repeated Size size = 2; bytes b = 3;", ""),
            ("sint64 size = 2; bytes b = 3;", ""),
            ["shop.v1.Order.size = 2 is sint64 there, and repeated shop.v1.Size here"],
        ),
    ],
)
def test_each_difference_that_a_call_can_meet_is_found_once(
    ours: tuple[str, str], theirs: tuple[str, str], expected: list[str]
) -> None:
    found = differences(schema(*ours).methods.values(), schema(*theirs).methods)
    assert list(found) == expected

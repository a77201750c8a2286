"""The values of a body are counted before it is read; those that cost more count more."""

import pytest

from gateway.schema.catalog import build_schema
from gateway.status import StatusError
from gateway.transcoding.json.contents import message_contents
from gateway.transcoding.json.count import value_count_check
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package count.v1;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
message Plain { repeated string texts = 1; bytes data = 2; }
message Stamped { repeated google.protobuf.Timestamp times = 1; repeated string texts = 2; }
message Lasting { repeated google.protobuf.Duration times = 1; repeated string texts = 2; }
message Free { google.protobuf.Struct struct = 1; }
message Holder { repeated google.protobuf.Any held = 1; repeated string texts = 2; }
"""
STAMP = '"2020-01-01T00:00:00Z"'
ANY = '{"@type":"a/b.C"}'


def listed(member: str, one: str, count: int) -> bytes:
    return f'{{"{member}":[{",".join([one] * count)}]}}'.encode()


@pytest.mark.parametrize(
    ("message", "member", "one", "most"),
    [
        ("Plain", "texts", '"a"', 1000),
        ("Plain", "texts", STAMP, 1000),
        ("Plain", "texts", ANY, 500),  # two brackets
        ("Stamped", "texts", '"a"', 1000),
        ("Stamped", "times", STAMP, 200),
        ("Stamped", "times", STAMP.replace("T", "\\u0054"), 200),
        ("Lasting", "texts", '"a"', 1000),
        ("Lasting", "times", '"1s"', 333),
        ("Free", "struct", "1", 250),
        ("Holder", "texts", '"a"', 1000),
        ("Holder", "held", ANY, 31),
        ("Holder", "held", ANY.replace("@", "\\u0040"), 28),
    ],
)
def test_what_costs_more_counts_more(message: str, member: str, one: str, most: int) -> None:
    pool = build_schema(descriptor_set(count=PROTO)).pool
    held = message_contents(pool.FindMessageTypeByName(f"count.v1.{message}"))
    check = value_count_check(held, 1000)
    check(listed(member, one, most * 95 // 100))
    with pytest.raises(StatusError, match="more than 1000 values") as raised:
        check(listed(member, one, most * 105 // 100 + 1))
    assert raised.value.http_status == 413


@pytest.mark.parametrize("message", ["Plain", "Stamped", "Lasting", "Free", "Holder"])
def test_one_long_value_is_one(message: str) -> None:
    pool = build_schema(descriptor_set(count=PROTO)).pool
    held = message_contents(pool.FindMessageTypeByName(f"count.v1.{message}"))
    text = '[{,T@type\\"\\u0054' * 10_000
    value_count_check(held, 1000)(f'{{"texts":["{text}"]}}'.encode())

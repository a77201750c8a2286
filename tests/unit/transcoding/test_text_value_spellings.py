"""Spellings at the edge of each type: what is still right, and what is just not."""

import json

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway.status import StatusError
from gateway.transcoding.fields import field_encoder, resolve
from gateway.transcoding.text_forms import shown
from gateway.transcoding.text_values import has_members
from tests.support.schema import descriptor_pool, descriptor_set

POOL = descriptor_pool(
    descriptor_set(
        edges="""
syntax = "proto3";
package edges;
import "google/protobuf/duration.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
message M {
  int32 i = 1; uint64 u = 2; double d = 3; bytes y = 4; google.protobuf.Timestamp t = 5;
  google.protobuf.Duration du = 6; google.protobuf.FieldMask m = 7; google.protobuf.Value v = 8;
  google.protobuf.NullValue n = 9; google.protobuf.Struct st = 10; float f = 11;
  google.protobuf.ListValue l = 12; M inner = 13;
}
"""
    )
)
M = POOL.FindMessageTypeByName("edges.M")


def encode(field: str, text: str) -> Message:
    return GetMessageClass(M).FromString(field_encoder(resolve(M, field), field)(text))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("-0", 0),
        ("-0.0", 0),
        ("0e9999", 0),
        ("1E+2", 100),
        ("1.50e1", 15),
        ("120e-1", 12),
        ("-2147483648.000", -2147483648),
        ("2147483647" + "0" * 50 + "e-50", 2147483647),
    ],
)
def test_an_integer_may_be_spelled_as_any_json_number_that_is_whole(text: str, number: int) -> None:
    assert getattr(encode("i", text), "i") == number  # noqa: B009 -- the message is dynamic


@pytest.mark.parametrize("text", ["-0.5", "15e-1", "1e-1", "1e-9999", "1e10", "-1e10", "1\n", "1e"])
def test_no_other_number_is_an_integer(text: str) -> None:
    with pytest.raises(StatusError, match=r"^i: expected"):
        encode("i", text)


@pytest.mark.parametrize(
    ("text", "json_value"),
    [("5e-324", 5e-324), ("-0.0", -0.0), ("1e-400", 0.0), ("0." + "1" * 400, 0.1111111111111111)],
)
def test_doubles_are_read_to_the_nearest(text: str, json_value: float) -> None:
    message = encode("d", text)
    assert message == GetMessageClass(M)(d=json_value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("", b""), ("YQ", b"a"), ("YQ==", b"a"), ("YWI", b"ab"), ("YWI=", b"ab"), ("YWJj", b"abc")],
)
def test_base64_is_padded_in_full_or_not_at_all(text: str, value: bytes) -> None:
    assert encode("y", text) == GetMessageClass(M)(y=value)


@pytest.mark.parametrize("text", ["=", "==", "====", "YQ=", "YWI==", "YWJj=", "YWJj==", "YQ==\n"])
def test_base64_padded_otherwise_is_refused(text: str) -> None:
    with pytest.raises(StatusError, match=r"^y: expected base64"):
        encode("y", text)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("2024-02-29T23:59:59.999999999-00:00", "2024-02-29T23:59:59.999999999Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
        ("0001-01-01T23:59:00+23:59", "0001-01-01T00:00:00Z"),
        ("1969-12-31T23:59:59.000000001Z", "1969-12-31T23:59:59.000000001Z"),
    ],
)
def test_times_reach_from_year_1_to_9999(text: str, normal: str) -> None:
    assert json_format.MessageToDict(encode("t", text)) == {"t": normal}


@pytest.mark.parametrize(
    "text",
    [
        "0000-12-31T23:59:59Z",
        "2023-02-29T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T00:00:00+0100",
        "2024-01-01T00:00:00+01:60",
        "2024-01-01 00:00:00Z",
        "2024-01-01T00:00:00Z\n",
        "2024-01-01T00:00:00,5Z",
        "٢٠٢٤-01-01T00:00:00Z",
    ],
)
def test_no_other_text_is_a_time(text: str) -> None:
    with pytest.raises(StatusError, match=r"^t: expected a time"):
        encode("t", text)


@pytest.mark.parametrize(
    ("text", "normal"),
    [("0s", "0s"), ("-0s", "0s"), ("-315576000000s", "-315576000000s"), ("-0.5s", "-0.500s")],
)
def test_durations_carry_one_sign(text: str, normal: str) -> None:
    assert json_format.MessageToDict(encode("du", text)) == {"du": normal}


@pytest.mark.parametrize("text", ["-315576000001.1s", "9" * 30 + "s", "--1s", "1.s", "1 s", "1S"])
def test_no_other_text_is_a_duration(text: str) -> None:
    with pytest.raises(StatusError, match=r"^du: expected"):
        encode("du", text)


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("", []),
        ("*", ["*"]),
        ("title,author.fullName", ["title", "author.full_name"]),
        ("full_name,field_1", ["full_name", "field_1"]),
        ("labels.2024,items.*.name", ["labels.2024", "items.*.name"]),
        ("labels.`a,B.c_d`.newName", ["labels.`a,B.c_d`.new_name"]),
        ('labels."a``\\"B",*', ['labels."a``\\"B"', "*"]),
    ],
)
def test_masks_take_either_spelling_map_keys_and_wildcards(text: str, paths: list[str]) -> None:
    assert encode("m", text) == GetMessageClass(M)(m={"paths": paths})


@pytest.mark.parametrize("text", ["a,", "a,,b", "a. b", "a.", ".a", "a*", "**", "a-b", "é"])
def test_no_other_text_is_a_mask(text: str) -> None:
    with pytest.raises(StatusError, match=r"^m: expected comma-separated field paths"):
        encode("m", text)


@pytest.mark.parametrize("text", ["null", "NULL_VALUE", "0"])
def test_null_may_be_spelled_as_in_json(text: str) -> None:
    assert field_encoder(resolve(M, "n"), "n")(text) == b"\x48\x00"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ""),
        ("null", None),
        ("false", False),
        ("-1.5e1", -15.0),
        ('"5"', "5"),
        (r'"\u00e9\n"', "é\n"),
        ('"open', '"open'),
        ('"', '"'),
        ("01", "01"),
        ("NaN", "NaN"),
        ("1e400", "1e400"),
        ('{"a":1}', '{"a":1}'),
        ("[1]", "[1]"),
    ],
)
def test_a_value_is_a_json_scalar_or_else_the_text(text: str, value: object) -> None:
    got = json.loads(json_format.MessageToJson(encode("v", text)))
    assert got == {"v": value}
    assert type(got["v"]) is type(value)


def test_a_value_is_unicode_even_in_json_quotes() -> None:
    with pytest.raises(StatusError, match="lone surrogates"):
        encode("v", r'"\ud800"')


@pytest.mark.parametrize(
    ("field", "members"),
    [("inner", True), ("t", False), ("v", False), ("st", False), ("l", False)],
)
def test_well_known_types_have_no_members(field: str, members: bool) -> None:
    message = M.fields_by_name[field].message_type
    assert message is not None
    assert has_members(message) is members


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("abc", '"abc"'),
        ("a\r\n\x1bb", '"a\ufffd\ufffd\ufffdb"'),
        ("\ud800\u202e", '"\ufffd\ufffd"'),
        ("x" * 41, '"' + "x" * 40 + '..."'),
    ],
)
def test_what_an_error_quotes_is_short_and_printable(text: str, quoted: str) -> None:
    assert shown(text) == quoted

"""Text becomes the bytes protobuf would write, or an error in our own words."""

import struct

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway.status import Code, StatusError
from gateway.transcoding.fields import FieldPathError, check_path_variable, path_encoder, resolve
from tests.support.schema import descriptor_pool, descriptor_set

POOL = descriptor_pool(
    descriptor_set(
        values="""
syntax = "proto3";
package values;
import "google/protobuf/duration.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
enum Color { option allow_alias = true; UNSET = 0; RED = 1; ROT = 1; }
message Inner { string a = 1; Inner inner = 2; }
message M {
  int32 i32 = 1; int64 i64 = 2; uint32 u32 = 3; uint64 u64 = 4; sint32 s32 = 5; sint64 s64 = 6;
  fixed32 f32 = 7; fixed64 f64 = 8; sfixed32 sf32 = 9; sfixed64 sf64 = 10;
  float f = 11; double d = 12; bool b = 13; string s = 14; bytes y = 15; Color e = 16;
  google.protobuf.Timestamp t = 17; google.protobuf.Duration du = 18;
  google.protobuf.FieldMask m = 19; google.protobuf.Int32Value w = 20;
  google.protobuf.StringValue ws = 21; Inner inner = 22; repeated string list = 23;
  map<string, string> map = 24; optional string o = 25; google.protobuf.Value v = 26;
  google.protobuf.BytesValue wy = 27; google.protobuf.BoolValue wb = 28;
}
"""
    )
)
M = POOL.FindMessageTypeByName("values.M")


def encode(field: str, text: str) -> Message:
    return GetMessageClass(M).FromString(path_encoder(resolve(M, field))(text))


@pytest.mark.parametrize(
    ("field", "text", "json"),
    [
        ("i32", "-2147483648", -2147483648),
        ("i32", "2147483647", 2147483647),
        ("i32", "1e2", 100),
        ("i32", "1.0", 1),
        ("e", "1.0", "RED"),
        ("e", "1e0", "RED"),
        ("i64", "-9223372036854775808", "-9223372036854775808"),
        ("u32", "4294967295", 4294967295),
        ("u64", "18446744073709551615", "18446744073709551615"),
        ("s32", "-7", -7),
        ("s64", "-9223372036854775808", "-9223372036854775808"),
        ("f32", "7", 7),
        ("f64", "18446744073709551615", "18446744073709551615"),
        ("sf32", "-7", -7),
        ("sf64", "-7", "-7"),
        ("f", "1.5", 1.5),
        ("f", "NaN", "NaN"),
        ("d", "-Infinity", "-Infinity"),
        ("d", "1e308", 1e308),
        ("b", "true", True),
        ("s", "caf\xe9 😀", "caf\xe9 😀"),
        ("y", "_-8", "/+8="),
        ("y", "/+8=", "/+8="),
        ("e", "RED", "RED"),
        ("e", "ROT", "RED"),
        ("e", "1", "RED"),
        ("e", "77", 77),
        ("t", "2024-01-01T00:00:00+01:00", "2023-12-31T23:00:00Z"),
        ("t", "1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500Z"),
        ("t", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("du", "3.5s", "3.500s"),
        ("du", "-0.000000001s", "-0.000000001s"),
        ("du", "315576000000s", "315576000000s"),
        ("m", "a.bC,d", "a.bC,d"),
        ("m", "a_b", "aB"),
        ("w", "0", 0),
        ("ws", "", ""),
        ("wy", "AQI", "AQI="),
        ("wb", "true", True),
        ("o", "", ""),
        ("v", "x", "x"),
        ("v", "null", None),
        ("v", "true", True),
        ("v", "5", 5.0),
        ("inner.inner.a", "x", None),
    ],
)
def test_text_is_read_as_json_would_be(field: str, text: str, json: object) -> None:
    message = encode(field, text)
    if "." in field:
        assert json_format.MessageToDict(message) == {"inner": {"inner": {"a": "x"}}}
    else:
        assert json_format.MessageToDict(message, descriptor_pool=POOL) == {field: json}


@pytest.mark.parametrize("field", ["i32", "b", "s", "e", "f", "u64", "y"])
def test_a_default_value_is_written_so_that_it_wins(field: str) -> None:
    text = {"b": "false", "s": "", "y": "", "e": "UNSET"}.get(field, "0")
    assert path_encoder(resolve(M, field))(text) != b""


def test_the_largest_float_may_be_spelled_short() -> None:
    wire = path_encoder(resolve(M, "f"))("3.4028235e38")
    assert wire[1:] == struct.pack("<f", 3.4028234663852886e38)


@pytest.mark.parametrize(
    ("field", "texts"),
    [
        ("i32", ["", " 1", "+1", "01", "1_0", "0x1", "1.5", "1e", "١", "abc", "2147483648"]),
        ("i32", ["1e999999999", "1e9999", "-", ".5e1", "1.", "--1", "9" * 4000, "true"]),
        ("u32", ["-1", "4294967296"]),
        ("i64", ["9223372036854775808", "9007199254740993.5"]),
        ("u64", ["18446744073709551616"]),
        ("f", ["3.5e38", "inf", "nan", "1_0", "+1", ".5", "1.", "", " 1.5", "1e99999"]),
        ("d", ["1e400", "infinity", "0x1p3"]),
        ("b", ["1", "0", "yes", "TRUE", "True", ""]),
        ("s", ["\ud800"]),
        ("y", ["!!", "Y Q=", "A", "/-8", "YQ==YQ==", "YQ==="]),
        ("e", ["red", "", "NOPE", "1.5", "01", "1e400", "2147483648"]),
        ("t", ["2024-01-01", "2024-02-30T00:00:00Z", "2024-01-01t00:00:00z"]),
        ("t", ["10000-01-01T00:00:00Z", "2024-01-01T00:00:60Z", "0001-01-01T00:00:00+01:00"]),
        ("t", ["2024-01-01T00:00:00.1234567891Z", "2024-01-01T00:00:00.Z"]),
        ("t", ["2024-01-01T00:00:00", "2024-01-01T00:00:00+24:00", "9999-12-31T23:59:59-01:00"]),
        ("du", ["1h", "5.s", "1", "s", "+1s", ".5s", "1e2s", "315576000001s", "1.0000000001s"]),
        ("m", ["a, b", "a..b", ",", "a,", "1a"]),
        ("w", ["x", "", "2147483648"]),
    ],
)  # fmt: skip
def test_any_other_text_is_refused_in_our_words(field: str, texts: list[str]) -> None:
    for text in texts:
        with pytest.raises(StatusError) as raised:
            encode(field, text)
        assert raised.value.code is Code.INVALID_ARGUMENT, text
        assert raised.value.message.startswith(f"{field}: "), text
        assert len(raised.value.message) < 200
        assert "Traceback" not in raised.value.message


def test_an_error_quotes_text_short_and_clean() -> None:
    with pytest.raises(StatusError, match=r'^i32: expected an int32, got "a\ufffdb"$'):
        encode("i32", "a\nb")


@pytest.mark.parametrize("field", ["list", "map", "inner"])
def test_lists_maps_and_messages_are_no_path_variables(field: str) -> None:
    with pytest.raises(FieldPathError):
        check_path_variable(resolve(M, field))


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("nope", "values.M has no field nope"),
        ("i33", "did you mean i32"),
        ("i32.x", "i32 has no fields"),
        ("inner.b", "values.Inner has no field b"),
        ("map.key", "map is a list or map"),
        ("inner.", "has no field"),
    ],
)
def test_a_path_that_leads_nowhere_says_at_which_step(path: str, says: str) -> None:
    with pytest.raises(FieldPathError) as raised:
        resolve(M, path)
    assert says in str(raised.value)

"""Whatever a client writes becomes what protobuf would have written, or a refusal of ours."""

import json
import math
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.query import QueryOptions
from gateway.status import Code, StatusError
from gateway.transcoding.fields import field_encoder, resolve
from gateway.transcoding.query import QueryBinder
from tests.support.schema import descriptor_pool, descriptor_set

POOL = descriptor_pool(
    descriptor_set(
        anything="""
syntax = "proto3";
package anything;
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
enum Kind { option allow_alias = true; UNSET = 0; BIG = 1; LARGE = 1; LEAST = -2147483648; }
message M {
  int32 a_int32 = 1; int64 a_int64 = 2; uint32 a_uint32 = 3; uint64 a_uint64 = 4;
  sint32 a_sint32 = 5; sint64 a_sint64 = 6; fixed32 a_fixed32 = 7; fixed64 a_fixed64 = 8;
  sfixed32 a_sfixed32 = 9; sfixed64 a_sfixed64 = 10; float a_float = 11; double a_double = 12;
  bool a_bool = 13; string a_string = 14; bytes a_bytes = 15; Kind a_kind = 16;
  google.protobuf.Timestamp a_time = 17; google.protobuf.Duration a_duration = 18;
  google.protobuf.FieldMask a_mask = 19; google.protobuf.Value a_value = 20;
  google.protobuf.DoubleValue w_double = 21; google.protobuf.FloatValue w_float = 22;
  google.protobuf.Int64Value w_int64 = 23; google.protobuf.UInt64Value w_uint64 = 24;
  google.protobuf.Int32Value w_int32 = 25; google.protobuf.UInt32Value w_uint32 = 26;
  google.protobuf.BoolValue w_bool = 27; google.protobuf.StringValue w_string = 28;
  google.protobuf.BytesValue w_bytes = 29; optional string o_string = 30; M m = 31;
  repeated int64 r_int64 = 32; map<string, string> tags = 33; repeated M ms = 34;
  oneof choice { string c_string = 35; M c_m = 36; } google.protobuf.Empty empty = 37;
  google.protobuf.NullValue null = 38;
}
"""
    )
)
DESCRIPTOR = POOL.FindMessageTypeByName("anything.M")
M = GetMessageClass(DESCRIPTOR)


def _integers(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    half = 1 << bits - 1
    return st.integers(-half, half - 1) if signed else st.integers(0, 2 * half - 1)


I32, I64 = _integers(32, signed=True), _integers(64, signed=True)
U32, U64 = _integers(32, signed=False), _integers(64, signed=False)
# JSON has one NaN, whatever its bits.
NAN = st.just(math.nan)
FLOAT, DOUBLE = st.floats(width=32, allow_nan=False) | NAN, st.floats(allow_nan=False) | NAN
FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT, BYTES, NANOS = st.text(), st.binary(), st.integers(0, 999_999_999)
SNAKE = st.from_regex(r"[a-z]{1,5}(_[a-z]{1,4}){0,2}", fullmatch=True)
MASKS = st.lists(st.lists(SNAKE, min_size=1, max_size=3).map(".".join), max_size=4)
TIMES = st.builds(
    lambda seconds, nanos: {"seconds": seconds, "nanos": nanos},
    st.integers(-62_135_596_800, 253_402_300_799),
    NANOS,
)
DURATIONS = st.builds(
    lambda sign, seconds, nanos: {"seconds": sign * seconds, "nanos": sign * nanos},
    st.sampled_from([1, -1]),
    st.integers(0, 315_575_999_999),
    NANOS,
)
VALUES = st.one_of(
    st.builds(lambda text: {"string_value": text}, TEXT),
    st.builds(lambda number: {"number_value": number}, FINITE),
    st.builds(lambda flag: {"bool_value": flag}, st.booleans()),
    st.just({"null_value": 0}),
)
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "a_int32": I32, "a_int64": I64, "a_uint32": U32, "a_uint64": U64, "a_sint32": I32,
    "a_sint64": I64, "a_fixed32": U32, "a_fixed64": U64, "a_sfixed32": I32, "a_sfixed64": I64,
    "a_float": FLOAT, "a_double": DOUBLE, "a_bool": st.booleans(), "a_string": TEXT,
    "a_bytes": BYTES, "a_kind": st.one_of(st.sampled_from([0, 1, -(1 << 31)]), I32),
    "a_time": TIMES, "a_duration": DURATIONS, "a_mask": MASKS.map(lambda paths: {"paths": paths}),
    "a_value": VALUES, "o_string": TEXT,
    **{
        f"w_{name}": values.map(lambda value: {"value": value})
        for name, values in {
            "double": DOUBLE, "float": FLOAT, "int64": I64, "uint64": U64, "int32": I32,
            "uint32": U32, "bool": st.booleans(), "string": TEXT, "bytes": BYTES,
        }.items()
    },
}  # fmt: skip
NAMES = [*KINDS, "null", "empty"]


def printed(message: Message, field: str) -> str:
    """The value of `field` as google's own library spells it, without the quotes of JSON.

    A Value keeps its quotes: they tell a string from a number.
    """
    if field == "a_value":
        return json_format.MessageToJson(getattr(message, field))
    spelled = json_format.MessageToJson(
        message, always_print_fields_with_no_presence=True, preserving_proto_field_name=True
    )
    value = json.loads(spelled, parse_float=str, parse_int=str)[field]
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("field", KINDS)
@given(data=st.data())
def test_what_google_prints_is_read_back(field: str, data: st.DataObject) -> None:
    message = M(**{field: data.draw(KINDS[field])})
    wire = field_encoder(resolve(DESCRIPTOR, field), field)(printed(message, field))
    assert M.FromString(wire).SerializeToString() == message.SerializeToString()


ALMOST = st.one_of(
    st.text(alphabet="0123456789eE.+-", max_size=12),
    st.text(alphabet="0123456789-:.TZ+ts", max_size=30),
    st.text(alphabet="ABab01_-+/= ", max_size=12),
    st.text(alphabet='ab_.,*[]{}"\\u0d8', max_size=12),
    st.sampled_from(["NaN", "Infinity", "nan", "inf", "null", "true", "1e999999999", "", "\ud800"]),
    st.text(st.characters(codec=None)),
)


def attempt(read: Callable[[], bytes]) -> bytes | StatusError:
    try:
        return read()
    except StatusError as error:
        return error


@pytest.mark.parametrize("field", NAMES)
@given(text=ALMOST)
def test_any_text_is_read_or_refused(field: str, text: str) -> None:
    encode = field_encoder(resolve(DESCRIPTOR, field), field)
    outcome = attempt(lambda: encode(text))
    if isinstance(outcome, bytes):
        assert M.FromString(outcome).ByteSize() <= len(outcome)
    else:
        assert outcome.code is Code.INVALID_ARGUMENT
        assert outcome.message.startswith(f"{field}: ")
        assert outcome.message.isprintable()
        assert len(outcome.message) < 200


PIECES = st.one_of(
    st.builds(
        "{}{}={}".format,
        st.sampled_from(["", "m.", "m.m.", "cM.", "m.c_m."]),
        st.sampled_from([*NAMES, "aInt32", "r_int64", "tags[k]", "tags", "cString", "cM", "ms.m"]),
        st.sampled_from(["1", "", "true", "x", "%41", "a+b", "%zz", "%ff", "YQ==", "1.5s"]),
    ),
    st.text(alphabet="am.=&%+[]_0fF\ud800é", max_size=20),
)
QUERIES = st.one_of(st.lists(PIECES, max_size=6).map("&".join), st.text(st.characters(codec=None)))
LENIENT, STRICT, BODY_FIELD, WHOLE_BODY = (
    QueryBinder(
        DESCRIPTOR,
        bound=[resolve(DESCRIPTOR, path) for path in bound],
        body=body,
        options=QueryOptions.model_validate({"maps": maps, "unknown": unknown}),
    )
    for bound, body, maps, unknown in (
        ((), None, True, "ignore"),
        ((), None, False, "reject"),
        (("a_string", "m.c_string"), DESCRIPTOR.fields_by_name["c_m"], True, ["x"]),
        (("a_string",), "*", False, "ignore"),
    )
)


@pytest.mark.parametrize(
    "binder",
    [LENIENT, STRICT, BODY_FIELD, WHOLE_BODY],
    ids=["lenient", "strict", "body field", "whole body"],
)
@given(query=QUERIES)
def test_any_query_is_bound_or_refused(binder: QueryBinder, query: str) -> None:
    outcome = attempt(lambda: binder.bind(query))
    if isinstance(outcome, bytes):
        bound: Any = M.FromString(outcome)
        assert outcome == b"".join(binder.bind(piece) for piece in query.split("&"))
        assert binder is not WHOLE_BODY or not outcome
        assert binder is not BODY_FIELD or not (bound.a_string or bound.WhichOneof("choice"))
    else:
        assert outcome.code is Code.INVALID_ARGUMENT
        assert outcome.message.isprintable()


@given(
    values=st.dictionaries(
        st.sampled_from(["a_string", "c_string", "o_string", "m.a_string", "m.m.o_string"]), TEXT
    ),
    items=st.lists(I64),
)
def test_an_encoded_form_comes_through_unchanged(values: dict[str, str], items: list[int]) -> None:
    pairs = [*values.items(), *(("r_int64", str(item)) for item in items)]
    bound: Any = M.FromString(STRICT.bind(urlencode(pairs)))
    assert list(bound.r_int64) == items
    for path, value in values.items():
        *parents, leaf = path.split(".")
        message = bound
        for parent in parents:
            message = getattr(message, parent)
        assert getattr(message, leaf) == value

"""Whatever is written of a well-known type is read back: as a body, in a query and in a path."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from google.protobuf.message_factory import GetMessageClass
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.config.json import JsonOptions
from gateway.config.model import Config
from gateway.schema.catalog import build_schema
from gateway.transcoding.json.codec import Codec
from gateway.transcoding.transcoder import Transcoder, build_transcoder
from tests.support.schema import descriptor_set
from tests.unit.transcoding.test_field_masks import PATH

PROTO = """
syntax = "proto3";
package values.v1;
import "google/api/annotations.proto";
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
message M {
  google.protobuf.Timestamp time = 1; google.protobuf.Duration span = 2;
  google.protobuf.FieldMask mask = 3; google.protobuf.Struct struct = 4;
  google.protobuf.Value value = 5; google.protobuf.ListValue list = 6;
  google.protobuf.Any any = 7; google.protobuf.Empty empty = 8;
  google.protobuf.DoubleValue double = 11; google.protobuf.FloatValue float = 12;
  google.protobuf.Int64Value int64 = 13; google.protobuf.UInt64Value uint64 = 14;
  google.protobuf.Int32Value int32 = 15; google.protobuf.UInt32Value uint32 = 16;
  google.protobuf.BoolValue bool = 17; google.protobuf.StringValue string = 18;
  google.protobuf.BytesValue bytes = 19; int64 wide = 20; uint64 unsigned = 21;
}
service S {
  rpc Whole(M) returns (M) { option (google.api.http) = {post: "/v1" body: "*"}; }
  rpc Query(M) returns (M) { option (google.api.http) = {get: "/v1"}; }
BINDINGS
}
"""
TEXTS = (
    *("time", "span", "mask", "double", "float", "int64", "uint64", "int32", "uint32"),
    *("bool", "string", "bytes", "wide", "unsigned"),
)
"""What one text can say."""


def bindings() -> str:
    """A method for each such field in a path."""
    return "\n".join(
        f"  rpc In{name.title()}(M) returns (M) {{\n"
        f'    option (google.api.http) = {{get: "/v1/{name}/{{{name}}}"}};\n  }}'
        for name in TEXTS
    )


SCHEMA = build_schema(descriptor_set(values=PROTO.replace("BINDINGS", bindings())))
DESCRIPTOR = SCHEMA.pool.FindMessageTypeByName("values.v1.M")
M = GetMessageClass(DESCRIPTOR)
WRITE = Codec(SCHEMA.pool, JsonOptions(emit_unset=False)).writer(DESCRIPTOR)
LAST_SPAN, LAST_NANOS = 315_576_000_000, 999_999_999

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def integers(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return st.integers(least, most) | st.sampled_from([least, most, 0])


SIMPLE: dict[str, st.SearchStrategy[Any]] = {
    "double": st.floats(), "float": st.floats(width=32),
    "int64": integers(64, signed=True), "uint64": integers(64, signed=False),
    "int32": integers(32, signed=True), "uint32": integers(32, signed=False),
    "bool": st.booleans(), "string": st.text(), "bytes": st.binary(),
}  # fmt: skip
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "time": st.fixed_dictionaries(
        {
            "seconds": st.integers(-62_135_596_800, 253_402_300_799)
            | st.sampled_from([-62_135_596_800, 253_402_300_799]),
            "nanos": st.integers(0, LAST_NANOS) | st.just(LAST_NANOS),
        }
    ),
    "span": st.builds(
        lambda sign, seconds, nanos: {"seconds": sign * seconds, "nanos": sign * nanos},
        st.sampled_from([1, -1]),
        st.integers(0, LAST_SPAN) | st.just(LAST_SPAN),
        st.integers(0, LAST_NANOS) | st.just(LAST_NANOS),
    ),
    "mask": st.lists(PATH | st.just("*"), max_size=4).map(lambda paths: {"paths": paths}),
    "wide": integers(64, signed=True),
    "unsigned": integers(64, signed=False),
    **{name: kind.map(lambda value: {"value": value}) for name, kind in SIMPLE.items()},
}


@pytest.fixture(scope="module")
def transcoder() -> Transcoder:
    return build_transcoder(Config(), SCHEMA)


def spelled(field: str, message: Any) -> str:
    """The JSON of the field, as one writes it without quotes."""
    value = json.loads(WRITE(message.SerializeToString()), parse_float=str, parse_int=str)
    found = value.get(field, "0" if field in ("wide", "unsigned") else None)
    return str(found).lower() if isinstance(found, bool) else str(found)


def same(wire: bytes, message: Any) -> bool:
    """Whether bytes are that message; a NaN is one whatever its bits."""
    return WRITE(wire) == WRITE(message.SerializeToString())


@pytest.mark.parametrize("field", KINDS)
@given(data=st.data())
def test_in_a_body(transcoder: Transcoder, field: str, data: st.DataObject) -> None:
    message = M(**{field: data.draw(KINDS[field])})
    body = WRITE(message.SerializeToString())
    wire = transcoder.decode(transcoder.match("POST", "/v1"), "", None, body)
    assert same(wire, message)
    if field not in ("double", "float"):
        assert M.FromString(wire) == message


@pytest.mark.parametrize("field", TEXTS)
@given(data=st.data())
def test_in_a_query(transcoder: Transcoder, field: str, data: st.DataObject) -> None:
    message = M(**{field: data.draw(KINDS[field])})
    query = f"{field}={quote(spelled(field, message), safe='')}"
    wire = transcoder.decode(transcoder.match("GET", "/v1"), query, None, b"")
    assert same(wire, message)


@pytest.mark.parametrize("field", TEXTS)
@given(data=st.data())
def test_in_a_path(transcoder: Transcoder, field: str, data: st.DataObject) -> None:
    message = M(**{field: data.draw(KINDS[field])})
    text = spelled(field, message)
    if text in ("", ".", "..") or "\0" in text:
        return  # no segment, and no path, can say these
    path = f"/v1/{field}/{quote(text, safe='')}"
    match = transcoder.match("GET", path)
    assert same(transcoder.decode(match, "", None, b""), message)


@given(value=JSON)
@example(value={"a": [1e308, -0.0, {}], "": None})
def test_free_json_in_a_body(transcoder: Transcoder, value: Any) -> None:
    body = json.dumps({"value": value, "list": [value], "struct": {"k": value}}).encode()
    match = transcoder.match("POST", "/v1")
    wire = transcoder.decode(match, "", None, body)
    # Members come in any order, on the wire and in JSON.
    assert M.FromString(transcoder.decode(match, "", None, WRITE(wire))) == M.FromString(wire)

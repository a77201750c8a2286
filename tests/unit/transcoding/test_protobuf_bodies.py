"""Protobuf instead of JSON, both ways, with the rules of body and response body kept."""

import pytest
from google.rpc.status_pb2 import Status

from gateway.config.model import Config
from gateway.schema.catalog import build_schema
from gateway.status import Code, StatusError, invalid_argument
from gateway.transcoding.media import preferred
from gateway.transcoding.transcoder import Transcoder, build_transcoder
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package p.v1;
import "google/api/annotations.proto";
message Book { string name = 1; string title = 2; repeated string words = 3; Author author = 4; }
message Author { string name = 1; int32 age = 2; }
message Request { string shelf = 1; Book book = 2; repeated Book books = 3; int32 number = 4; }
service S {
  rpc Make(Request) returns (Request) {
    option (google.api.http) = {
      post: "/v1/{shelf}/book" body: "book" response_body: "book"
      additional_bindings { post: "/v1/{shelf}/books" body: "books" response_body: "books" }
      additional_bindings { post: "/v1/{book.name}/author" body: "*" }
      additional_bindings { get: "/v1/{shelf}" }
    };
  }
}
"""
PROTOBUF = "application/x-protobuf"
SCHEMA = build_schema(descriptor_set(p=PROTO))


@pytest.fixture(scope="module")
def transcoder() -> Transcoder:
    return build_transcoder(Config(), SCHEMA)


def decode(transcoder: Transcoder, target: str, body: bytes) -> bytes:
    path, _, query = target.partition("?")
    return transcoder.decode(transcoder.match("POST", path), query, PROTOBUF, body)


def test_a_body_field_is_that_fields_message(transcoder: Transcoder) -> None:
    # title "t" into book; the path's shelf and the query's number are merged behind it.
    wire = decode(transcoder, "/v1/s/book?number=7", b"\x12\x01t")
    assert wire == b"\x12\x03\x12\x01t" + b"\x20\x07" + b"\x0a\x01s"


def test_a_whole_body_is_the_message_and_the_path_is_merged(transcoder: Transcoder) -> None:
    body = b"\x12\x03\x12\x01t"
    assert decode(transcoder, "/v1/n/author", body) == body + b"\x12\x03\x0a\x01n"


@pytest.mark.parametrize(
    ("body", "is_fine"),
    [
        pytest.param(b"\x12\x03\x0a\x01n", True, id="the same"),
        pytest.param(b"\x12\x03\x0a\x01x", False, id="another"),
        pytest.param(b"\x12\x03\x0a\x01x\x12\x03\x0a\x01n", True, id="the last counts"),
        pytest.param(b"\x12\x03\x0a\x01n\x12\x03\x0a\x01x", False, id="in parts"),
    ],
)
def test_a_body_may_repeat_the_path_but_not_contradict_it(
    transcoder: Transcoder, body: bytes, is_fine: bool
) -> None:
    if is_fine:
        assert decode(transcoder, "/v1/n/author", body).startswith(body)
        return
    with pytest.raises(StatusError, match="differs from the one in the URL"):
        decode(transcoder, "/v1/n/author", body)


def test_a_body_field_that_is_no_message_is_415(transcoder: Transcoder) -> None:
    with pytest.raises(StatusError) as raised:
        decode(transcoder, "/v1/s/books", b"\x12\x01t")
    assert raised.value.http_status == 415


@pytest.mark.parametrize("body", [b"\x12", b"\x12\x05t", b"\x12\x01\xff", b"\xff\xff"])
def test_what_is_no_message_is_refused(transcoder: Transcoder, body: bytes) -> None:
    with pytest.raises(StatusError) as raised:
        decode(transcoder, "/v1/s/book", body)
    assert raised.value.http_status == 400


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
        ("application/x-protobuf", "application/x-protobuf"),
        ("application/protobuf", "application/protobuf"),
        ("application/x-protobuf, */*;q=0.1", "application/x-protobuf"),
        ("application/x-protobuf, application/json", "application/json"),
        ("application/x-protobuf;q=0.5, application/json;q=0.4", "application/x-protobuf"),
        ("application/*", "application/json"),
        ("application/json;q=0, application/*", None),
        ("application/x-protobuf;q=0", None),
        ("image/png", None),
    ],
)
def test_protobuf_has_to_be_wanted_by_name(accept: str, chosen: str | None) -> None:
    assert preferred(accept) == chosen


def test_an_answer_is_the_message_or_its_field(transcoder: Transcoder) -> None:
    whole = transcoder.encoder(transcoder.match("GET", "/v1/s"), PROTOBUF)(b"\x0a\x01s")
    assert (whole.body, whole.content_type) == (b"\x0a\x01s", PROTOBUF)
    field = transcoder.encoder(transcoder.match("POST", "/v1/s/book"), "application/protobuf")
    assert field(b"\x0a\x01s\x12\x03\x12\x01t\x12\x03\x0a\x01n").body == b"\x12\x01t\x0a\x01n"
    assert field(b"\x0a\x01s").body == b""


def test_an_answer_that_is_no_message_is_406(transcoder: Transcoder) -> None:
    with pytest.raises(StatusError) as raised:
        transcoder.encoder(transcoder.match("POST", "/v1/s/books"), PROTOBUF)
    assert raised.value.http_status == 406


def test_a_failure_is_a_status_for_who_wants_protobuf(transcoder: Transcoder) -> None:
    error = invalid_argument("a.b", "is wrong")
    error.message += " \ud800"
    payload = transcoder.encode_error(error, PROTOBUF)
    assert payload.content_type == PROTOBUF
    status = Status.FromString(payload.body)
    assert (status.code, status.message) == (int(Code.INVALID_ARGUMENT), "a.b: is wrong ?")
    assert status.details[0].type_url.endswith("google.rpc.BadRequest")


@pytest.mark.parametrize("accept", [None, "*/*", "image/png"])
def test_a_failure_is_json_for_everybody_else(transcoder: Transcoder, accept: str | None) -> None:
    payload = transcoder.encode_error(invalid_argument("", "wrong"), accept)
    assert payload.content_type == "application/json"

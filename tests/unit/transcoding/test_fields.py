"""A field path knows what it touches, and its encoder puts a value just there."""

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway.status import StatusError
from gateway.transcoding.fields import (
    FieldPathError,
    check_path_variable,
    field_encoder,
    path_encoder,
    resolve,
)
from tests.support.schema import descriptor_pool, descriptor_set

POOL = descriptor_pool(
    descriptor_set(
        fields="""
syntax = "proto3";
package fields;
import "google/protobuf/any.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
message Book { string name = 1; int32 page_count = 2 [json_name = "pages"]; Book sequel = 3; }
message M {
  Book book = 1; Book book_two = 2; string name = 3; optional string note = 4;
  oneof choice { string text = 5; Book chosen = 6; }
  repeated Book books = 7; map<string, Book> shelf = 8; google.protobuf.Timestamp time = 9;
  google.protobuf.Struct struct = 10; google.protobuf.Any any = 11; google.protobuf.Value v = 12;
  google.protobuf.ListValue list = 13; google.protobuf.Empty empty = 14; repeated string tags = 15;
  google.protobuf.Int32Value wrapped = 16; M m = 17;
}
""",
        legacy="""
syntax = "proto2";
package legacy;
enum Closed { ONE = 1; TWO = 2; }
message M {
  optional Closed closed = 1; optional group Inner = 2 { optional string name = 1; }
  optional int32 count = 3 [default = 7];
}
""",
        modern="""
edition = "2023";
package modern;
message Inner { string name = 1; Inner inner = 2 [features.message_encoding = DELIMITED]; }
message M { Inner inner = 1 [features.message_encoding = DELIMITED]; Inner plain = 2; }
""",
    )
)
M = POOL.FindMessageTypeByName("fields.M")


def encoded(message: str, path: str, text: str) -> Message:
    descriptor = POOL.FindMessageTypeByName(message)
    wire = path_encoder(resolve(descriptor, path))(text)
    return GetMessageClass(descriptor).FromString(wire)


def test_a_path_is_written_in_each_kind_of_name() -> None:
    path = resolve(M, "book_two.page_count")
    assert path.text == "book_two.page_count"
    assert path.json == "bookTwo.pages"
    assert path.numbers == (2, 2)
    assert path.leaf.name == "page_count"


@pytest.mark.parametrize(
    "spelling", ["book_two.page_count", "bookTwo.pages", "bookTwo.page_count", "book_two.pages"]
)
def test_json_names_count_at_each_step_where_asked_for(spelling: str) -> None:
    assert resolve(M, spelling, json_names=True) == resolve(M, "book_two.page_count")


@pytest.mark.parametrize("spelling", ["bookTwo.name", "book_two.pages"])
def test_json_names_do_not_count_in_annotations(spelling: str) -> None:
    with pytest.raises(FieldPathError):
        resolve(M, spelling)


def test_a_json_name_of_its_own_replaces_the_derived_one() -> None:
    with pytest.raises(FieldPathError):
        resolve(M, "book.pageCount", json_names=True)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("books.name", "books is a list or map"),
        ("shelf.value", "shelf is a list or map"),
        ("tags.x", "tags is a list or map"),
        ("name.x", "name has no fields"),
        ("time.seconds", "time is a google.protobuf.Timestamp, which has no members in JSON"),
        ("wrapped.value", "wrapped is a google.protobuf.Int32Value"),
        ("any.type_url", "any is a google.protobuf.Any"),
        ("struct.fields", "struct is a google.protobuf.Struct"),
        ("list.values", "list is a google.protobuf.ListValue"),
        ("v.string_value", "v is a google.protobuf.Value"),
        ("", "fields.M has no field"),
        ("book..name", "fields.Book has no field"),
        ("book.nam", "did you mean name?"),
    ],
)
def test_a_path_that_cannot_go_on_says_at_which_step(path: str, says: str) -> None:
    with pytest.raises(FieldPathError) as raised:
        resolve(M, path)
    assert says in str(raised.value)


def test_a_client_is_not_told_what_else_there_is() -> None:
    with pytest.raises(FieldPathError) as raised:
        resolve(M, "book.nam", json_names=True)
    assert "did you mean" not in str(raised.value)


@pytest.mark.parametrize(
    ("path", "reached"),
    [("shelf.k.x", "shelf"), ("book.nope", "book"), ("book.sequel.x.y", "book.sequel")],
)
def test_an_error_tells_how_far_the_path_led(path: str, reached: str) -> None:
    with pytest.raises(FieldPathError) as raised:
        resolve(M, path)
    assert raised.value.reached == resolve(M, reached)


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("book.name", "book.name", True),
        ("book.name", "book", True),
        ("book", "book.sequel.name", True),
        ("book.name", "book.page_count", False),
        ("book.name", "book_two.name", False),
        ("book", "name", False),
    ],
)
def test_paths_overlap_when_one_contains_the_other(one: str, other: str, overlap: bool) -> None:
    assert resolve(M, one).overlaps(resolve(M, other)) is overlap
    assert resolve(M, other).overlaps(resolve(M, one)) is overlap


@pytest.mark.parametrize(
    ("path", "choices"),
    [
        ("text", [(((), "choice"), 5)]),
        ("chosen.name", [(((), "choice"), 6)]),
        ("m.chosen.sequel", [(((17,), "choice"), 6)]),
        ("m.note", []),
        ("book.name", []),
    ],
)
def test_a_path_knows_the_oneofs_it_decides(path: str, choices: list[object]) -> None:
    assert list(resolve(M, path).choices()) == choices


@pytest.mark.parametrize(
    "path", ["books", "shelf", "tags", "book", "struct", "list", "any", "empty"]
)
def test_what_no_segment_can_fill_is_no_path_variable(path: str) -> None:
    with pytest.raises(FieldPathError, match=f"^{path}: "):
        check_path_variable(resolve(M, path))
    with pytest.raises(FieldPathError, match=f"^{path}: "):
        path_encoder(resolve(M, path))


@pytest.mark.parametrize("path", ["book", "struct", "list", "any"])
def test_no_encoder_is_made_for_what_no_text_can_say(path: str) -> None:
    with pytest.raises(FieldPathError, match="has no text form"):
        field_encoder(resolve(M, path), path)


@pytest.mark.parametrize(
    ("message", "path", "text", "json"),
    [
        ("fields.M", "book.name", "shelves/1", {"book": {"name": "shelves/1"}}),
        ("fields.M", "book.name", "é" * 200, {"book": {"name": "é" * 200}}),
        ("fields.M", "m.m.book.page_count", "-1", {"m": {"m": {"book": {"pages": -1}}}}),
        ("fields.M", "note", "", {"note": ""}),
        ("fields.M", "text", "", {"text": ""}),
        ("fields.M", "wrapped", "0", {"wrapped": 0}),
        ("fields.M", "time", "1970-01-01T00:00:00Z", {"time": "1970-01-01T00:00:00Z"}),
        ("legacy.M", "closed", "TWO", {"closed": "TWO"}),
        ("legacy.M", "closed", "2", {"closed": "TWO"}),
        ("legacy.M", "count", "0", {"count": 0}),
        ("legacy.M", "inner.name", "x", {"inner": {"name": "x"}}),
        ("modern.M", "inner.inner.name", "x", {"inner": {"inner": {"name": "x"}}}),
        ("modern.M", "plain.inner.name", "x", {"plain": {"inner": {"name": "x"}}}),
    ],
)
def test_a_value_lands_at_its_path(message: str, path: str, text: str, json: object) -> None:
    assert json_format.MessageToDict(encoded(message, path, text)) == json


def test_a_closed_enum_takes_no_number_it_does_not_declare() -> None:
    with pytest.raises(StatusError, match="closed: expected a number that Closed declares"):
        encoded("legacy.M", "closed", "3")


@pytest.mark.parametrize(("path", "text"), [("name", ""), ("book.page_count", "0")])
def test_an_appended_default_wins_over_what_came_before(path: str, text: str) -> None:
    cls = GetMessageClass(M)
    book = {"name": "kept", "page_count": 7}
    body = json_format.ParseDict({"book": book, "name": "from the body"}, cls())
    appended = body.SerializeToString() + path_encoder(resolve(M, path))(text)
    merged = json_format.MessageToDict(cls.FromString(appended), preserving_proto_field_name=True)
    assert path.rsplit(".", maxsplit=1)[-1] not in (merged if path == "name" else merged["book"])
    assert merged["book"]["name"] == "kept"


def test_an_error_names_the_json_path() -> None:
    with pytest.raises(StatusError, match=r"^bookTwo\.pages: expected an int32"):
        path_encoder(resolve(M, "book_two.page_count"))("x")

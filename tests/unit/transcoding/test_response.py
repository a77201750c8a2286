"""A reply's message to the payload that its rule asks for: all of it, one field, or raw bytes."""

import json

import pytest

from gateway.config.json import JsonOptions
from gateway.status import StatusError
from gateway.transcoding.json.codec import Codec
from gateway.transcoding.response import protobuf_encoder, response_encoder
from tests.support.shelves import bindings, schema, wire

GET = "GET /v1/{name=books/*}"
TITLE, TAGS = f"{GET}/title", f"{GET}/tags"
PATCH, FILE = "PATCH /v1/{name=books/*}", "PUT /v1/{name=files/*}"
PAGES = "GET /v1/{name=pages/*}"
COVER = f"{PAGES}/cover"
CODEC = Codec(schema().pool, JsonOptions(emit_unset=False), json_depth=20)
BOOK = wire("Book", name="books/a", title="t", tags=["x", "y"])
PICTURE = wire("google.api.HttpBody", content_type="image/png", data=b"\x89PNG")


@pytest.mark.parametrize(
    ("route", "message", "document"),
    [
        pytest.param(
            GET, BOOK, {"name": "books/a", "title": "t", "tags": ["x", "y"]}, id="the message"
        ),
        pytest.param(TITLE, BOOK, "t", id="a field that is a text"),
        pytest.param(TAGS, BOOK, ["x", "y"], id="a field that is a list"),
        pytest.param(TAGS, b"", [], id="a list that is empty"),
        pytest.param(PATCH, b"\x12\x03\x12\x01t", {"title": "t"}, id="a field that is a message"),
    ],
)
def test_a_reply_becomes_json_of_what_the_rule_names(
    route: str, message: bytes, document: object
) -> None:
    payload = response_encoder(bindings()[route], CODEC)(message)
    assert (payload.content_type, payload.headers) == ("application/json", ())
    assert json.loads(payload.body) == document


@pytest.mark.parametrize(
    ("route", "message"),
    [
        pytest.param(FILE, PICTURE, id="the message"),
        pytest.param(COVER, b"\x12" + bytes([len(PICTURE)]) + PICTURE, id="a field"),
    ],
)
def test_an_http_body_goes_out_as_its_own_bytes(route: str, message: bytes) -> None:
    payload = response_encoder(bindings()[route], CODEC)(message)
    assert (payload.content_type, payload.body) == ("image/png", b"\x89PNG")


def test_a_field_in_pieces_is_merged_before_it_goes_out() -> None:
    halves = b"\x12\x0b\x0a\x09image/png" + b"\x12\x06\x12\x04\x89PNG"
    payload = response_encoder(bindings()[COVER], CODEC)(halves)
    assert (payload.content_type, payload.body) == ("image/png", b"\x89PNG")


@pytest.mark.parametrize(
    ("route", "raw"),
    [(GET, False), (TITLE, False), (FILE, True), (COVER, True), (PAGES, False)],
)
def test_only_an_http_body_that_is_not_repeated_is_raw(route: str, raw: bool) -> None:
    assert bindings()[route].answers_raw is raw


def test_a_list_of_http_bodies_is_json() -> None:
    message = b"\x0a" + bytes([len(PICTURE)]) + PICTURE
    payload = response_encoder(bindings()[PAGES], CODEC)(message)
    (page,) = json.loads(payload.body)
    assert page["contentType"] == "image/png"


@pytest.mark.parametrize(
    ("route", "message", "body"),
    [(GET, BOOK, BOOK), (PATCH, b"\x12\x03\x12\x01t", b"\x12\x01t")],
    ids=["the message", "a field that is a message"],
)
def test_a_reply_goes_out_as_protobuf_under_the_name_that_was_asked_for(
    route: str, message: bytes, body: bytes
) -> None:
    payload = protobuf_encoder(bindings()[route], "application/protobuf")(message)
    assert (payload.content_type, payload.body) == ("application/protobuf", body)


def test_a_field_that_is_no_message_has_no_protobuf() -> None:
    with pytest.raises(StatusError, match="the field title, which is not a message") as raised:
        protobuf_encoder(bindings()[TITLE], "application/protobuf")
    assert raised.value.http_status == 406

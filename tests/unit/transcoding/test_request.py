"""One request message of three parts: the body, the query and the captures of the path."""

import json
from typing import Any

import pytest

from gateway.config.json import JsonOptions
from gateway.config.model import Config
from gateway.status import Code, StatusError
from gateway.transcoding.json.codec import Codec
from gateway.transcoding.request import RequestDecoder
from tests.support.shelves import bindings, parsed, schema, wire

GET, PUT = "GET /v1/{name=books/*}", "PUT /v1/{name=books/*}"
PATCH, FILE = "PATCH /v1/{name=books/*}", "PUT /v1/{name=files/*}"
ADD = "POST /v1/{name=books/*}:add"
CONFIG = Config.model_validate({"limits": {"json_values": 100}})
JSON, PROTOBUF = "application/json", "application/x-protobuf"


def decoder(route: str) -> RequestDecoder:
    codec = Codec(schema().pool, JsonOptions(), json_depth=20)
    return RequestDecoder(bindings()[route], codec, CONFIG)


def decode(
    route: str, query: str = "", body: bytes = b"", content_type: str | None = JSON
) -> bytes:
    return decoder(route).decode(("books/a",), query, content_type, body)


def refused(route: str, query: str = "", body: bytes = b"", content_type: str = JSON) -> Any:
    with pytest.raises(StatusError) as raised:
        decode(route, query, body, content_type)
    return raised.value


def book(data: bytes) -> Any:
    return parsed("Book", data)


def test_path_and_query_fill_fields_of_their_own() -> None:
    assert book(decode(GET, "pages=3&tags=x&tags=y")) == book(
        wire("Book", name="books/a", pages=3, tags=["x", "y"])
    )


def test_a_whole_body_is_the_message_and_the_path_completes_it() -> None:
    assert book(decode(PUT, body=b'{"title":"t"}')) == book(wire("Book", name="books/a", title="t"))


def test_a_body_of_one_field_leaves_the_others_to_the_query() -> None:
    change = parsed("Change", decode(PATCH, "dry_run=true", b'{"title":"t"}'))
    assert (change.name, change.dry_run, change.book.title) == ("books/a", True, "t")


@pytest.mark.parametrize(
    "content_type", [None, JSON, "application/merge-patch+json; charset=utf-8"]
)
def test_a_body_without_a_media_type_is_json(content_type: str | None) -> None:
    assert book(decode(PUT, body=b'{"pages":1}', content_type=content_type)).pages == 1


def test_a_body_can_be_protobuf() -> None:
    assert book(decode(PUT, body=wire("Book", pages=1), content_type=PROTOBUF)).pages == 1


def test_a_raw_body_keeps_its_bytes_and_its_media_type() -> None:
    one = decoder(FILE)
    assert one.takes_raw_body
    upload = parsed("Upload", one.decode(("files/a",), "", "image/png", b"\x89PNG"))
    assert (upload.name, upload.file.content_type, upload.file.data) == (
        "files/a",
        "image/png",
        b"\x89PNG",
    )


def test_an_empty_body_sets_nothing() -> None:
    assert book(decode(PUT)) == book(wire("Book", name="books/a"))


@pytest.mark.parametrize("content_type", ["text/csv", "application/json; charset=latin-1"])
def test_another_media_type_is_415_and_names_those_that_are_taken(content_type: str) -> None:
    error = refused(PUT, body=b"x", content_type=content_type)
    assert error.http_status == 415
    assert error.headers == [("Accept", f"{JSON}, {PROTOBUF}")]


@pytest.mark.parametrize(
    ("route", "query", "body", "says"),
    [
        pytest.param(GET, "", b"{}", "takes no body", id="a body for a rule without one"),
        pytest.param(GET, "unknown=1", b"", "unknown", id="a parameter that is no field"),
        pytest.param(GET, "name=x", b"", "name", id="a parameter that the path has bound"),
        pytest.param(PUT, "pages=1", b"{}", "pages", id="a parameter besides a whole body"),
        pytest.param(PUT, "", b'{"pages":"x"}', "pages", id="a value of another type"),
        pytest.param(PUT, "", b'{"name":"books/b"}', "name", id="another name than the path has"),
        pytest.param(PUT, "", b"{", "JSON", id="half a document"),
    ],
)
def test_a_request_that_contradicts_its_rule_is_refused(
    route: str, query: str, body: bytes, says: str
) -> None:
    error = refused(route, query, body)
    assert error.code is Code.INVALID_ARGUMENT
    assert says in error.message + str(error.details)


def test_a_body_of_more_values_than_allowed_is_refused() -> None:
    tags = json.dumps({"tags": ["x"] * CONFIG.limits.json_values}).encode()
    assert refused(PUT, "", tags).http_status == 413


def test_a_body_may_repeat_what_the_path_says() -> None:
    assert book(decode(PUT, body=b'{"name":"books/a"}')).name == "books/a"


def test_a_url_alone_can_be_decoded_for_the_start_of_a_stream() -> None:
    assert book(decoder(GET).decode_url(("books/a",), "pages=2")).pages == 2


@pytest.mark.parametrize("protobuf", [False, True])
def test_a_message_of_a_stream_may_not_contradict_the_path(protobuf: bool) -> None:
    _, read = decoder(ADD).message_reader(("books/a",), "", protobuf=protobuf)

    def payload(name: str) -> bytes:
        return wire("Book", name=name) if protobuf else json.dumps({"name": name}).encode()

    assert book(read(payload("books/a"))).name == "books/a"
    with pytest.raises(StatusError) as raised:
        read(payload("books/b"))
    assert raised.value.code is Code.INVALID_ARGUMENT


def test_the_parts_of_a_url_are_explained_by_their_fields() -> None:
    assert decoder(PATCH).explain(("books/a",), "dryRun=true") == [
        ("path", "books/a", "name"),
        ("query dryRun", "true", "dry_run"),
    ]

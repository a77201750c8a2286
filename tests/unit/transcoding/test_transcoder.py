"""The facade of transcoding: a request's match, its message, its reply's payload, its failures."""

import json
from typing import Any

import pytest
from google.protobuf import any_pb2
from google.rpc.status_pb2 import Status

from gateway.config.model import Config
from gateway.schema.catalog import build_schema
from gateway.status import Code, FieldViolation, RefusedAlike, StatusError, invalid_fields
from gateway.transcoding.binding import Binding
from gateway.transcoding.routing.router import Match
from gateway.transcoding.streams.framing import NDJSON
from gateway.transcoding.transcoder import RulesError, Transcoder, build_transcoder
from tests.support.schema import descriptor_set
from tests.support.shelves import parsed, transcoder, wire

JSON = "application/json"
PROTOBUF = "application/x-protobuf"


@pytest.fixture(scope="module")
def shelves() -> Transcoder:
    return transcoder()


def match(shelves: Transcoder, request: str) -> Match[Binding]:
    return shelves.match(*request.split(" "))


def test_a_request_goes_to_a_method_and_its_reply_comes_back_as_json(shelves: Transcoder) -> None:
    found = match(shelves, "GET /v1/books/a")
    message = shelves.decode(found, "pages=3", None, b"")
    book = parsed("Book", message)
    assert (book.name, book.pages) == ("books/a", 3)
    payload = shelves.encode(found, message)
    assert payload.content_type == JSON
    assert json.loads(payload.body) == {"name": "books/a", "title": "", "pages": 3, "tags": []}


@pytest.mark.parametrize(
    ("request_line", "status"),
    [("GET /v1/nothing", 404), ("DELETE /v1/books/a", 405), ("GET /v1/books/%zz", 400)],
)
def test_a_request_without_a_binding_has_a_failure_that_tells_why(
    shelves: Transcoder, request_line: str, status: int
) -> None:
    with pytest.raises(StatusError) as raised:
        match(shelves, request_line)
    assert raised.value.http_status == status


def test_the_methods_that_a_path_allows_can_be_asked_for(shelves: Transcoder) -> None:
    assert shelves.allowed_methods("/v1/books/a") == ("GET", "HEAD", "OPTIONS", "PATCH", "PUT")
    assert shelves.allowed_methods("/v1/nothing") == ()


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, JSON),
        ("*/*", JSON),
        (PROTOBUF, PROTOBUF),
        ("application/json;q=0.1, application/protobuf", "application/protobuf"),
    ],
)
def test_a_client_chooses_the_encoding_of_a_reply(
    shelves: Transcoder, accept: str | None, content_type: str
) -> None:
    encode = shelves.encoder(match(shelves, "GET /v1/books/a"), accept)
    payload = encode(wire("Book", title="t"))
    assert payload.content_type == content_type
    assert (payload.body == wire("Book", title="t")) is (content_type != JSON)


def test_a_client_that_takes_no_encoding_is_refused_unless_bytes_are_raw(
    shelves: Transcoder,
) -> None:
    with pytest.raises(StatusError) as raised:
        shelves.encoder(match(shelves, "GET /v1/books/a"), "image/png")
    assert raised.value.http_status == 406
    raw = shelves.encoder(match(shelves, "PUT /v1/files/a"), "image/png")
    picture = wire("google.api.HttpBody", content_type="image/jpeg", data=b"\xff\xd8")
    assert (raw(picture).content_type, raw(picture).body) == ("image/jpeg", b"\xff\xd8")


def test_a_plan_keeps_a_few_values_of_accept_for_which_it_answers_json(
    shelves: Transcoder,
) -> None:
    found = match(shelves, "GET /v1/books/a")
    plan = shelves.plan(found)
    for accept in ("*/*", PROTOBUF, "application/json", "*/*" + " " * 300):
        plan.encoder(accept)
    assert shelves.plans[found.target].accepted == {None, "*/*", "application/json"}
    for number in range(100):
        assert plan.encoder(f"application/json;a={number}") is plan.encode
    assert len(plan.accepted) < 20


@pytest.mark.parametrize(
    ("request_line", "answers", "takes"),
    [
        ("GET /v1/books/a", False, False),
        ("PUT /v1/files/a", True, True),
        ("GET /v1/pages/a", False, False),
        ("GET /v1/pages/a/cover", True, False),
        ("GET /v1/fetch", True, False),
    ],
)
def test_which_bodies_are_raw_is_known_from_the_rule(
    shelves: Transcoder, request_line: str, answers: bool, takes: bool
) -> None:
    found = match(shelves, request_line)
    assert (found.target.answers_raw, shelves.plan(found).decoder.takes_raw_body) == (
        answers,
        takes,
    )


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, NDJSON),
        (JSON, JSON),
        ("text/event-stream", "text/event-stream"),
        (PROTOBUF, PROTOBUF),
    ],
)
def test_a_client_chooses_the_framing_of_a_stream(
    shelves: Transcoder, accept: str | None, media_type: str
) -> None:
    framing, encode = shelves.framing(match(shelves, "GET /v1/watch"), accept)
    assert framing is not None
    assert framing.media_type == media_type
    assert (encode(wire("Book", name="a")).body[:1] == b"{") is not framing.is_protobuf


def test_a_stream_of_raw_bytes_has_no_framing_and_one_of_messages_needs_a_known_one(
    shelves: Transcoder,
) -> None:
    assert shelves.framing(match(shelves, "GET /v1/fetch"), "image/png")[0] is None
    with pytest.raises(StatusError, match="is a stream") as raised:
        shelves.framing(match(shelves, "GET /v1/watch"), "image/png")
    assert raised.value.http_status == 406


def messages(shelves: Transcoder, content_type: str | None, body: bytes) -> list[Any]:
    found = match(shelves, "POST /v1/books/a:add")
    decoder = shelves.stream_decoder(found, "", content_type, 1000)
    return [parsed("Book", one) for one in [*decoder.feed(body), *decoder.finish()]]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (None, b'[{"title":"x"},{"title":"y"}]'),
        (JSON, b'[{"title":"x"},{"title":"y"}]'),
        (NDJSON, b'{"title":"x"}\n{"title":"y"}\n'),
        (PROTOBUF, b"\x03\x12\x01x\x03\x12\x01y"),
    ],
)
def test_a_body_of_many_messages_is_cut_by_its_media_type(
    shelves: Transcoder, content_type: str | None, body: bytes
) -> None:
    found = messages(shelves, content_type, body)
    assert [one.title for one in found] == ["x", "y"]
    assert found[0].name == "books/a"


def test_a_body_of_many_messages_in_another_media_type_is_refused(shelves: Transcoder) -> None:
    with pytest.raises(StatusError) as raised:
        messages(shelves, "text/csv", b"")
    assert raised.value.http_status == 415


@pytest.mark.parametrize(("protobuf", "payload"), [(False, b'{"title":"x"}'), (True, b"\x12\x01x")])
def test_messages_that_come_one_by_one_are_decoded_one_by_one(
    shelves: Transcoder, protobuf: bool, payload: bytes
) -> None:
    found = match(shelves, "POST /v1/books/a:add")
    decoder = shelves.message_decoder(found, "", protobuf=protobuf)
    assert parsed("Book", decoder.decode(payload)) == parsed(
        "Book", wire("Book", name="books/a", title="x")
    )


@pytest.mark.parametrize(
    ("shape", "document"),
    [
        ("aip193", {"error": {"code": 404, "message": "gone", "status": "NOT_FOUND"}}),
        ("status", {"code": 5, "message": "gone", "details": []}),
        ("problem", {"status": 404, "detail": "gone"}),
    ],
)
def test_a_failure_has_the_configured_shape(shape: str, document: dict[str, Any]) -> None:
    payload = transcoder(errors=shape).encode_error(StatusError(Code.NOT_FOUND, "gone"))
    seen = json.loads(payload.body)
    stated = seen.get("error", seen)
    expected = document.get("error", document)
    assert {name: stated[name] for name in expected} == expected


@pytest.mark.parametrize(
    "message", ["", "no route for GET /a", 'a "b" \\ c', "a\n\0\x7f", "é😀\u2028"]
)
@pytest.mark.parametrize("pretty", [False, True])
def test_a_failure_without_details_is_json_like_any_other(message: str, *, pretty: bool) -> None:
    error = StatusError(Code.ALREADY_EXISTS, message, http_status=412)
    made = transcoder(json={"pretty": pretty}).encode_error(error).body
    document = {"error": {"code": 412, "message": message, "status": "ALREADY_EXISTS"}}
    separators = None if pretty else (",", ":")
    indent = 2 if pretty else None
    expected = json.dumps(document, ensure_ascii=False, indent=indent, separators=separators)
    assert made == expected.encode()


@pytest.mark.parametrize("shape", ["aip193", "status", "problem"])
@pytest.mark.parametrize("pretty", [False, True])
@pytest.mark.parametrize("accept", [None, "*/*", "text/html", PROTOBUF])
@pytest.mark.parametrize("message", ["plain", 'a "b" \\ c', "a\n\0\x7f", "é😀", "\udcff"])
def test_a_failure_that_is_no_error_is_written_as_one_that_is(
    message: str, accept: str | None, shape: str, *, pretty: bool
) -> None:
    made = transcoder(errors=shape, json={"pretty": pretty})
    error = StatusError(Code.UNAUTHENTICATED, message)
    expected = repr(made.encode_error(error, accept))
    plain = made.encode_plain_error(error.code, message, accept)
    assert (plain is not None) == (
        message == "plain" and accept != PROTOBUF and shape == "aip193" and not pretty
    )
    assert plain is None or repr(plain) == expected
    refused = RefusedAlike(error.code, message, [("WWW-Authenticate", "Bearer")])
    for _ in range(2):
        assert repr(made.encode_refusal(refused, accept)) == expected


@pytest.mark.parametrize(
    "violations",
    [
        [FieldViolation("count", "expected a number, got 'x'")],
        [FieldViolation("a.b", "must be set", "REQUIRED"), FieldViolation("", "is too long")],
        [FieldViolation("a", 'got "x"\n'), FieldViolation("b", "plain")],
        [FieldViolation("é", "😀\u2028\x7f")],
        [FieldViolation("a", "\\u0041")],
        [FieldViolation("a", 'expected a number, got "x"'), FieldViolation('"', '"a""b"')],
        [FieldViolation("a", '\\"x'), FieldViolation("b", 'x"\\')],
        [],
    ],
)
@pytest.mark.parametrize("settings", [{}, {"emit_unset": True}, {"proto_names": True}])
def test_details_that_need_no_rewriting_are_written_as_all_others_are(
    violations: list[FieldViolation], settings: dict[str, Any]
) -> None:
    made = transcoder(json=settings)
    error = invalid_fields(violations)
    body = made.encode_error(error).body
    # The same details beside one that must be rewritten.
    other = any_pb2.Any(type_url="type.googleapis.com/google.rpc.Unknown", value=b"x")
    error.details = [*error.details, other]
    (first, last) = json.loads(made.encode_error(error).body)["error"]["details"]
    assert last["@type"] == other.type_url
    document = json.loads(body)
    assert document["error"]["details"] == [first]
    expected = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    assert body == expected.encode()


def test_a_failure_is_a_status_message_for_a_client_of_protobuf(shelves: Transcoder) -> None:
    payload = shelves.encode_error(StatusError(Code.NOT_FOUND, "gone"), PROTOBUF)
    status = Status.FromString(payload.body)
    assert (payload.content_type, status.code, status.message) == (PROTOBUF, 5, "gone")


def test_a_failure_whose_text_is_no_utf_8_can_be_shown(shelves: Transcoder) -> None:
    error = StatusError(Code.ABORTED, "\udcff")
    assert json.loads(shelves.encode_error(error).body)["error"]["message"] == "?"


def test_the_last_text_of_a_websocket_is_a_status_in_a_member_of_its_own(
    shelves: Transcoder,
) -> None:
    document = json.loads(shelves.encode_status(StatusError(Code.OK, "")))
    assert document["@status"]["code"] == 0


def test_a_request_can_be_explained(shelves: Transcoder) -> None:
    found = match(shelves, "GET /v1/books/a")
    assert shelves.explain_request(found, "pages=3") == [
        ("path", "books/a", "name"),
        ("query pages", "3", "pages"),
    ]
    reasons = {
        str(one.rule.template): why for one, why in shelves.explain_match("GET", "/v1/watch")
    }
    assert reasons["/v1/watch"] == "matches"
    assert reasons["/v1/fetch"] != "matches"
    shown = json.loads(shelves.request_json(found, wire("Book", name="books/a", pages=3)))
    assert (shown["name"], shown["pages"]) == ("books/a", 3)


BROKEN = """
syntax = "proto3";
package broken.v1;
import "google/api/annotations.proto";
message M { string name = 1; }
service S { rpc Get(M) returns (M) { option (google.api.http) = {get: "/v1/{nothing}"}; } }
"""


def test_rules_that_cannot_be_served_are_refused_with_their_place() -> None:
    with pytest.raises(RulesError, match=r"broken\.proto:6") as raised:
        build_transcoder(Config(), build_schema(descriptor_set(broken=BROKEN)))
    assert [one.method for one in raised.value.diagnostics] == ["broken.v1.S.Get"]


def test_rules_that_are_doubtful_are_served_and_told_in_the_warnings() -> None:
    config = Config.model_validate({"routing": {"on_error": "skip"}})
    built = build_transcoder(config, build_schema(descriptor_set(broken=BROKEN)))
    assert list(built.bindings) == []
    assert [one.method for one in built.warnings] == ["broken.v1.S.Get"]

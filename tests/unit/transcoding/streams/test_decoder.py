"""What a body of many messages becomes: the first carries the URL, the path has the last word."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.config.model import Config
from gateway.status import Code, StatusError
from gateway.transcoding.streams.decoder import PIECE_BYTES, RequestStreamDecoder
from gateway.transcoding.transcoder import Transcoder, build_transcoder
from gateway.transcoding.wire import varint
from tests.support.stream_backend import message, parsed, schema

NDJSON = "application/x-ndjson"
JSON = "application/json"
PROTOBUF = "application/x-protobuf"


@pytest.fixture(scope="module")
def transcoder() -> Transcoder:
    return build_transcoder(Config(), schema())


def stream_decoder(
    transcoder: Transcoder, target: str, content_type: str | None = NDJSON
) -> RequestStreamDecoder:
    path, _, query = target.partition("?")
    return transcoder.stream_decoder(transcoder.match("POST", path), query, content_type, 1000)


def taken(one: RequestStreamDecoder, body: bytes, name: str = "Say") -> list[Any]:
    return [parsed(name, wire) for wire in [*one.feed(body), *one.finish()]]


def said(messages: Sequence[Any]) -> list[tuple[str, str, int]]:
    return [(one.topic, one.text, one.number) for one in messages]


def delimited(*messages: Any) -> bytes:
    wires = [one.SerializeToString() for one in messages]
    return b"".join(varint(len(wire)) + wire for wire in wires)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param(NDJSON, b'{"text":"a"}\n{"text":"b"}\n', id="lines"),
        pytest.param("application/jsonl", b'{"text":"a"}\n{"text":"b"}', id="jsonl"),
        pytest.param(JSON, b'[{"text":"a"},{"text":"b"}]', id="array"),
        pytest.param(None, b'[{"text":"a"},{"text":"b"}]', id="no type"),
        pytest.param(
            "application/x-protobuf;delimited=true",
            delimited(message("Say", text="a"), message("Say", text="b")),
            id="protobuf",
        ),
        pytest.param(
            "application/protobuf",
            delimited(message("Say", text="a"), message("Say", text="b")),
            id="protobuf by its other name",
        ),
    ],
)
def test_the_path_binds_into_the_first_message(
    transcoder: Transcoder, content_type: str | None, body: bytes
) -> None:
    messages = taken(stream_decoder(transcoder, "/v1/t/up", content_type), body)
    assert said(messages) == [("t", "a", 0), ("", "b", 0)]


def test_the_query_binds_into_the_first_message(transcoder: Transcoder) -> None:
    messages = taken(stream_decoder(transcoder, "/v1/t/texts?number=4"), b'"a"\n"b"')
    assert said(messages) == [("t", "a", 4), ("", "b", 0)]


def test_one_json_value_is_a_stream_of_one(transcoder: Transcoder) -> None:
    assert said(taken(stream_decoder(transcoder, "/v1/t/up", JSON), b'{"text":"a"}')) == [
        ("t", "a", 0)
    ]


@pytest.mark.parametrize("content_type", [NDJSON, JSON, PROTOBUF])
@pytest.mark.parametrize("body", [b"", b"[]"])
def test_a_stream_without_messages_is_what_the_url_says(
    transcoder: Transcoder, content_type: str, body: bytes
) -> None:
    if body and content_type != JSON:
        body = b""
    assert said(taken(stream_decoder(transcoder, "/v1/t/up", content_type), body)) == [("t", "", 0)]


def test_a_rule_without_a_body_takes_whole_messages_one_by_one(transcoder: Transcoder) -> None:
    match = transcoder.match("GET", "/v1/t/both")
    decoder = transcoder.message_decoder(match, "number=3", protobuf=False)
    wires = [decoder.decode(b'{"text":"a"}'), decoder.decode(b'{"text":"b"}')]
    assert said([parsed("Say", wire) for wire in wires]) == [("t", "a", 3), ("", "b", 0)]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param(NDJSON, b'{"text":"a"}\n{"topic":"t"}\n{"topic":"other"}', id="lines"),
        pytest.param(
            PROTOBUF,
            delimited(message("Say"), message("Say", topic="t"), message("Say", topic="other")),
            id="protobuf",
        ),
    ],
)
def test_no_message_contradicts_the_path(
    transcoder: Transcoder, content_type: str, body: bytes
) -> None:
    one = stream_decoder(transcoder, "/v1/t/up", content_type)
    with pytest.raises(StatusError) as raised:
        taken(one, body)
    assert raised.value.code is Code.INVALID_ARGUMENT
    assert raised.value.message.startswith("message 3: topic: ")


@pytest.mark.parametrize(
    ("content_type", "body", "number"),
    [
        pytest.param(NDJSON, b'{"text":"a"}\n{"txt":"b"}', 2, id="unknown member"),
        pytest.param(NDJSON, b"nonsense", 1, id="no json"),
        pytest.param(NDJSON, b"{}\n" + b"x" * 2000, 2, id="too large"),
        pytest.param(JSON, b'[{"text":"a"},{},{"number":"x"}]', 3, id="bad value"),
        pytest.param(JSON, b"[{},{}", 3, id="no end"),
        pytest.param(PROTOBUF, b"\x00\x02\x0a\x05", 2, id="bad protobuf"),
        pytest.param(PROTOBUF, b"\x00\x05\x0a", 2, id="cut protobuf"),
    ],
)
def test_a_bad_message_is_named_by_its_number(
    transcoder: Transcoder, content_type: str, body: bytes, number: int
) -> None:
    one = stream_decoder(transcoder, "/v1/t/both", content_type)
    fine: list[bytes] = []
    with pytest.raises(StatusError) as raised:
        fine.extend(wire for step in (one.feed(body), one.finish()) for wire in step)
    assert raised.value.message.startswith(f"message {number}: ")


def test_messages_before_a_bad_one_are_handed_on(transcoder: Transcoder) -> None:
    messages = stream_decoder(transcoder, "/v1/t/up").feed(b'{"text":"a"}\nnonsense\n')
    assert parsed("Say", next(messages)).text == "a"
    with pytest.raises(StatusError):
        next(messages)


def test_protobuf_that_would_swallow_the_path_is_refused(transcoder: Transcoder) -> None:
    # An open length at the end of a message would take in what the URL adds behind it.
    match = transcoder.match("POST", "/v1/t/once")
    swallowing = b"\x9a\x06\x03"
    with pytest.raises(StatusError, match=r"not a streams\.v1\.Say"):
        transcoder.decode(match, "", PROTOBUF, swallowing)
    with pytest.raises(StatusError, match="message 1: "):
        taken(stream_decoder(transcoder, "/v1/t/up", PROTOBUF), b"\x03" + swallowing)


@pytest.mark.parametrize("content_type", ["text/plain", "text/event-stream", "application/xml"])
def test_any_other_type_is_415(transcoder: Transcoder, content_type: str) -> None:
    with pytest.raises(StatusError) as raised:
        stream_decoder(transcoder, "/v1/t/up", content_type)
    assert raised.value.http_status == 415
    assert NDJSON in dict(raised.value.headers)["Accept"]


def test_a_raw_body_travels_in_pieces_and_the_first_says_what_it_is(transcoder: Transcoder) -> None:
    one = stream_decoder(transcoder, "/v1/t/file?number=2", "image/png")
    body = json.dumps(["a"] * 80_000).encode()
    first, *rest = taken(one, body, "Upload")
    assert (first.topic, first.number, first.file.content_type) == ("t", 2, "image/png")
    assert {(later.topic, later.number, later.file.content_type) for later in rest} == {("", 0, "")}
    assert b"".join(piece.file.data for piece in [first, *rest]) == body
    assert max(len(piece.file.data) for piece in [first, *rest]) == PIECE_BYTES


def test_an_empty_raw_body_is_one_empty_piece(transcoder: Transcoder) -> None:
    (only,) = taken(stream_decoder(transcoder, "/v1/t/file", "image/png"), b"", "Upload")
    assert (only.topic, only.file.content_type, only.file.data) == ("t", "image/png", b"")

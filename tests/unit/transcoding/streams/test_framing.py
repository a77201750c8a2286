"""Each framing shows messages, failures and the end so that a client can tell them apart."""

import json

import pytest

from gateway.transcoding.media import JSON, PROTOBUF_TYPES
from gateway.transcoding.streams.framing import (
    EVENT_STREAM,
    FRAMINGS,
    JSON_LINES,
    NDJSON,
    choose_framing,
    last_number,
    retry_field,
)

ONE, TWO, ERROR = b'{"n":1}', b'{"n":2}', b'{"error":{"code":5}}'


def framed(media_type: str, *messages: bytes, error: bytes | None = None) -> bytes:
    framing = FRAMINGS[media_type]
    out = b"".join(framing.message(message, i) for i, message in enumerate(messages))
    count = len(messages)
    if error is None:
        return out + framing.end(count)
    assert framing.failure is not None
    return out + framing.failure(error, count)


@pytest.mark.parametrize(
    ("media_type", "complete", "failed", "empty"),
    [
        (NDJSON, ONE + b"\n" + TWO + b"\n", ONE + b"\n" + ERROR + b"\n", b""),
        (JSON, b"[" + ONE + b"," + TWO + b"]", b"[" + ONE + b"," + ERROR + b"]", b"[]"),
        (
            EVENT_STREAM,
            b"id: 1\ndata: " + ONE + b"\n\nid: 2\ndata: " + TWO + b"\n\nevent: end\ndata: {}\n\n",
            b"id: 1\ndata: " + ONE + b"\n\nevent: error\ndata: " + ERROR + b"\n\n",
            b"event: end\ndata: {}\n\n",
        ),
    ],
)
def test_messages_failure_and_end_are_told_apart(
    media_type: str, complete: bytes, failed: bytes, empty: bytes
) -> None:
    assert framed(media_type, ONE, TWO) == complete
    assert framed(media_type, ONE, error=ERROR) == failed
    assert framed(media_type) == empty


def test_indented_json_stays_on_one_line() -> None:
    pretty = json.dumps({"a": ["x\ny"]}, indent=2).encode()
    for media_type in (NDJSON, EVENT_STREAM):
        line = framed(media_type, pretty).split(b"\n")[1 if media_type == EVENT_STREAM else 0]
        assert json.loads(line.removeprefix(b"data: ")) == {"a": ["x\ny"]}


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, NDJSON),
        ("", NDJSON),
        ("*/*", NDJSON),
        ("text/event-stream", EVENT_STREAM),
        ("application/json", JSON),
        ("application/x-ndjson", NDJSON),
        ("application/json, */*;q=0.1", JSON),
        ("application/json;q=0.5, text/event-stream", EVENT_STREAM),
        ("text/html, text/*;q=0.2", EVENT_STREAM),
        ("application/*", NDJSON),
        ("application/x-ndjson;q=0, */*", JSON),
        ("application/jsonl", JSON_LINES),
        ("application/x-protobuf", PROTOBUF_TYPES[0]),
        ("application/protobuf, */*;q=0.5", PROTOBUF_TYPES[1]),
        ("image/png", None),
        ("application/json;q=0", None),
    ],
)
def test_the_client_chooses_the_framing(accept: str | None, media_type: str | None) -> None:
    chosen = choose_framing(accept, list(FRAMINGS.values()))
    assert (None if chosen is None else chosen.media_type) == media_type


@pytest.mark.parametrize("media_type", PROTOBUF_TYPES)
def test_delimited_protobuf_has_lengths_and_no_word_for_a_failure(media_type: str) -> None:
    framing = FRAMINGS[media_type]
    assert framing.content_type == f"{media_type};delimited=true"
    assert framing.message(b"ab", 0) + framing.message(b"", 1) == b"\x02ab\x00"
    assert framing.message(b"x" * 300, 0) == b"\xac\x02" + b"x" * 300
    assert framing.end(2) == b""
    assert framing.failure is None


def test_only_events_have_a_sign_of_life() -> None:
    assert {framing.media_type for framing in FRAMINGS.values() if framing.heartbeat} == {
        EVENT_STREAM
    }
    assert FRAMINGS[EVENT_STREAM].heartbeat.startswith(b":")


@pytest.mark.parametrize(
    ("last", "number"),
    [(None, 0), ("", 0), ("7", 7), ("007", 7), ("-1", 0), ("1.5", 0), ("\u0663", 0), ("9" * 16, 0)],
)
def test_the_last_number_is_read_where_it_is_one_of_ours(last: str | None, number: int) -> None:
    assert last_number(last) == number


def test_the_time_to_wait_is_in_milliseconds() -> None:
    assert retry_field(1.5) == b"retry: 1500\n\n"

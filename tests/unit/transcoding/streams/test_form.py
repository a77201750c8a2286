"""Forms (RFC 7578): one file, other parts as fields, limits on everything."""

from typing import Any

import pytest

from gateway.config.model import Config
from gateway.status import StatusError
from gateway.transcoding.streams.decoder import PIECE_BYTES
from gateway.transcoding.transcoder import Transcoder, build_transcoder
from tests.support.stream_backend import parsed, schema

FORM = "multipart/form-data; boundary=b0"
FILE = 'form-data; name="file"; filename="a.png"'


def part(disposition: str, data: bytes, *headers: str) -> bytes:
    lines = [f"Content-Disposition: {disposition}", *headers]
    return b"--b0\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--b0--\r\n"


def field(name: str, value: str) -> bytes:
    return part(f'form-data; name="{name}"', value.encode())


@pytest.fixture(scope="module")
def transcoder() -> Transcoder:
    return build_transcoder(Config(), schema())


def decode(transcoder: Transcoder, path: str, body: bytes, content_type: str = FORM) -> Any:
    """A form sent to a method that takes it whole."""
    target, _, query = path.partition("?")
    match = transcoder.match("POST", target)
    return parsed("Upload", transcoder.decode(match, query, content_type, body))


def stream(transcoder: Transcoder, path: str, body: bytes, size: int = 1 << 20) -> list[Any]:
    """A form sent to a method that takes it in pieces."""
    target, _, query = path.partition("?")
    stream_decoder = transcoder.stream_decoder(transcoder.match("POST", target), query, FORM, 1000)
    found = [
        wire
        for at in range(0, len(body), size)
        for wire in stream_decoder.feed(body[at : at + size])
    ]
    return [parsed("Upload", wire) for wire in [*found, *stream_decoder.finish()]]


def refused(
    transcoder: Transcoder, path: str, body: bytes, content_type: str = FORM
) -> StatusError:
    with pytest.raises(StatusError) as raised:
        decode(transcoder, path, body, content_type)
    return raised.value


def test_the_file_goes_into_the_body_and_other_parts_into_fields(transcoder: Transcoder) -> None:
    body = form(
        field("note", "a=b&c d"),
        part(FILE, b"\x89PNG\r\n--b", "Content-Type: image/png"),
        field("number", "7"),
    )
    upload = decode(transcoder, "/v1/t/whole", body)
    assert (upload.topic, upload.note, upload.number) == ("t", "a=b&c d", 7)
    assert (upload.file.content_type, upload.file.data) == ("image/png", b"\x89PNG\r\n--b")


def test_query_parameters_and_fields_go_together(transcoder: Transcoder) -> None:
    body = form(field("note", "x"), part(FILE, b"d"))
    upload = decode(transcoder, "/v1/t/whole?number=3", body)
    assert (upload.note, upload.number, upload.file.data) == ("x", 3, b"d")


def test_a_file_needs_no_name_of_its_own_if_it_has_the_fields(transcoder: Transcoder) -> None:
    upload = decode(transcoder, "/v1/t/whole", form(field("file", "text")))
    assert upload.file.data == b"text"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(form(field("topic", "other")), "is set by the path", id="path"),
        pytest.param(form(field("nope", "1")), "no such", id="unknown"),
        pytest.param(form(field("number", "x")), "number", id="bad value"),
        pytest.param(form(field("note", "1"), field("note", "2")), "given twice", id="twice"),
        pytest.param(form(part('form-data; name="note"', b"\xff")), "UTF-8", id="no text"),
        pytest.param(form(part(FILE, b"1"), part(FILE, b"2")), "second file", id="two files"),
        pytest.param(form(part("attachment", b"1")), "not well-formed", id="no form-data"),
        pytest.param(form(part("form-data", b"1")), "Content-Disposition", id="no name"),
        pytest.param(field("note", "1"), "not well-formed", id="no end"),
        pytest.param(b"{}", "not well-formed", id="no form"),
    ],
)
def test_what_cannot_be_taken_is_refused(transcoder: Transcoder, body: bytes, said: str) -> None:
    error = refused(transcoder, "/v1/t/whole", body)
    assert error.http_status == 400
    assert said in error.message


def test_a_field_cannot_be_set_by_query_and_form(transcoder: Transcoder) -> None:
    assert (
        "given twice" in refused(transcoder, "/v1/t/whole?note=a", form(field("note", "b"))).message
    )


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", f"multipart/form-data; boundary={'x' * 71}"]
)
def test_a_form_needs_a_boundary(transcoder: Transcoder, content_type: str) -> None:
    error = refused(transcoder, "/v1/t/whole", form(), content_type)
    assert "boundary" in error.message


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(form(*[field("words", "x")] * 1002), id="parts"),
        pytest.param(form(part(FILE, b"", "X-Long: " + "y" * 9000)), id="header"),
        pytest.param(form(part(FILE, b"", *["X-Many: y"] * 20)), id="headers"),
        pytest.param(form(field("note", "x" * 300_000)), id="field"),
    ],
)
def test_what_a_form_can_make_large_has_a_limit(transcoder: Transcoder, body: bytes) -> None:
    assert refused(transcoder, "/v1/t/whole", body).http_status == 413


def test_a_form_is_taken_only_where_there_is_a_place_for_its_file(transcoder: Transcoder) -> None:
    match = transcoder.match("POST", "/v1/t/once")
    with pytest.raises(StatusError) as raised:
        transcoder.decode(match, "", FORM, form())
    assert raised.value.http_status == 415


@pytest.mark.parametrize("path", ["/v1/t/file", "/v1/t/form"])
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_a_streamed_file_comes_in_pieces_the_fields_with_the_first(
    transcoder: Transcoder, path: str, size: int
) -> None:
    data = bytes(range(256)) * 4
    body = form(field("note", "n"), part(FILE, data, "Content-Type: image/png"))
    first, *rest = stream(transcoder, path, body, size)
    assert (first.topic, first.note, first.file.content_type) == ("t", "n", "image/png")
    assert all((later.topic, later.note, later.file.content_type) == ("", "", "") for later in rest)
    assert b"".join(piece.file.data for piece in [first, *rest]) == data


def test_pieces_have_a_largest_size(transcoder: Transcoder) -> None:
    data = b"x" * (3 * PIECE_BYTES + 1)
    pieces = stream(transcoder, "/v1/t/file", form(part(FILE, data)))
    assert [len(piece.file.data) for piece in pieces] == [PIECE_BYTES] * 3 + [1]


def test_a_streamed_form_with_an_empty_file_or_none_is_one_message(transcoder: Transcoder) -> None:
    for body in (form(field("note", "n"), part(FILE, b"")), form(field("note", "n"))):
        (only,) = stream(transcoder, "/v1/t/file", body)
        assert (only.topic, only.note, only.file.data) == ("t", "n", b"")


def test_a_field_behind_a_streamed_file_is_refused(transcoder: Transcoder) -> None:
    with pytest.raises(StatusError, match="send it before"):
        stream(transcoder, "/v1/t/file", form(part(FILE, b"d"), field("note", "n")))


def test_with_the_whole_message_as_the_body_the_query_sets_nothing(transcoder: Transcoder) -> None:
    with pytest.raises(StatusError, match="belongs in the body"):
        stream(transcoder, "/v1/t/form?note=x", form(part(FILE, b"d")))

"""Escapes are decoded once and strictly; what a path cannot mean is refused."""

from collections.abc import Callable

import pytest
from google.rpc import error_details_pb2

from gateway.status import Code, StatusError
from gateway.transcoding.routing.percent import decode, decode_keeping_slashes, decode_segments


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        pytest.param("plain", "plain", id="nothing to decode"),
        pytest.param("", "", id="empty"),
        pytest.param("a%2Fb", "a/b", id="slash"),
        pytest.param("%252F", "%2F", id="only once"),
        pytest.param("a+b", "a+b", id="plus is plus"),
        pytest.param("caf%C3%A9", "café", id="two bytes, one character"),
        pytest.param("caf%c3%a9", "café", id="lower-case digits"),
        pytest.param("é%20é", "é é", id="raw characters beside escapes"),
        pytest.param("%F0%9F%90%8D", "\U0001f40d", id="beyond the basic plane"),
        pytest.param("%25%32%46", "%2F", id="an escape made of escapes stays text"),
    ],
)
def test_every_escape_is_decoded_once(raw: str, text: str) -> None:
    assert decode(raw, "f") == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        pytest.param("a%2Fb%20c", "a%2Fb c", id="upper case"),
        pytest.param("a%2fb", "a%2fb", id="lower case, as spelled"),
        pytest.param("a%252Fb", "a%2Fb", id="an escaped percent is decoded"),
        pytest.param("%2F", "%2F", id="alone"),
        pytest.param("%2F%2f", "%2F%2f", id="neighbours"),
        pytest.param("%C3%A9%2F%C3%A9", "é%2Fé", id="between characters of many bytes"),
        pytest.param("a/b", "a/b", id="borders stay"),
    ],
)
def test_across_segments_an_escaped_slash_stays(raw: str, text: str) -> None:
    assert decode_keeping_slashes(raw, "f") == text


@pytest.mark.parametrize("decoder", [decode, decode_keeping_slashes])
@pytest.mark.parametrize(
    ("raw", "says"),
    [
        pytest.param("%zz", "got '%zz'", id="no digits"),
        pytest.param("a%2", "got '%2'", id="cut short"),
        pytest.param("%", "got '%'", id="alone"),
        pytest.param("%+1", "got '%+1'", id="a sign is no digit"),
        pytest.param("%٣٣", "two hexadecimal digits", id="digits of another script"),
        pytest.param("%%41", "got '%%4'", id="a percent before an escape"),
        pytest.param("%ff", "not UTF-8", id="no UTF-8"),
        pytest.param("%C3", "not UTF-8", id="half a character"),
        pytest.param("%C0%80", "not UTF-8", id="overlong NUL"),
        pytest.param("%ED%A0%80", "not UTF-8", id="a surrogate"),
        pytest.param("\udcff%41", "not UTF-8", id="a raw surrogate beside an escape"),
    ],
)
def test_what_cannot_be_decoded_is_refused_in_the_name_of_its_field(
    decoder: Callable[[str, str], str], raw: str, says: str
) -> None:
    with pytest.raises(StatusError) as raised:
        decoder(raw, "book.name")
    violation = error_details_pb2.BadRequest()
    assert raised.value.code is Code.INVALID_ARGUMENT
    assert raised.value.details[0].Unpack(violation)
    assert violation.field_violations[0].field == "book.name"
    assert says in raised.value.message


@pytest.mark.parametrize(
    "segment", [".", "..", "%2e", "%2E%2e", ".%2e", "%00", "a%00b", "\0", "\udcff", "%f"]
)
def test_a_segment_that_no_template_can_mean_is_refused(segment: str) -> None:
    with pytest.raises(StatusError) as raised:
        decode_segments(["v1", segment], allow_nul=False)
    assert raised.value.http_status == 400
    assert raised.value.message.startswith("path: ")


@pytest.mark.parametrize("segment", ["...", ".a", "a.", "..a", "%2e%2e%2e", ". ", "a%2F.."])
def test_dots_within_a_name_are_text(segment: str) -> None:
    assert decode_segments([segment], allow_nul=False) == [decode(segment, "path")]


def test_nul_passes_only_where_it_is_allowed() -> None:
    assert decode_segments(["a%00"], allow_nul=True) == ["a\0"]

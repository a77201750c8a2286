"""Whatever text a client escapes as RFC 3986 says, a variable captures again."""

from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from gateway.status import StatusError
from gateway.transcoding.routing.percent import decode, decode_keeping_slashes
from gateway.transcoding.routing.router import Router, RouterBuilder
from gateway.transcoding.routing.template import parse_template


def router(template: str) -> Router[str]:
    builder: RouterBuilder[str] = RouterBuilder()
    builder.add("GET", parse_template(template), "it")
    return builder.build()


ONE, MANY = router("/v1/{id}"), router("/v1/{id=**}")
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
SEGMENT = TEXT.filter(lambda text: text not in (".", ".."))


@given(SEGMENT)
def test_one_segment_is_captured_as_it_was_meant(text: str) -> None:
    assert ONE.match("GET", f"/v1/{quote(text, safe='')}").captures == (text,)


@given(st.lists(SEGMENT.filter(lambda text: "/" not in text), min_size=1, max_size=5))
def test_several_segments_are_captured_as_they_were_meant(segments: list[str]) -> None:
    path = "/".join(quote(segment, safe="") for segment in segments)
    assert MANY.match("GET", f"/v1/{path}").captures == ("/".join(segments),)


@given(TEXT)
def test_an_escaped_slash_stays_escaped_across_segments(text: str) -> None:
    assert decode_keeping_slashes(quote(text, safe=""), "x") == text.replace("/", "%2F")


@given(st.text())
def test_any_text_is_decoded_or_refused(text: str) -> None:
    statuses = []
    for read in (decode, decode_keeping_slashes):
        try:
            read(text, "x")
        except StatusError as error:
            statuses.append(error.http_status)
    assert set(statuses) <= {400}

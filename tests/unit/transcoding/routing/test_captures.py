"""What the variables of a template capture of a path's raw segments."""

import pytest

from gateway.status import StatusError
from gateway.transcoding.routing.captures import compile_captures, only_span, plain_captures
from gateway.transcoding.routing.template import parse_template


def captured(template: str, path: str, *, fully_decode: bool = False) -> tuple[str, ...]:
    return compile_captures(parse_template(template), fully_decode=fully_decode)(path.split("/"))


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        pytest.param("/v1/books", "/v1/books", (), id="no variable"),
        pytest.param("/v1/{a}", "/v1/x", ("x",), id="one"),
        pytest.param("/v1/{a}/{b}", "/v1/x/y", ("x", "y"), id="two"),
        pytest.param("/{a}/{b}/{c}/{d}", "/w/x/y/z", ("w", "x", "y", "z"), id="four"),
        pytest.param("/v1/{n=s/*/b/*}", "/v1/s/1/b/2", ("s/1/b/2",), id="several segments"),
        pytest.param("/v1/{n=**}", "/v1", ("",), id="none of **"),
        pytest.param("/v1/{n=**}", "/v1/a/b/c", ("a/b/c",), id="all of **"),
        pytest.param("/v1/{a}/{n=**}", "/v1/x/y/z", ("x", "y/z"), id="before **"),
        pytest.param("/{n=**}/tail/{b}", "/x/y/tail/z", ("x/y", "z"), id="after **"),
        pytest.param("/{n=**}/tail/{b}", "/tail/z", ("", "z"), id="after an empty **"),
        pytest.param("/{n=s/**}/t/{m=u/*}", "/s/1/2/t/u/3", ("s/1/2", "u/3"), id="both sides"),
    ],
)
def test_a_variable_captures_the_segments_that_its_pattern_covers(
    template: str, path: str, values: tuple[str, ...]
) -> None:
    assert captured(template, path) == values


@pytest.mark.parametrize(
    ("template", "path", "value"),
    [
        pytest.param("/v1/{a}", "/v1/x%2Fy%20z", "x/y z", id="one segment is decoded whole"),
        pytest.param("/v1/{a=*}", "/v1/%2F", "/", id="a star as well"),
        pytest.param("/v1/{a=s/*}", "/v1/s/x%2Fy%20z", "s/x%2Fy z", id="of several, slashes stay"),
        pytest.param("/v1/{a=**}", "/v1/x%2Fy/%20", "x%2Fy/ ", id="of **, slashes stay"),
        pytest.param("/{n=**}/t/{b}", "/x/t/%2F", "/", id="one segment after **"),
    ],
)
def test_escapes_are_decoded_once_but_a_slash_stays_where_slashes_part(
    template: str, path: str, value: str
) -> None:
    assert captured(template, path)[-1] == value


@pytest.mark.parametrize(
    ("template", "path", "value"),
    [
        pytest.param("/v1/{a=**}", "/v1/x%2Fy", "x/y", id="of **"),
        pytest.param("/v1/{a=s/*}", "/v1/s/x%2Fy", "s/x%2Fy", id="not of a star"),
        pytest.param("/v1/{a=s/*/**}", "/v1/s/x%2Fy/x%2Fy", "s/x%2Fy/x/y", id="of both"),
        pytest.param("/{a=s/**}/t/{b}", "/s/x%2Fy/t/z", "s/x/y", id="of ** in the middle"),
    ],
)
def test_full_decoding_decodes_slashes_that_a_deep_wildcard_matched(
    template: str, path: str, value: str
) -> None:
    assert captured(template, path, fully_decode=True)[0] == value


@pytest.mark.parametrize("template", ["/v1/{a}", "/v1/{a=*}/x", "/v1/{a=**}", "/{n=**}/t/{a}"])
def test_an_escape_that_is_no_utf_8_names_its_field(template: str) -> None:
    path = template.replace("{a}", "%ff").replace("{a=*}", "%ff").replace("{a=**}", "%ff")
    with pytest.raises(StatusError) as raised:
        captured(template, path.replace("{n=**}", "n"))
    assert raised.value.http_status == 400
    assert "a" in raised.value.message


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("/v1/{a}", "/v1/x", ("x",)),
        ("/v1/{n=s/*}/c", "/v1/s/x/c", ("s/x",)),
    ],
)
def test_segments_of_one_variable_are_joined(
    template: str, path: str, values: tuple[str, ...]
) -> None:
    start, end = only_span(parse_template(template))
    assert ("/".join(path.split("/")[start:end]),) == values == captured(template, path)


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("/v1/{a}/s/{b}", "/v1/x/s/y", ("x", "y")),
        ("/v1/{a}/{b}/{c}", "/v1/x/y/z", ("x", "y", "z")),
    ],
)
def test_segments_without_escapes_are_taken_as_they_are(
    template: str, path: str, values: tuple[str, ...]
) -> None:
    take = plain_captures(parse_template(template))
    assert take is not None
    assert take(path.split("/")) == values == captured(template, path)


@pytest.mark.parametrize("template", ["/v1/books", "/v1/{n=**}", "/{n=s/**}", "/{a}/{n=s/*}"])
def test_segments_that_have_to_be_joined_are_not_taken_as_they_are(template: str) -> None:
    assert plain_captures(parse_template(template)) is None
    assert only_span(parse_template(template)) == (0, 0)

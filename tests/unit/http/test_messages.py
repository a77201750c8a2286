"""Request targets (RFC 9112 section 3.2), and the headers of the gateway in a response."""

import pytest

from gateway.http.header_fields import NO_FIELDS
from gateway.http.messages import Request, Response, origin_form
from gateway.status import Code, StatusError


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/", "/"),
        ("GET", "/a?b=/c?d", "/a?b=/c?d"),
        ("GET", "//a", "//a"),
        ("OPTIONS", "*", "*"),
        ("GET", "http://a/b?c", "/b?c"),
        ("GET", "HTTPS://a:1/b", "/b"),
        ("GET", "http://a", "/"),
        ("GET", "http://a?b=/c", "/?b=/c"),
        ("GET", "http://a/http://b/", "/http://b/"),
        ("GET", "/a%23b", "/a%23b"),
    ],
)
def test_a_target_names_a_path_and_a_query(method: str, target: str, expected: str) -> None:
    assert origin_form(method, target) == expected


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "*"),
        ("GET", ""),
        ("GET", "a/b"),
        ("GET", "a:80"),
        ("GET", "ftp://a/b"),
        ("GET", "://a/b"),
        ("GET", "http:/a"),
        ("GET", "/a#b"),
        ("GET", "/a?b#c"),
        ("OPTIONS", "*#"),
        ("CONNECT", "a:80"),
        ("CONNECT", "/a"),
        ("CONNECT", "http://a/b"),
    ],
)
def test_any_other_target_is_refused(method: str, target: str) -> None:
    with pytest.raises(StatusError) as raised:
        origin_form(method, target)
    assert raised.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [("/a", "/a", ""), ("/a?", "/a", ""), ("/a?b", "/a", "b"), ("/a%3Fb?c?d", "/a%3Fb", "c?d")],
)
def test_the_first_question_mark_parts_path_and_query(target: str, path: str, query: str) -> None:
    request = Request("GET", target, NO_FIELDS, "")
    assert (request.path, request.query) == (path, query)


def test_headers_of_the_gateway_replace_those_of_a_back_end_but_cookies() -> None:
    response = Response(200, [("X-A", "theirs"), ("Set-Cookie", "theirs=1")], b"", "text/plain")
    response.state([("x-a", "own"), ("set-cookie", "own=1")])
    assert response.headers == [
        ("Set-Cookie", "theirs=1"),
        ("x-a", "own"),
        ("set-cookie", "own=1"),
    ]


def test_headers_of_a_back_end_with_other_names_stay() -> None:
    theirs = [("X-A", "theirs"), ("x-bc", "theirs"), ("Set-Cookie", "a=1")]
    response = Response(200, theirs, b"", "text/plain", trailers=[("x-c", "t"), ("x-d", "t")])
    response.state([("X-B", "own"), ("X-C", "own"), ("Set-Cookie", "b=1")])
    assert response.headers == [*theirs, ("X-B", "own"), ("X-C", "own"), ("Set-Cookie", "b=1")]
    assert response.trailers == [("x-d", "t")]

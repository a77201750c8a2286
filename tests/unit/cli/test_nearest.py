"""`gateway explain` shows the routes that come nearest to a request that none serves."""

import pytest

from gateway.cli.explanation import explain_request
from gateway.config.model import Config
from gateway.schema.catalog import HttpRule, Source, build_schema
from gateway.status import StartUpError
from gateway.transcoding.transcoder import Transcoder, build_transcoder
from tests.support.schema import descriptor_set

PROTO = (
    'syntax = "proto3"; package n; message M { string id = 1; } service S { rpc A(M) returns (M); }'
)
ROUTES = [
    "GET /v1/shelves",
    "GET /v1/shelves/{id}",
    "DELETE /v1/shelves/{id}",
    "GET /v1/shelves/{id}/books",
    "POST /v1/shelves/{id}:merge",
    "GET /v1/authors/{id}",
    "GET /files/{id=**}",
    *(f"GET /other/{number}/{{id}}/thing/of/no/interest" for number in range(300)),
]


@pytest.fixture(scope="module")
def transcoder() -> Transcoder:
    rules = tuple(
        HttpRule(http_method, template, "", "", Source("n.proto"))
        for http_method, template in (route.split() for route in ROUTES)
    )
    schema = build_schema(descriptor_set(n=PROTO), overrides={"n.S.A": rules})
    return build_transcoder(Config(), schema)


@pytest.mark.parametrize(
    ("request_line", "first"),
    [
        ("GET /v1/shelfs", "GET /v1/shelves"),
        ("GET /v1/shelves/", "GET /v1/shelves"),
        ("GET /v1/shelfs/7", "GET /v1/shelves/{id}"),
        ("GET /v2/shelves/7/books", "GET /v1/shelves/{id}/books"),
        ("GET /shelves/7/books", "GET /v1/shelves/{id}/books"),
        ("GET /v1/shelves/7/book", "GET /v1/shelves/{id}/books"),
        ("PUT /v1/shelves/7", "GET /v1/shelves/{id}"),
        ("POST /v1/shelves/7:marge", "POST /v1/shelves/{id}:merge"),
        ("GET /file/a/b/c/d/e", "GET /files/{id=**}"),
        ("GET /v1/%61uthor/7", "GET /v1/authors/{id}"),
    ],
)
def test_the_nearest_route_comes_first(
    transcoder: Transcoder, request_line: str, first: str
) -> None:
    explanation = explain_request(transcoder, request_line, "")
    lines = list(explanation.lines())
    assert explanation.binding is None
    at = lines.index("nearest routes:")
    assert len(lines[at + 1 :]) == 5
    assert lines[at + 1].strip().startswith(f"{first}: ")


def test_of_the_routes_that_were_not_chosen_five_are_shown(transcoder: Transcoder) -> None:
    lines = list(explain_request(transcoder, "GET /v1/shelves/7", "").lines())
    assert lines[0] == "GET /v1/shelves/{id}"
    at = lines.index("not chosen:")
    assert len(lines[at + 1 :]) == 5
    assert lines[at + 1].strip().startswith("DELETE /v1/shelves/{id}: the path fits, but it serves")


def test_any_request_at_all_is_explained(transcoder: Transcoder) -> None:
    for line in ("GET /", "GET //", "GET /%zz", "GET " + "/a:b" * 5000, "purge /"):
        assert list(explain_request(transcoder, line, "").lines())


def test_a_whole_url_is_explained_without_its_host(transcoder: Transcoder) -> None:
    lines = list(explain_request(transcoder, "GET https://a:1/v1/shelves/7", "").lines())
    assert lines[0] == "GET /v1/shelves/{id}"


@pytest.mark.parametrize(
    "line",
    [
        *("", "GET", "/v1/shelves", "GET v1/shelves", "GET http://a", "GET /a b", "GET /é"),
        *("GET /a HTTP/1.1", "GET /a#b", "GET /a\tb", "G\x00T /\udcff"),
    ],
)
def test_what_is_no_request_is_told_the_form_of_one(transcoder: Transcoder, line: str) -> None:
    with pytest.raises(StartUpError, match=r"not a request: .*; expected METHOD '/path"):
        explain_request(transcoder, line, "")


def test_a_method_that_no_request_has_is_not_explained(transcoder: Transcoder) -> None:
    with pytest.raises(StartUpError, match="FOO is no HTTP method that is served; known here: ACL"):
        explain_request(transcoder, "FOO /v1/shelves", "")

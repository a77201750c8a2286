"""The most specific binding that fits in everything is found, on the raw path."""

import pytest

from gateway.status import Code, StatusError
from gateway.transcoding.routing.path_options import PathOptions
from gateway.transcoding.routing.router import Router, RouterBuilder
from gateway.transcoding.routing.template import parse_template


def router(*routes: str, fully_decode: bool = False) -> Router[str]:
    builder: RouterBuilder[str] = RouterBuilder()
    for route in routes:
        http_method, template = route.split(" ")
        builder.add(http_method, parse_template(template), route, fully_decode=fully_decode)
    return builder.build()


def found(routes: Router[str], request: str) -> tuple[str, ...]:
    http_method, path = request.split(" ")
    match = routes.match(http_method, path)
    return (match.target, *match.captures)


@pytest.mark.parametrize(
    ("template", "path", "captured"),
    [
        pytest.param("/v1/{id}", "/v1/7", ("7",), id="one segment"),
        pytest.param("/v1/{id=*}", "/v1/7", ("7",), id="an explicit star is the same"),
        pytest.param("/v1/{n=s/*}", "/v1/s/1", ("s/1",), id="literal kept"),
        pytest.param("/v1/{n=s/*}/b/{m}", "/v1/s/1/b/2", ("s/1", "2"), id="two variables"),
        pytest.param("/v1/{n=s/**}", "/v1/s", ("s",), id="deep, none"),
        pytest.param("/v1/{n=s/**}", "/v1/s/a/b", ("s/a/b",), id="deep, some"),
        pytest.param("/v1/{n=**}", "/v1", ("",), id="all, none"),
        pytest.param("/{n=**}", "/", ("",), id="all of the root, none"),
        pytest.param("/v1/{n=**}", "/v1/a/b", ("a/b",), id="all, no leading slash"),
        pytest.param("/v1/{n=**}:go", "/v1/a/b:go", ("a/b",), id="all with a verb"),
        pytest.param("/v1/{p=d/**}/{c}", "/v1/d/a/b/c", ("d/a/b", "c"), id="deep inside"),
        pytest.param("/v1/{p=d/**}/{c}", "/v1/d/c", ("d", "c"), id="deep inside, none"),
        pytest.param("/v1/{n=s/*}:go", "/v1/s/1:go", ("s/1",), id="verb"),
        pytest.param("/v1/{id}:go", "/v1/a:b:go", ("a:b",), id="verb after the last colon"),
        pytest.param("/v1/{id}", "/v1/a:b", ("a:b",), id="colon without a verb"),
        pytest.param("/v1/{id}", "/v1/a%2Fb", ("a/b",), id="one segment decodes all"),
        pytest.param("/v1/{id}", "/v1/a%252Fb", ("a%2Fb",), id="decoded once"),
        pytest.param("/v1/{id}", "/v1/a+b", ("a+b",), id="plus is plus"),
        pytest.param("/v1/{id}", "/v1/a%3Ago", ("a:go",), id="an escaped colon is data"),
        pytest.param("/v1/{n=**}", "/v1/a%2Fb/c%20d", ("a%2Fb/c d",), id="slash stays"),
        pytest.param("/v1/{n=**}", "/v1/a%2fb", ("a%2fb",), id="slash stays as spelled"),
        pytest.param("/v1/{n=s/*}", "/v1/s/a%2Fb", ("s/a%2Fb",), id="slash stays, fixed size"),
        pytest.param("/v1/{n=**}", "/v1/a%3Fb%23c%3Bd", ("a?b#c;d",), id="reserved are decoded"),
        pytest.param("/v1/caf%C3%A9/{x}", "/v1/caf%c3%a9/1", ("1",), id="escaped literal"),
        pytest.param("/v1/{id}", "/v1/caf%C3%A9", ("café",), id="UTF-8"),
        pytest.param("/v1/{id}", "/v1/...", ("...",), id="three dots are a name"),
    ],
)
def test_variables_capture_what_their_patterns_cover(
    template: str, path: str, captured: tuple[str, ...]
) -> None:
    assert found(router(f"GET {template}"), f"GET {path}")[1:] == captured


@pytest.mark.parametrize(
    ("template", "path", "captured"),
    [
        ("/v1/{n=**}", "/v1/a%2Fb/c", "a/b/c"),
        ("/v1/{n=s/*}", "/v1/s/a%2Fb", "s/a%2Fb"),
        ("/v1/{n=s/*/**}", "/v1/s/a%2Fb/c%2Fd", "s/a%2Fb/c/d"),
    ],
)
def test_full_decoding_spares_only_slashes_that_a_single_star_matched(
    template: str, path: str, captured: str
) -> None:
    routes = router(f"GET {template}", fully_decode=True)
    assert found(routes, f"GET {path}")[1] == captured


@pytest.mark.parametrize(
    ("routes", "request_line", "winner"),
    [
        pytest.param(
            ["GET /v1/b/{id}", "GET /v1/b/top"], "GET /v1/b/top", 1, id="literal over star"
        ),
        pytest.param(["GET /v1/{n=**}", "GET /v1/{n=*}"], "GET /v1/a", 1, id="star over deep"),
        pytest.param(
            ["GET /v1/{a}/x", "GET /v1/y/{b}"], "GET /v1/y/x", 1, id="leftmost literal first"
        ),
        pytest.param(["GET /v1/a/{x}/c", "GET /v1/{y}/b/d"], "GET /v1/a/b/d", 1, id="backtracking"),
        pytest.param(
            ["GET /s/default", "DELETE /s/{id}"], "DELETE /s/default", 1, id="method backtracks"
        ),
        pytest.param(
            ["GET /v1/{id}", "POST /v1/{id}:go"], "GET /v1/a:go", 0, id="no verb for this method"
        ),
        pytest.param(["GET /v1/{id}", "GET /v1/{id}:go"], "GET /v1/a:go", 1, id="verb over data"),
        pytest.param(["* /v1/{x}", "GET /v1/{x}"], "GET /v1/a", 1, id="exact method over any"),
        pytest.param(["* /v1/{x}", "GET /v1/{x}"], "PURGE /v1/a", 0, id="any method"),
        pytest.param(["GET /v1/{x}"], "HEAD /v1/a", 0, id="HEAD as GET"),
        pytest.param(["GET /v1/{x}", "HEAD /v1/{x}"], "HEAD /v1/a", 1, id="HEAD of its own"),
        pytest.param(
            ["GET /v1/{p=**}", "GET /v1/{p=**}/tail"], "GET /v1/a/tail", 1, id="longer tail"
        ),
    ],
)
def test_the_most_specific_binding_wins_in_any_load_order(
    routes: list[str], request_line: str, winner: int
) -> None:
    for ordered in (routes, routes[::-1]):
        assert found(router(*ordered), request_line)[0] == routes[winner]


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/v1/{id}", "/v1/7/8"),
        ("/v1/{id}", "/v1/"),
        ("/v1/{id}", "/v1"),
        ("/v1/{id}", "/v1//7"),
        ("/v1/{id}/x", "/v1//x"),
        ("/v1/{id}", "/v1/7/"),
        ("/v1/{n=**}", "/v1/a//b"),
        ("/v1/{n=**}", "/v1/a/"),
        ("/v1/x", "/V1/x"),
        ("/v1/{id}:go", "/v1/:go"),
        ("/v1/{id}:go", "/v1/a%3Ago"),
        ("/v1/x", "v1/x"),
        ("/v1/x", ""),
    ],
)
def test_a_path_without_a_binding_is_not_found(template: str, path: str) -> None:
    with pytest.raises(StatusError) as raised:
        router(f"GET {template}").match("GET", path)
    assert raised.value.http_status == 404


def test_a_wrong_method_is_told_all_that_are_allowed() -> None:
    routes = router("GET /v1/{id}", "PATCH /v1/a", "POST /v1/{id}:go", "PUT /w")
    with pytest.raises(StatusError) as raised:
        routes.match("DELETE", "/v1/a")
    assert raised.value.http_status == 405
    assert raised.value.code is Code.UNIMPLEMENTED
    assert raised.value.headers == [("Allow", "GET, HEAD, OPTIONS, PATCH")]
    assert routes.allowed_methods("/v1/a:go") == ("GET", "HEAD", "OPTIONS", "POST")
    assert routes.allowed_methods("/nowhere") == ()


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/%zz", "/v1/%2", "/v1/%", "/v1/%ff", "/v1/%00", "/v1/a\0", "/v1/\udcff"),
        *("/v1/..", "/v1/.", "/v1/%2e%2E", "/v1/a/../b", "/%2e/x", "/nowhere/%zz"),
    ],
)
def test_a_path_that_cannot_be_meant_is_a_bad_request(path: str) -> None:
    with pytest.raises(StatusError) as raised:
        router("GET /v1/{id}").match("GET", path)
    assert raised.value.http_status == 400


def test_nul_passes_where_it_is_allowed() -> None:
    builder: RouterBuilder[str] = RouterBuilder()
    builder.add("GET", parse_template("/v1/{id}"), "x")
    assert builder.build(PathOptions(allow_nul=True)).match("GET", "/v1/%00").captures == ("\0",)


def test_routes_of_one_shape_conflict_whatever_their_variables_are_called() -> None:
    builder: RouterBuilder[str] = RouterBuilder()
    builder.add("GET", parse_template("/v1/{a}/x"), "first")
    builder.add("GET", parse_template("/v1/{b=*}/x"), "second")
    builder.add("POST", parse_template("/v1/{b}/x"), "third")
    builder.add("GET", parse_template("/v1/{b}/x:go"), "fourth")
    assert [(c.first, c.second) for c in builder.conflicts] == [("first", "second")]
    assert builder.build().match("GET", "/v1/1/x").target == "first"


def test_every_binding_can_say_why_it_did_not_match() -> None:
    routes = router(
        "GET /v1/{id}", "POST /v1/{id}", "GET /v1/{n=**}", "GET /w/{id}", "GET /v1/{id}:go",
        "GET /v1/{id}/x",
    )  # fmt: skip
    assert [reason for _, reason in routes.explain("GET", "/v1/7")] == [
        "matches",
        "the path fits, but it serves POST",
        "a more specific binding matches",
        "segment 1 is 'v1' and not 'w'",
        "the path does not end in :go",
        "the path has 2 segments and not 3",
    ]


@pytest.mark.slow
def test_a_search_costs_no_more_than_the_trie_has_nodes() -> None:
    routes = router(*[f"GET /{'/'.join('*' if i >> b & 1 else 'a' for b in range(10))}/end{i}"
                      for i in range(1024)])  # fmt: skip
    with pytest.raises(StatusError):
        routes.match("GET", "/" + "a/" * 10 + "nowhere")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param({"POST /v1/{id}", "PUT /v1/{id}"}, "POST /v1/{id}", id="the first wanted"),
        pytest.param({"GET /v1/{id}", "POST /v1/{id}"}, "GET /v1/{id}", id="of GET before others"),
        pytest.param(set(), "GET /v1/{id}", id="the first of all if none is wanted"),
    ],
)
def test_of_several_methods_on_a_path_the_wanted_one_is_preferred(
    wanted: set[str], expected: str
) -> None:
    routes = router("PUT /v1/{id}", "POST /v1/{id}", "GET /v1/{id}")
    match = routes.preferred("/v1/7", wanted.__contains__)
    assert match is not None
    assert (match.target, match.captures) == (expected, ("7",))


def test_nothing_is_preferred_where_nothing_is_served() -> None:
    assert router("GET /v1/{id}").preferred("/v2", lambda _: True) is None

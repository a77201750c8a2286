"""What the router says when nothing fits, when asked for methods, and when asked why."""

import random
from collections.abc import Callable

import pytest

from gateway.status import Code, StatusError
from gateway.transcoding.routing.path_options import PathOptions
from gateway.transcoding.routing.router import Router, RouterBuilder
from gateway.transcoding.routing.template import parse_template


def router(*routes: str) -> Router[str]:
    builder: RouterBuilder[str] = RouterBuilder()
    for route in routes:
        method, template = route.split(" ")
        builder.add(method, parse_template(template), route)
    return builder.build()


def refusal(routes: Router[str], method: str, path: str) -> StatusError:
    with pytest.raises(StatusError) as raised:
        routes.match(method, path)
    return raised.value


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        pytest.param("/nowhere", "/nowhere", id="as it came"),
        pytest.param("/" + "x" * 500, "/" + "x" * 199 + "...", id="cut"),
        pytest.param("/a\r\n\x1b[31m", r"/a\r\n\x1b[31m", id="control characters escaped"),
        pytest.param("/a\u202eb", r"/a\u202eb", id="invisible characters escaped"),
        pytest.param("/caf%C3%A9", "/caf%C3%A9", id="not decoded"),
    ],
)
def test_not_found_names_method_and_path(path: str, shown: str) -> None:
    error = refusal(router("GET /v1/{id}"), "GET", path)
    assert (error.code, error.http_status) == (Code.NOT_FOUND, 404)
    assert error.message == f"no route for GET {shown}"


def test_a_router_without_routes_finds_nothing() -> None:
    empty = router()
    for path in ("/", "/v1", "", "*"):
        assert refusal(empty, "GET", path).http_status == 404
        assert empty.allowed_methods(path) == ()
        assert empty.explain("GET", path) == []


@pytest.mark.parametrize(
    ("routes", "path", "allowed"),
    [
        pytest.param(["GET /v1/{id}"], "/v1/a", "GET, HEAD, OPTIONS", id="HEAD comes with GET"),
        pytest.param(["PUT /v1/{id}"], "/v1/a", "OPTIONS, PUT", id="and with nothing else"),
        pytest.param(["PUT /v1/{id}"], "/v1/a%20b", "OPTIONS, PUT", id="an escaped path"),
        pytest.param(
            ["PUT /v1/{id}", "PATCH /v1/a", "POST /v1/{n=**}"],
            "/v1/a",
            "OPTIONS, PATCH, POST, PUT",
            id="of every binding that fits the path",
        ),
        pytest.param(
            ["PUT /v1/{id}", "POST /v1/{id}:go"],
            "/v1/a:go",
            "OPTIONS, POST, PUT",
            id="with the verb, and with its colon as data",
        ),
        pytest.param(["OPTIONS /v1/{id}"], "/v1/a", "OPTIONS", id="OPTIONS bound itself"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(routes: list[str], path: str, allowed: str) -> None:
    error = refusal(router(*routes), "DELETE", path)
    assert (error.code, error.http_status) == (Code.UNIMPLEMENTED, 405)
    assert error.headers == [("Allow", allowed)]
    assert error.message == f"no route for DELETE {path}; the path allows {allowed}"
    assert ", ".join(router(*routes).allowed_methods(path)) == allowed


def test_the_custom_kind_that_takes_all_is_among_the_allowed() -> None:
    assert router("* /v1/{id}").allowed_methods("/v1/a") == ("*", "OPTIONS")


@pytest.mark.parametrize("path", ["/v1/%zz", "/v1/..", "/v1/%ff", "/v1/%00"])
def test_allowed_methods_refuse_the_paths_that_match_refuses(path: str) -> None:
    with pytest.raises(StatusError) as raised:
        router("GET /v1/{id}").allowed_methods(path)
    assert raised.value.http_status == 400


@pytest.mark.parametrize("path", ["/v1/a", "/v1/%61"])
@pytest.mark.parametrize(
    ("routes", "winner"),
    [
        pytest.param(["GET /v1/{x}", "* /v1/{x}"], 0, id="HEAD as GET before any method"),
        pytest.param(["* /v1/a", "GET /v1/{x}"], 0, id="any method on a more specific path"),
        pytest.param(["GET /v1/{n=**}", "HEAD /v1/{n=**}"], 1, id="HEAD of its own"),
        pytest.param(["PUT /v1/a", "GET /v1/{x}"], 1, id="past a path without it"),
    ],
)
def test_head_is_served_by_the_nearest_binding(routes: list[str], winner: int, path: str) -> None:
    for ordered in (routes, routes[::-1]):
        assert router(*ordered).match("HEAD", path).target == routes[winner]


def test_options_is_not_routed_unless_a_rule_binds_it() -> None:
    assert refusal(router("GET /v1/{id}"), "OPTIONS", "/v1/a").http_status == 405
    assert router("OPTIONS /v1/{id}").match("OPTIONS", "/v1/a").target == "OPTIONS /v1/{id}"


def test_http_methods_are_case_sensitive() -> None:
    assert refusal(router("GET /v1/{id}"), "get", "/v1/a").http_status == 405


@pytest.mark.parametrize(
    ("path", "reasons"),
    [
        pytest.param(
            "/v1/caf%C3%A9/a",
            ["matches", "the path has 3 segments and not 2", "the path does not end in :go"],
            id="literals are compared decoded",
        ),
        pytest.param(
            "/v1/tea/a:go",
            ["segment 2 is 'tea' and not 'café'", "the path has 3 segments and not 2", "matches"],
            id="the verb is no part of the last segment",
        ),
        pytest.param(
            "/v1/",
            [
                "segment 2 is '' and not 'café'",
                "segment 2 is empty",
                "the path does not end in :go",
            ],
            id="empty segments",
        ),
        pytest.param(
            "v1",
            ["the path does not start with /"] * 2 + ["the path does not end in :go"],
            id="no slash in front",
        ),
        pytest.param(
            "", ["the path does not start with /"] * 2 + ["the path does not end in :go"], id="none"
        ),
        pytest.param(
            "/v1/..", ["path: the segments . and .. are not allowed"] * 3, id="a path refused"
        ),
    ],
)  # fmt: skip
def test_each_binding_tells_its_first_difference(path: str, reasons: list[str]) -> None:
    routes = router("GET /v1/caf%C3%A9/{x}", "GET /v1/{x}", "GET /v1/{n=**}:go")
    assert [reason for _, reason in routes.explain("GET", path)] == reasons


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/v1/x/tail", "matches"),
        ("/v1/tail", "matches"),
        ("/v1/x/end", "segment 3 is 'end' and not 'tail'"),
        ("/w/x/tail", "segment 1 is 'w' and not 'v1'"),
        ("/v1", "the path has 1 segment and not 2 or more"),
        ("/v1//tail", "segment 2 is empty"),
    ],
)
def test_a_deep_wildcard_is_explained_on_both_its_sides(path: str, reason: str) -> None:
    assert router("GET /v1/{n=**}/tail").explain("GET", path) == [("GET /v1/{n=**}/tail", reason)]


def test_one_target_on_two_bindings_is_explained_for_each() -> None:
    builder: RouterBuilder[str] = RouterBuilder()
    builder.add("GET", parse_template("/v1/{id}"), "same")
    builder.add("GET", parse_template("/v1/{n=**}"), "same")
    assert builder.build().explain("GET", "/v1/a") == [
        ("same", "matches"),
        ("same", "a more specific binding matches"),
    ]


def test_an_explained_head_is_served_by_its_get_binding() -> None:
    routes = router("GET /v1/{id}", "* /v1/{id}", "GET /v1/{n=**}")
    assert [reason for _, reason in routes.explain("HEAD", "/v1/a")][:2] == [
        "matches",
        "a more specific binding matches",
    ]


def test_a_router_does_not_change_with_its_builder() -> None:
    builder: RouterBuilder[str] = RouterBuilder()
    builder.add("GET", parse_template("/v1/{id}"), "first")
    built = builder.build()
    builder.add("GET", parse_template("/v1/a"), "later")
    builder.add("HEAD", parse_template("/v1/{id}"), "later")
    assert built.match("GET", "/v1/a").target == "first"
    assert built.match("HEAD", "/v1/a").target == "first"
    assert builder.build().match("GET", "/v1/a").target == "later"
    assert builder.build().match("HEAD", "/v1/b").target == "later"


def test_a_conflict_names_both_targets_and_the_route() -> None:
    builder: RouterBuilder[str] = RouterBuilder()
    for target, template in (("A", "/v1/{n=s/*}:go"), ("B", "/v1/s/{id}:go"), ("A", "/v1/s/*:go")):
        builder.add("GET", parse_template(template), target)
    assert [(c.http_method, str(c.template), c.first, c.second) for c in builder.conflicts] == [
        ("GET", "/v1/s/{id}:go", "A", "B"),
        ("GET", "/v1/s/*:go", "A", "A"),
    ]


def test_two_spellings_of_one_literal_conflict() -> None:
    builder: RouterBuilder[str] = RouterBuilder()
    builder.add("GET", parse_template("/caf%C3%A9"), "A")
    builder.add("GET", parse_template("/café"), "B")
    assert len(builder.conflicts) == 1


def test_any_method_and_get_do_not_conflict() -> None:
    builder: RouterBuilder[str] = RouterBuilder()
    builder.add("GET", parse_template("/v1"), "A")
    builder.add("HEAD", parse_template("/v1"), "B")
    builder.add("*", parse_template("/v1"), "C")
    assert builder.conflicts == []


def test_a_match_shows_what_it_found() -> None:
    assert repr(router("GET /v1/{id}").match("GET", "/v1/a")) == "Match('GET /v1/{id}', ('a',))"


@pytest.mark.parametrize(
    ("options", "path", "reasons"),
    [
        pytest.param(
            PathOptions(keeps_verbs=True),
            "/v1/a:go",
            ["the path ends in :go, which is no data by routing.verbs", "the path fits, but it"],
            id="a registered verb",
        ),
        pytest.param(
            PathOptions(keeps_verbs=True),
            "/v1/a:b",
            ["matches", "the path does not end"],
            id="data",
        ),
        pytest.param(
            PathOptions(every_verb=True),
            "/v1/a:b",
            ["the path ends in :b, which is no data by routing.verbs", "the path does not end"],
            id="every verb",
        ),
        pytest.param(
            PathOptions(trims_slashes=True), "/v1/a/", ["matches", "the path does not"], id="slash"
        ),
        pytest.param(
            PathOptions(trims_slashes=True),
            "/v2/a//",
            ["segment 1 is 'v2' and not 'v1'", "the path does not"],
            id="slashes",
        ),
        pytest.param(
            PathOptions(every_verb=True), "/v1:b/a", ["segment 1 is 'v1:b'", ""], id="not the last"
        ),
    ],
)
def test_what_the_settings_say_of_a_path_is_explained(
    options: PathOptions, path: str, reasons: list[str]
) -> None:
    builder: RouterBuilder[str] = RouterBuilder()
    builder.add("GET", parse_template("/v1/{id}"), "plain")
    builder.add("POST", parse_template("/v1/{id}:go"), "verb")
    found = builder.build(options).explain("GET", path)
    for (_, reason), begin in zip(found, reasons, strict=True):
        assert reason.startswith(begin)


@pytest.mark.parametrize(
    "options", [PathOptions(), PathOptions(trims_slashes=True), PathOptions(every_verb=True)]
)
def test_the_quick_look_at_a_plain_path_says_what_a_search_says(options: PathOptions) -> None:
    chance = random.Random(23)  # the same routes and paths in each run
    parts = ["a", "b", "{x}", "{x=**}", "{x=b/*}"]
    for _ in range(60):
        builder: RouterBuilder[str] = RouterBuilder()
        for _ in range(chance.randint(1, 5)):
            shape = [chance.choice(parts[:3]) for _ in range(chance.randint(0, 2))]
            ends = [one.replace("x", "y") for one in parts]
            template = "/" + "/".join([*dict.fromkeys(shape), chance.choice(ends)])
            template += chance.choice(["", "", ":v"])
            builder.add(chance.choice(["GET", "PUT", "*"]), parse_template(template), template)
        routes = builder.build(options)
        for _ in range(40):
            texts = [chance.choice(["a", "b", "c", "", "d:v", "d:w"]) for _ in range(4)]
            path = chance.choice(["/", "/", "/", ""]) + "/".join(texts[: chance.randint(0, 4)])
            assert outcome(routes.find, path) == outcome(routes._search, path), path


def outcome(find: Callable[[str, str], object], path: str) -> str:
    try:
        found = find("GET", path)
    except StatusError as error:
        return "None" if error.code is Code.NOT_FOUND else str(error)
    return str(found)

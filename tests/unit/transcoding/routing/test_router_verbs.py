"""A colon splits off a verb only where a template declares it, and only as a raw colon."""

import pytest

from gateway.status import StatusError
from gateway.transcoding.routing.router import RouterBuilder
from gateway.transcoding.routing.template import parse_template


def served(routes: list[str], request: str) -> tuple[str, ...]:
    builder: RouterBuilder[str] = RouterBuilder()
    for route in routes:
        method, template = route.split(" ")
        builder.add(method, parse_template(template), route)
    method, path = request.split(" ")
    match = builder.build().match(method, path)
    return (match.target, *match.captures)


@pytest.mark.parametrize(
    ("routes", "request_line", "winner", "captured"),
    [
        pytest.param(
            ["POST /v1/{id}:go"], "POST /v1/a:b:go", 0, ("a:b",), id="the last colon splits"
        ),
        pytest.param(
            ["GET /v1/{id}", "POST /w/{id}:go"],
            "GET /v1/a:go", 0, ("a:go",),
            id="declared elsewhere, still data here",
        ),
        pytest.param(
            ["GET /v1/{id}", "GET /v1/{id}:go"],
            "GET /v1/a:GO", 0, ("a:GO",),
            id="verbs are case-sensitive",
        ),
        pytest.param(
            ["GET /v1/{id}", "GET /v1/{id}:go"],
            "GET /v1/a%3Ago", 0, ("a:go",),
            id="an escaped colon never splits",
        ),
        pytest.param(
            ["GET /v1/{id}/x", "GET /v1/{id}/x:go"],
            "GET /v1/a:go/x", 0, ("a:go",),
            id="only the last segment has a verb",
        ),
        pytest.param(
            ["POST /v1/{r=**}:getPolicy", "POST /v1/projects/{id}"],
            "POST /v1/projects/p:getPolicy", 0, ("projects/p",),
            id="a declared verb counts before the shape of the path",
        ),
        pytest.param(
            ["GET /v1/{id}:go", "GET /v1/a%3Ago"],
            "GET /v1/a:go", 0, ("a",),
            id="a verb before a literal with a colon",
        ),
        pytest.param(
            ["GET /v1/{id}:go", "GET /v1/a%3Ago"],
            "GET /v1/a%3Ago", 1, (),
            id="a literal with a colon, escaped",
        ),
        pytest.param(
            ["GET /v1/a%3Ax"], "GET /v1/a:x", 0, (), id="a literal with a colon, raw in the path"
        ),
        pytest.param(
            ["GET /v1/{id}:caf%C3%A9"],
            "GET /v1/a:caf%c3%a9", 0, ("a",),
            id="an escaped verb equals its decoded form",
        ),
        pytest.param(["GET /v1/{id}:go"], "GET /v1/a:g%6F", 0, ("a",), id="so does a plain verb"),
        pytest.param(
            ["GET /v1/{id}:a%2Fb"], "GET /v1/x:a%2Fb", 0, ("x",), id="a slash within a verb"
        ),
        pytest.param(["GET /v1/{n=**}:go"], "GET /v1:go", 0, ("",), id="deep, none"),
        pytest.param(["GET /{n=**}:go"], "GET /:go", 0, ("",), id="deep at the root, none"),
        pytest.param(["GET /v1/{id}", "GET /w:go"], "GET /v1/:go", 0, (":go",), id="all of it"),
        pytest.param(["GET /v1/{id}", "GET /w:go"], "GET /v1/a:", 0, ("a:",), id="empty verb"),
        pytest.param(
            ["GET /v1/{id}", "GET /v1/{id}:go"],
            "GET /v1/a:x%20y", 0, ("a:x y",),
            id="an unknown verb is decoded as data",
        ),
        pytest.param(
            ["GET /v1/{id}", "POST /v1/{id}:go"],
            "HEAD /v1/a:go", 0, ("a:go",),
            id="HEAD reads the colon as GET does",
        ),
    ],
)  # fmt: skip
def test_a_colon_is_read_as_the_templates_have_it(
    routes: list[str], request_line: str, winner: int, captured: tuple[str, ...]
) -> None:
    for ordered in (routes, routes[::-1]):
        assert served(ordered, request_line) == (routes[winner], *captured)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/v1/:go", 404, id="nothing before the verb"),
        pytest.param(":go", 404, id="no path before the verb"),
        pytest.param("/v1/a/:go", 404, id="an empty segment before the verb"),
        pytest.param("/v1/a:go/", 404, id="a slash behind the verb"),
        pytest.param("/v1/a:no", 404, id="another verb"),
        pytest.param("/v1/..:go", 400, id="a dot segment before the verb"),
        pytest.param("/v1/%2e%2E:go", 400, id="an escaped dot segment before the verb"),
        pytest.param("/v1/a:%zz", 400, id="a malformed verb"),
        pytest.param("/v1/a:%ff", 400, id="a verb that is not UTF-8"),
    ],
)
def test_a_verb_does_not_make_a_bad_path_good(path: str, status: int) -> None:
    with pytest.raises(StatusError) as raised:
        served(["GET /v1/{n=**}/x", "GET /v1/{id}:go"], f"GET {path}")
    assert raised.value.http_status == status

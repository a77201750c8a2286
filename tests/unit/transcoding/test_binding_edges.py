"""What bindings hold, how much is told at once, and which routes are one."""

import pytest
from google.protobuf.descriptor import FieldDescriptor

from gateway.config.routing import OnConflict
from gateway.schema.catalog import HttpRule, Schema, Source, build_schema
from gateway.transcoding.binding import Diagnostic, Severity, bind, build_router
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package e;
import "google/api/httpbody.proto";
message Inner { string id = 1; oneof pick { string a = 2; string b = 3; } }
message M {
  string id = 1;
  Inner left = 2;
  Inner right = 3;
  optional string maybe = 4;
  optional Inner perhaps = 5;
  oneof way { Inner walk = 6; Inner ride = 7; string fly = 8; }
  google.api.HttpBody data = 9;
  repeated Inner many = 10;
  int32 count = 11;
}
service S {
  rpc First(M) returns (M);
  rpc Second(M) returns (M);
  rpc Third(M) returns (M);
  rpc Send(stream M) returns (M);
  rpc Watch(M) returns (stream M);
  rpc Talk(stream M) returns (stream M);
}
"""
FILES = descriptor_set(e=PROTO)
LINES = {"First": 20, "Second": 21, "Third": 22, "Send": 23, "Watch": 24, "Talk": 25}


def rule(method: str, http_method: str, template: str, body: str = "", reply: str = "") -> HttpRule:
    return HttpRule(http_method, template, body, reply, Source("e.proto", LINES[method]))


def schema(*rules: tuple[str, ...]) -> Schema:
    """Each rule as (method, HTTP method, template, body, response body)."""
    overrides: dict[str, tuple[HttpRule, ...]] = {}
    for written in rules:
        name = f"e.S.{written[0]}"
        overrides[name] = (*overrides.get(name, ()), rule(*written))
    return build_schema(FILES, overrides=overrides)


def conflicts(*rules: tuple[str, ...], on_conflict: OnConflict) -> list[Diagnostic]:
    bindings, diagnostics = bind(schema(*rules))
    assert diagnostics == []
    return build_router(bindings, on_conflict=on_conflict)[1]


def test_a_binding_holds_all_that_its_rule_names() -> None:
    (binding,), _ = bind(
        schema(("First", "PATCH", "/v1/{left.id=a/*}/{count}/{id=**}", "right", "many"))
    )
    assert [path.text for path in binding.variables] == ["left.id", "count", "id"]
    assert isinstance(binding.body, FieldDescriptor)
    assert binding.body.full_name == "e.M.right"
    assert binding.response_body is not None
    assert binding.response_body.name == "many"
    assert repr(binding) == "<Binding PATCH /v1/{left.id=a/*}/{count}/{id=**} e.S.First>"


def test_each_alternative_has_a_body_of_its_own() -> None:
    bindings, _ = bind(
        schema(
            ("First", "GET", "/v1/{id}"),
            ("First", "POST", "/v1", "*", "left"),
            ("First", "PUT", "/v1", "left"),
        )
    )
    bodies = [b.body if isinstance(b.body, str | None) else b.body.name for b in bindings]
    assert bodies == [None, "*", "left"]
    assert [b.response_body.name if b.response_body else None for b in bindings] == [
        None,
        "left",
        None,
    ]


def test_a_bad_rule_hides_no_other() -> None:
    bindings, diagnostics = bind(
        schema(
            ("First", "GET", "/v1/{nope}"),
            ("First", "GET", "/v1/good/{id}"),
            ("First", "GET", "v1"),
            ("Second", "POST", "/v1", "nope"),
            ("Talk", "GET", "/talk"),
        )
    )
    assert [(b.method.name, str(b.template)) for b in bindings] == [
        ("First", "/v1/good/{id}"),
        ("Talk", "/talk"),
    ]
    assert [(d.severity, d.method, d.http_method, d.template) for d in diagnostics] == [
        (Severity.ERROR, "e.S.First", "GET", "/v1/{nope}"),
        (Severity.ERROR, "e.S.First", "GET", "v1"),
        (Severity.ERROR, "e.S.Second", "POST", "/v1"),
        (Severity.WARNING, "e.S.Talk", "GET", "/talk"),
    ]


def test_a_diagnostic_is_one_line_that_editors_can_follow() -> None:
    _, (diagnostic,) = bind(schema(("Second", "GET", "/v1/{nope}")))
    assert str(diagnostic) == (
        "e.proto:21: error: e.S.Second: GET /v1/{nope}: nope: e.M has no field nope"
    )


@pytest.mark.parametrize(
    ("template", "body"),
    [
        pytest.param("/v1/{left.a}/{right.b}", "", id="one oneof in two messages"),
        pytest.param("/v1/{maybe}/{id}", "", id="optional is no choice"),
        pytest.param("/v1/{maybe}", "perhaps", id="two optional fields"),
        pytest.param("/v1/{walk.id}/{walk.a}", "", id="one member of a oneof, two fields of it"),
        pytest.param("/v1/{walk.id}", "walk", id="a variable within the body's own member"),
        pytest.param("/v1/{left.id}", "left", id="a variable within the body"),
        pytest.param("/v1/{left.a}", "*", id="everything is the body"),
        pytest.param("/v1/{id}", "many", id="a list as the body"),
    ],
)
def test_variables_and_body_that_do_not_meet_are_bound(template: str, body: str) -> None:
    bindings, diagnostics = bind(schema(("First", "POST", template, body)))
    assert len(bindings) == 1
    assert diagnostics == []


@pytest.mark.parametrize(
    ("template", "body", "says"),
    [
        ("/v1/{left.a}/{left.b}", "", "left.a and left.b are members of one oneof"),
        ("/v1/{walk.id}/{ride.id}", "", "walk.id and ride.id are members of one oneof"),
        ("/v1/{walk.id}/{fly}", "", "walk.id and fly are members of one oneof"),
        ("/v1/{walk.id}", "ride", "walk.id and the body ride are members of one oneof"),
        ("/v1/{fly}", "walk", "fly and the body walk are members of one oneof"),
        ("/v1/{id}/{count}", "count", "count is both a variable and the body"),
        ("/v1/{data}", "", "data: a message cannot be a path variable"),
        ("/v1/{many.id}", "", "many is a list or map, which has no path"),
        ("/v1/{id.x}", "", "id has no fields"),
        ("/v1/{left}/{left.id}", "", "left: a message cannot be a path variable"),
    ],
)
def test_variables_and_body_that_exclude_each_other_are_refused(
    template: str, body: str, says: str
) -> None:
    bindings, (diagnostic,) = bind(schema(("First", "POST", template, body)))
    assert bindings == []
    assert says in diagnostic.message


@pytest.mark.parametrize("http_method", ["", "A B", "GÉT", "GET\n", 'G"', "(", "a/b", "{}"])
def test_a_custom_kind_must_be_a_token(http_method: str) -> None:
    bindings, (diagnostic,) = bind(schema(("First", http_method, "/v1")))
    assert bindings == []
    assert "is not an HTTP method" in diagnostic.message
    assert diagnostic.severity is Severity.ERROR


@pytest.mark.parametrize("http_method", ["get", "Post", "X-EVERYTHING", "!#$%&'*+-.^_`|~"])
def test_a_custom_kind_that_no_client_can_send_is_kept_with_a_warning(http_method: str) -> None:
    (binding,), (diagnostic,) = bind(schema(("First", http_method, "/v1")))
    assert binding.http_method == http_method
    assert diagnostic.severity is Severity.WARNING


@pytest.mark.parametrize(
    ("method", "http_method", "body", "warned"),
    [
        ("Watch", "GET", "", False),
        ("Watch", "POST", "*", False),
        ("Send", "GET", "", True),
        ("Send", "HEAD", "", True),
        ("Talk", "GET", "", True),
        ("Send", "POST", "*", False),
        ("Send", "POST", "data", False),
        ("Talk", "POST", "left", True),
        ("First", "PUT", "*", False),
        ("First", "HEAD", "left", True),
        ("First", "DELETE", "", False),
    ],
)
def test_a_doubt_depends_on_the_kind_of_method(
    method: str, http_method: str, body: str, *, warned: bool
) -> None:
    _, diagnostics = bind(schema((method, http_method, "/v1", body)))
    assert [d.severity for d in diagnostics] == [Severity.WARNING] * warned


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("/v1/{id}", "/v1/*", id="a variable and a wildcard"),
        pytest.param("/v1/{id=a/**}", "/v1/a/**", id="a deep variable"),
        pytest.param("/v1/{id=a/*}/b", "/v1/a/{left.id}/b", id="another cut"),
        pytest.param("/v1/caf%C3%A9", "/v1/café", id="another spelling"),
        pytest.param("/v1/{id}:go", "/v1/{left.a}:go", id="with a verb"),
    ],
)
def test_templates_that_fit_the_same_paths_conflict(first: str, second: str) -> None:
    (conflict,) = conflicts(
        ("First", "GET", first), ("Second", "GET", second), on_conflict=OnConflict.REFUSE
    )
    assert str(conflict).startswith(f"e.proto:21: error: e.S.Second: GET {second}: ")
    assert conflict.message == f"the same route as e.S.First (e.proto:20), GET {first}"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(("GET", "/v1/{id}"), ("POST", "/v1/{id}"), id="another HTTP method"),
        pytest.param(("GET", "/v1/{id}"), ("*", "/v1/{id}"), id="one and any HTTP method"),
        pytest.param(("GET", "/v1/{id}"), ("HEAD", "/v1/{id}"), id="HEAD of its own"),
        pytest.param(("GET", "/v1/{id}"), ("GET", "/v1/a"), id="a literal is more specific"),
        pytest.param(("GET", "/v1/{id}"), ("GET", "/v1/{id}:go"), id="a verb"),
        pytest.param(("GET", "/v1/{id}"), ("GET", "/v1/{id=**}"), id="deep is less specific"),
        pytest.param(("GET", "/v1/A"), ("GET", "/v1/a"), id="case counts"),
    ],
)
def test_templates_that_can_be_told_apart_do_not_conflict(
    first: tuple[str, str], second: tuple[str, str]
) -> None:
    assert not conflicts(("First", *first), ("Second", *second), on_conflict=OnConflict.REFUSE)


def test_of_three_on_one_route_each_later_one_is_told_who_serves_it() -> None:
    found = conflicts(
        ("First", "GET", "/v1/{id}"),
        ("Second", "GET", "/v1/{left.id}"),
        ("Third", "GET", "/v1/*"),
        on_conflict=OnConflict.FIRST,
    )
    assert [(d.method, d.severity) for d in found] == [
        ("e.S.Second", Severity.WARNING),
        ("e.S.Third", Severity.WARNING),
    ]
    assert all("e.S.First (e.proto:20), GET /v1/{id}, which serves it" in d.message for d in found)


def test_a_conflict_leaves_the_other_routes_of_its_method_alone() -> None:
    bindings, _ = bind(
        schema(
            ("First", "GET", "/v1/{id}"),
            ("Second", "GET", "/v1/{id}"),
            ("Second", "GET", "/v2/{id}"),
        )
    )
    router, _ = build_router(bindings, on_conflict=OnConflict.FIRST)
    assert router.match("GET", "/v1/x").target.method.name == "First"
    assert router.match("GET", "/v2/x").target.method.name == "Second"


def test_how_a_rule_decodes_reaches_the_router() -> None:
    for fully_decode, captured in ((False, "a%2Fb"), (True, "a/b")):
        written = HttpRule("GET", "/v1/{id=**}", "", "", Source("s.yaml", 1), fully_decode)
        bindings, _ = bind(build_schema(FILES, overrides={"e.S.First": (written,)}))
        router, _ = build_router(bindings, on_conflict=OnConflict.REFUSE)
        assert router.match("GET", "/v1/a%2Fb").captures == (captured,)

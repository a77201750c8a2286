"""What the settings of routing leave of a schema's rules, and which of two rules serves a path."""

from typing import Any

import pytest

from gateway.config.model import Config
from gateway.config.routing import OnError, RoutingOptions
from gateway.config.selectors import SelectorError
from gateway.schema.catalog import HttpRule, Schema, SchemaError, Source, build_schema
from gateway.transcoding.binding import Binding, Severity, bind, plan_routes
from gateway.transcoding.reachability import never_reached
from gateway.transcoding.routing.router import Router
from gateway.transcoding.transcoder import RulesError, build_transcoder
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package o;
import "google/api/annotations.proto";
message M { string id = 1; repeated string ids = 2; M inner = 3; string parent = 4; }
service S { rpc A(M) returns (M); rpc B(M) returns (M); rpc C(M) returns (M); }
service Annotated {
  rpc OnlyMore(M) returns (M) { option (google.api.http) = {
    additional_bindings {get: "/more/{id}"} additional_bindings {post: "/more" body: "*"}
  }; }
  rpc Root(M) returns (M) { option (google.api.http) = {get: "/"}; }
  rpc Stray(M) returns (M) { option (google.api.http) = {
    body: "*" additional_bindings {get: "/stray"}
  }; }
}
"""
FILES = descriptor_set(o=PROTO)


def schema(*rules: tuple[str, str]) -> Schema:
    """Method and `HTTP_METHOD template [body]`, one rule each; without any, the annotations."""
    overrides: dict[str, tuple[HttpRule, ...]] = {}
    for number, (name, text) in enumerate(rules, 1):
        http_method, template, body = [*text.split(), "", "", ""][:3]
        rule = HttpRule(http_method, template, body, "", Source("o.yaml", number))
        overrides[f"o.S.{name}"] = (*overrides.get(f"o.S.{name}", ()), rule)
    return build_schema(FILES, services=["o.S"] if rules else ["o.Annotated"], overrides=overrides)


def planned(given: Schema, **options: Any) -> tuple[Router[Binding], list[str]]:
    router, diagnostics = plan_routes(given, RoutingOptions.model_validate(options))
    return router, list(map(str, diagnostics))


def served(router: Router[Binding], request: str) -> str:
    http_method, path = request.split()
    return router.match(http_method, path).target.method.name


def test_a_rule_with_only_additional_bindings_is_served() -> None:
    router, _ = planned(schema())
    assert served(router, "GET /more/1") == served(router, "POST /more") == "OnlyMore"


def test_the_root_is_served() -> None:
    router, _ = planned(schema())
    assert served(router, "GET /") == "Root"
    assert router.allowed_methods("/") == ("GET", "HEAD", "OPTIONS")
    assert ("GET", "the path has 1 segment and not 0") in [
        (binding.http_method, why) for binding, why in router.explain("GET", "/other")
    ]


def test_a_body_without_a_pattern_is_told_and_its_additional_bindings_are_served() -> None:
    router, diagnostics = planned(schema())
    assert served(router, "GET /stray") == "Stray"
    (said,) = diagnostics
    assert "warning: o.Annotated.Stray" in said
    assert "a body without a pattern has no effect" in said


def test_a_rule_with_nothing_in_it_is_still_refused() -> None:
    _, diagnostics = bind(schema(("A", " ")))
    assert [d.severity for d in diagnostics] == [Severity.ERROR]


BAD = [
    ("A", "GET /v1/{nope}"),
    ("A", "GET /v1/{ids}"),
    ("A", "POST /v1 inner.id"),
    ("A", "GET /v1/{"),
]


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_rule_stops_everything_unless_it_may_be_skipped(bad: tuple[str, str]) -> None:
    given = schema(bad, ("A", "GET /a"), ("B", "GET /b"))
    with pytest.raises(RulesError) as raised:
        build_transcoder(Config(), given)
    config = Config.model_validate({"routing": {"on_error": "skip"}})
    transcoder = build_transcoder(config, given)
    assert [str(binding.template) for binding in transcoder.bindings] == ["/a", "/b"]
    (warning,) = transcoder.warnings
    assert str(warning).startswith("o.yaml:1: warning: o.S.A: ")
    assert str(warning).endswith("; the rule is skipped")
    assert warning.message.removesuffix("; the rule is skipped") in str(raised.value)


def test_a_rule_for_a_method_that_is_not_there_may_be_skipped_too() -> None:
    rule = HttpRule("GET", "/x", "", "", Source("o.yaml", 9))
    with pytest.raises(SchemaError, match=r"o\.yaml:9: no method is called o\.S\.Aa; .* o\.S\.A"):
        build_schema(FILES, overrides={"o.S.Aa": (rule,)})
    given = build_schema(FILES, overrides={"o.S.Aa": (rule,)}, skip_unmatched=True)
    _, diagnostics = bind(given, on_error=OnError.SKIP)
    assert str(diagnostics[0]).startswith("o.yaml:9: warning: o.S.Aa: no method is called o.S.Aa")
    assert not diagnostics[0].is_error


def test_a_conflict_is_no_bad_rule() -> None:
    given = schema(("A", "GET /a"), ("B", "GET /a"))
    with pytest.raises(RulesError):
        build_transcoder(Config.model_validate({"routing": {"on_error": "skip"}}), given)


@pytest.mark.parametrize(("on_conflict", "winner"), [("first", "A"), ("last", "C")])
def test_the_first_or_the_last_of_several_on_a_route_serves_it(
    on_conflict: str, winner: str
) -> None:
    given = schema(("A", "GET /{id}"), ("B", "GET /*"), ("C", "GET /{parent}"))
    router, diagnostics = planned(given, on_conflict=on_conflict)
    assert served(router, "GET /x") == winner
    assert [binding.method.name for binding in router.targets] == [winner]
    assert len(diagnostics) == 2
    assert all(f"the same route as o.S.{winner} " in said for said in diagnostics)
    assert all(", which serves it" in said for said in diagnostics)


def test_only_what_is_served_is_listed() -> None:
    given = schema(("A", "GET /{id}"), ("B", "GET /{id}"), ("B", "GET /b/{id}"))
    config = Config.model_validate({"routing": {"on_conflict": "first"}})
    listed = [(b.method.name, str(b.template)) for b in build_transcoder(config, given).bindings]
    assert listed == [("A", "/{id}"), ("B", "/b/{id}")]


@pytest.mark.parametrize("exclude", [["o.S.A"], ["o.S.A", "o.S.A"]])
def test_excluded_methods_get_no_routes(exclude: list[str]) -> None:
    given = schema(("A", "GET /{nope}"), ("A", "GET /a"), ("B", "GET /b"))
    router, diagnostics = planned(given, exclude=exclude)
    assert [binding.method.name for binding in router.targets] == ["B"]
    assert diagnostics == []


@pytest.mark.parametrize("name", ["prefer", "exclude"])
def test_a_selector_that_selects_nothing_is_refused(name: str) -> None:
    with pytest.raises(SelectorError) as raised:
        planned(schema(("A", "GET /a")), **{name: ["o.S.A", "o.S.Aa"]})
    assert str(raised.value).startswith(f"routing.{name}[1]: no method is called o.S.Aa; ")


def test_a_preferred_method_serves_a_route_that_two_claim() -> None:
    given = schema(("A", "GET /{id}"), ("B", "GET /{id}"), ("C", "GET /c"))
    router, (said,) = planned(given, prefer=["o.S.B"])
    assert served(router, "GET /x") == "B"
    assert "warning: o.S.A: GET /{id}: the same route as o.S.B" in said
    assert served(router, "GET /c") == "C", "a literal is more specific all the same"


FIRESTORE = (
    ("A", "GET /v1/{id=p/*/documents/*/**}"),
    ("B", "GET /v1/{parent=p/*/documents/*/**}/{id}"),
    ("B", "GET /v1/{parent=p/*/documents}/{id}"),
    ("C", "GET /v1/{id=**}:go"),
)


def test_what_no_request_reaches_is_told_with_what_takes_its_paths() -> None:
    router, _ = planned(schema(*FIRESTORE))
    ((lost, told),) = never_reached(router).items()
    assert (lost.method.name, told.is_error) == ("A", False)
    assert str(told) == (
        "o.yaml:1: warning: o.S.A: GET /v1/{id=p/*/documents/*/**}: no request reaches it: "
        "all its paths go to o.S.B (o.yaml:3), GET /v1/{parent=p/*/documents}/{id} or "
        "o.S.B (o.yaml:2), GET /v1/{parent=p/*/documents/*/**}/{id}; see routing.prefer"
    )


def test_a_preferred_method_decides_between_templates_that_fit_alike() -> None:
    router, _ = planned(schema(*FIRESTORE), prefer=["o.S.A"])
    for path in ("/v1/p/1/documents/a", "/v1/p/1/documents/a/b", "/v1/p/1/documents/a/b/c"):
        assert served(router, f"GET {path}") == "A"
    assert served(router, "GET /v1/p/1/documents/a:go") == "C"
    assert {binding.method.name for binding in never_reached(router)} == {"B"}


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param([("A", "GET /{id}"), ("B", "GET /a")], id="a literal takes one path"),
        pytest.param([("A", "GET /{id}"), ("B", "GET /{id}:go")], id="a verb, no path without"),
        pytest.param([("A", "GET /a/**"), ("B", "GET /a/*"), ("C", "GET /a")], id="more is left"),
        pytest.param([("A", "GET /a%3Ago"), ("B", "GET /a:go")], id="a colon as data"),
        pytest.param([("A", "* /{id}"), ("B", "GET /{parent}"), ("C", "PUT /*")], id="any method"),
        pytest.param([("A", "GET /"), ("B", "GET /{id=**}")], id="the root"),
    ],
)
def test_what_some_request_reaches_is_not_told(rules: list[tuple[str, str]]) -> None:
    router, _ = planned(schema(*rules))
    assert never_reached(router) == {}


def test_a_template_that_holds_what_paths_may_not_is_told() -> None:
    router, _ = planned(schema(("A", "GET /a%00b")))
    ((_, told),) = never_reached(router).items()
    assert "no request reaches it: " in str(told)
    router, _ = planned(schema(("A", "GET /a%00b")), allow_nul=True)
    assert never_reached(router) == {}

"""Every rule that cannot be served is refused when it is loaded, and every doubt is told."""

import pytest

from gateway.config.routing import OnConflict
from gateway.schema.catalog import HttpRule, Schema, Source, build_schema
from gateway.transcoding.binding import Severity, bind, build_router
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package b;
import "google/api/httpbody.proto";
import "google/protobuf/timestamp.proto";
message Book { string name = 1; Author author = 2; repeated Author authors = 3; }
message Author { string name = 1; }
message M {
  string id = 1; Book book = 2; repeated string tags = 3; map<string, string> labels = 4;
  oneof choice { string text = 5; Book other = 6; } google.protobuf.Timestamp time = 7;
  google.api.HttpBody data = 8; bytes raw = 9;
}
service S {
  rpc Unary(M) returns (M);
  rpc Second(M) returns (M);
  rpc Send(stream M) returns (M);
  rpc Talk(stream M) returns (stream M);
}
"""
FILES = descriptor_set(b=PROTO)
SOURCE = Source("b.proto", 17)


def rule(text: str, *, nested: bool = False) -> HttpRule:
    """`METHOD template [body=x] [response_body=y]`."""
    http_method, template, *options = [*text.split(" "), ""][:4] if " " in text else (text, "", "")
    settings = dict(option.split("=", 1) for option in options if option)
    return HttpRule(
        http_method,
        template,
        settings.get("body", ""),
        settings.get("response_body", ""),
        SOURCE,
        nested=nested,
    )


def schema(**rules: HttpRule | tuple[HttpRule, ...]) -> Schema:
    overrides = {
        f"b.S.{name}": given if isinstance(given, tuple) else (given,)
        for name, given in rules.items()
    }
    return build_schema(FILES, overrides=overrides)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("GET /v1/{a={b}}", "a variable cannot be inside another"),
        ("GET /v1/{nope}", "b.M has no field nope"),
        ("GET /v1/{book.nope}", "b.Book has no field nope"),
        ("GET /v1/{tags}", "a list or map cannot be a path variable"),
        ("GET /v1/{labels}", "a list or map cannot be a path variable"),
        ("GET /v1/{book}", "a message cannot be a path variable"),
        ("GET /v1/{book.authors.name}", "authors is a list or map, which has no path"),
        ("GET /v1/{id}/{id}", "the variable id appears twice"),
        ("GET v1/{id}", "a template starts with /"),
        ("GET /v1//x", "expected a segment"),
        ("GET /v1/{id", "expected } to close"),
        ("GET /v1/**/x/**", "a template can have only one **"),
        ("", "the rule has no pattern"),
        ("G[T /v1", "custom kind 'G[T' is not an HTTP method"),
        ("POST /v1 body=nope", "body 'nope' is not a field of b.M"),
        ("POST /v1 body=book.author", "body 'book.author' is a path"),
        ("GET /v1 response_body=nope", "response_body 'nope' is not a field of b.M"),
        ("GET /v1 response_body=book.name", "response_body 'book.name' is a path"),
        ("POST /v1/{id} body=id", "id is both a variable and the body"),
        ("POST /v1/{text} body=other", "members of one oneof"),
        ("POST /v1/{text}/{other.name}", "text and other.name are members of one oneof"),
    ],
)
def test_a_rule_that_cannot_be_served_is_an_error(text: str, says: str) -> None:
    bindings, diagnostics = bind(schema(Unary=rule(text)))
    assert bindings == []
    (diagnostic,) = diagnostics
    assert diagnostic.severity is Severity.ERROR
    assert says in diagnostic.message
    assert str(diagnostic).startswith("b.proto:17: error: b.S.Unary: ")


def test_additional_bindings_have_none_of_their_own() -> None:
    rules = (rule("GET /v1"), rule("GET /v2", nested=True))
    bindings, diagnostics = bind(schema(Unary=rules))
    assert len(bindings) == 1
    assert "additional binding cannot have additional bindings" in diagnostics[0].message


@pytest.mark.parametrize(
    "text",
    [
        "GET /v1/{id}",
        "GET /v1/{book.name=shelves/*}/x:verb",
        "GET /v1/{time}",
        "GET /v1/{raw}",
        "PATCH /v1/{book.name=**} body=book",
        "POST /v1 body=tags",
        "POST /v1 body=labels",
        "POST /v1 body=id",
        "PUT /v1 body=data response_body=data",
        "POST /v1 body=*",
        "HEAD /v1",
        "* /v1/{id=**}",
        "PURGE /v1",
    ],
)
def test_what_can_be_served_is_bound_without_a_word(text: str) -> None:
    bindings, diagnostics = bind(schema(Unary=rule(text)))
    assert len(bindings) == 1
    assert diagnostics == []


@pytest.mark.parametrize(
    ("method", "text", "says"),
    [
        ("Unary", "GET /v1/{id=a/**}/x", "segments after ** are outside the grammar"),
        ("Unary", "FROB /v1", "FROB is not a method that HTTP parsers accept"),
        ("Unary", "GET /v1 body=*", "GET with a body: many clients and proxies drop it"),
        ("Unary", "DELETE /v1 body=book", "DELETE with a body"),
        ("Talk", "GET /v1", "a bidi method cannot read its messages from a GET"),
        ("Send", "POST /v1", "gets one message, from the URL: add body"),
        ("Send", "POST /v1 body=book", "each message of the stream would be a book"),
        ("Send", "POST /v1 body=tags", "each message of the stream would be a list of tags"),
    ],
)
def test_what_is_likely_not_meant_is_a_warning(method: str, text: str, says: str) -> None:
    bindings, diagnostics = bind(schema(**{method: rule(text)}))
    assert len(bindings) == 1
    assert [d.severity for d in diagnostics] == [Severity.WARNING]
    assert says in diagnostics[0].message


@pytest.mark.parametrize(
    ("on_conflict", "severity"),
    [(OnConflict.REFUSE, Severity.ERROR), (OnConflict.FIRST, Severity.WARNING)],
)
def test_two_methods_on_one_route_are_both_named(
    on_conflict: OnConflict, severity: Severity
) -> None:
    bindings, _ = bind(schema(Unary=rule("GET /v1/{id}"), Second=rule("GET /v1/{text}")))
    router, (conflict,) = build_router(bindings, on_conflict=on_conflict)
    assert conflict.severity is severity
    assert conflict.method == "b.S.Second"
    assert "the same route as b.S.Unary (b.proto:17), GET /v1/{id}" in conflict.message
    assert router.match("GET", "/v1/a").target.method.full_name == "b.S.Unary"

"""A template is parsed as the grammar has it, and anything else is refused with its column."""

import pytest

from gateway.transcoding.routing.template import (
    DeepWildcard,
    Literal,
    Template,
    TemplateError,
    Variable,
    Wildcard,
    parse_template,
)

STAR, DEEP = Wildcard(), DeepWildcard()


@pytest.mark.parametrize(
    ("text", "template"),
    [
        pytest.param("/v1", Template((Literal("v1"),), ()), id="literal"),
        pytest.param("/v1/*", Template((Literal("v1"), STAR), ()), id="wildcard"),
        pytest.param("/**", Template((DEEP,), ()), id="deep wildcard"),
        pytest.param("/{a}", Template((STAR,), (Variable("a", 0, 1, False),)), id="bare variable"),
        pytest.param("/{a=*}", Template((STAR,), (Variable("a", 0, 1, False),)), id="one star"),
        pytest.param("/{a.b_c}", Template((STAR,), (Variable("a.b_c", 0, 1, False),)), id="dots"),
        pytest.param(
            "/v1/{n=s/*/b/*}:go",
            Template(
                (Literal("v1"), Literal("s"), STAR, Literal("b"), STAR),
                (Variable("n", 1, 5, True),),
                "go",
            ),
            id="pattern and verb",
        ),
        pytest.param("/{a=**}", Template((DEEP,), (Variable("a", 0, 1, True),)), id="deep"),
        pytest.param(
            "/{a=x}", Template((Literal("x"),), (Variable("a", 0, 1, False),)), id="fixed"
        ),
        pytest.param("/caf%C3%A9", Template((Literal("café"),), ()), id="escaped literal"),
        pytest.param("/", Template((), ()), id="the root"),
    ],
)
def test_a_template_is_parsed(text: str, template: Template) -> None:
    assert parse_template(text) == template


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("v1/x", "column 1: a template starts with /"),
        ("", "column 1: a template starts with /"),
        ("/v1/", "column 5: expected a segment"),
        ("/v1//x", "column 5: expected a segment"),
        ("/v1/{", "column 6: expected a field path"),
        ("/v1/{}", "column 6: expected a field path"),
        ("/v1/{a", "column 7: expected } to close the variable a"),
        ("/v1/{a=", "column 8: expected a segment"),
        ("/v1/{a=*", "column 9: expected }"),
        ("/v1/{a={b}}", "column 8: a variable cannot be inside another"),
        ("/v1/{a}/{a}", "the variable a appears twice"),
        ("/v1/{a}{b}", "column 8: unexpected '{'"),
        ("/v1/x{a}", "column 6: unexpected '{'"),
        ("/v1/{a}x", "column 8: unexpected 'x'"),
        ("/v1/***", "unexpected '*'"),
        ("/v1/**/x/**", "a template can have only one **"),
        ("/v1/{a=**}/{b=**}", "a template can have only one **"),
        ("/v1:", "column 5: expected a verb"),
        ("/v1:a:b", "column 6: unexpected ':'"),
        ("/v1:a/b", "column 6: unexpected '/'"),
        ("/v1/a b", "column 6: unexpected ' '"),
        ("/v1/%zz", "column 5: expected a segment"),
        ("/v1/%ff", "not UTF-8"),
        ("/v1/{1a}", "expected a field path"),
        ("/v1/{a..b}", "expected }"),
        ("/v1?x", "unexpected '?'"),
    ],
)
def test_anything_else_is_refused_with_its_column(text: str, says: str) -> None:
    with pytest.raises(TemplateError) as raised:
        parse_template(text)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    "text",
    ["/v1", "/{a}", "/v1/{n=s/*/b/*}:go", "/{a=**}", "/a/{x=b/**}/c/{y}", "/*/**:v", "/a%2Fb%3Ac"],
)
def test_printing_gives_the_text_back(text: str) -> None:
    assert str(parse_template(text)) == text


def test_segments_behind_a_deep_wildcard_are_told() -> None:
    assert parse_template("/{p=a/**}/{c}").deep_inside
    assert not parse_template("/a/{p=**}:v").deep_inside


@pytest.mark.parametrize(
    ("template", "value", "path"),
    [
        ("/v1/{name=operations/**}", "operations/7", "/v1/operations/7"),
        ("/v1/{name=operations/**}", "operations/a/b c", "/v1/operations/a/b%20c"),
        ("/v1/{name=operations/*}:get", "operations/7", "/v1/operations/7:get"),
        ("/v1/{name=a/*/operations/*}/x", "a/1/operations/2", "/v1/a/1/operations/2/x"),
        ("/v1/{name}", "7\r\nX: y", "/v1/7%0D%0AX%3A%20y"),
        ("/v1/{name}", "a/b", None),
        ("/v1/{name=operations/**}", "jobs/7", None),
        ("/v1/{name=operations/*}", "operations/7/8", None),
        ("/v1/{name=operations/**}", "operations/../7", None),
        ("/v1/{name=operations/**}", "operations//7", None),
        ("/v1/{name=operations/**}", "", None),
        ("/v1/*/{name}", "7", None),
        ("/v1/{a}/{b}", "7", None),
        ("/v1/operations", "7", None),
    ],
)
def test_a_path_is_made_for_the_value_of_its_variable(
    template: str, value: str, path: str | None
) -> None:
    assert parse_template(template).path_with(value) == path

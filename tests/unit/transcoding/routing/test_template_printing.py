"""A template prints canonically, and what is refused is refused at its column."""

import pytest

from gateway.transcoding.routing.template import Literal, Template, TemplateError, parse_template


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        pytest.param("/{a=*}", "/{a}", id="a plain variable"),
        pytest.param("/café", "/caf%C3%A9", id="raw characters are escaped"),
        pytest.param("/caf%c3%a9", "/caf%C3%A9", id="escapes in upper case"),
        pytest.param("/%61", "/a", id="needless escapes go"),
        pytest.param("/%2A", "/%2A", id="an escaped star is no wildcard"),
        pytest.param("/%7Ba%7D", "/%7Ba%7D", id="escaped braces are no variable"),
        pytest.param("/a%25b", "/a%25b", id="a percent"),
        pytest.param("/{a=x%2Fy/*}:v%3Aw", "/{a=x%2Fy/*}:v%3Aw", id="in variables and verbs"),
        pytest.param("/v1/a@b;c=d,e!$&'()+~", "/v1/a@b;c=d,e!$&'()+~", id="all a segment may have"),
    ],
)
def test_one_template_has_one_spelling(text: str, printed: str) -> None:
    assert str(parse_template(text)) == printed
    assert parse_template(printed) == parse_template(text)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        pytest.param("/v1/**/x/**", 10, id="the second deep wildcard"),
        pytest.param("/v1/{a=**}/{b=x/**}", 17, id="the second, in a variable"),
        pytest.param("/v1/{a}/{a}", 10, id="a variable again"),
        pytest.param("/v1/x/%ff", 7, id="a literal that is not UTF-8"),
        pytest.param("/v1/x/\ud800", 7, id="a lone surrogate"),
        pytest.param("/v1/./x", 5, id="a dot segment"),
        pytest.param("/v1/..", 5, id="two dots"),
        pytest.param("/v1/%2e%2E", 5, id="escaped dots"),
        pytest.param("/v1/{a=x/../*}", 10, id="dots in a variable"),
        pytest.param("/v1/{a=x:y}", 9, id="a verb in a variable"),
        pytest.param("/v1/{a=}", 8, id="an empty pattern"),
        pytest.param("/v1/{a=x/}", 10, id="an empty segment in a pattern"),
        pytest.param("/v1/}", 5, id="a brace that closes nothing"),
        pytest.param("/v1/{a b}", 7, id="a space in a field path"),
        pytest.param("/v1/{a.}", 7, id="a field path that ends in a dot"),
        pytest.param("/v1/a%2", 6, id="an escape cut short"),
        pytest.param("/v1#x", 4, id="a fragment"),
        pytest.param(" /v1", 1, id="a space in front"),
        pytest.param("/v1\n", 4, id="a line end behind"),
    ],
)
def test_a_refusal_points_at_its_column(text: str, column: int) -> None:
    with pytest.raises(TemplateError, match=rf"column {column}: "):
        parse_template(text)


@pytest.mark.parametrize(
    ("text", "many"),
    [
        ("/{a}", False),
        ("/{a=x}", False),
        ("/{a=x/*}", True),
        ("/{a=*/*}", True),
        ("/{a=**}", True),
        ("/{a=**/x}", True),
    ],
)
def test_a_variable_over_many_segments_knows_it(text: str, many: bool) -> None:
    assert parse_template(text).variables[0].many_segments is many


@pytest.mark.parametrize(
    ("text", "deep_at"), [("/a/*", None), ("/**", 0), ("/a/{b=c/**}:v", 2), ("/{a=**/x}/y", 0)]
)
def test_a_template_knows_where_its_deep_wildcard_stands(text: str, deep_at: int | None) -> None:
    assert parse_template(text).deep_at == deep_at


def test_dots_within_a_literal_are_text() -> None:
    assert parse_template("/.well-known/...") == Template(
        (Literal(".well-known"), Literal("...")), ()
    )


def test_templates_are_values() -> None:
    template = parse_template("/v1/{a=s/*}:go")
    assert hash(template) == hash(parse_template("/v1/{a=s/%2A}:go".replace("%2A", "*")))
    with pytest.raises(AttributeError):
        template.verb = "x"  # type: ignore[misc]

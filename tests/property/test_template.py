"""Any template prints to a text that parses to it; any text parses or is refused, no more."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.transcoding.routing.template import (
    DeepWildcard,
    Literal,
    Segment,
    Template,
    TemplateError,
    Variable,
    Wildcard,
    parse_template,
)

literal_texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6).filter(
    lambda text: text not in (".", "..")
)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,3}(\.[a-z_]{1,3})?", fullmatch=True)


@st.composite
def templates(draw: st.DrawFn) -> Template:
    """Any template the grammar has: shallow segments, maybe one `**`, variables over runs of it."""
    shallow = st.one_of(st.builds(Literal, literal_texts), st.just(Wildcard()))
    segments: list[Segment] = list(draw(st.lists(shallow, min_size=1, max_size=6)))
    deep_at = draw(st.none() | st.integers(0, len(segments) - 1))
    if deep_at is not None:
        segments[deep_at] = DeepWildcard()
    cuts = sorted(draw(st.sets(st.integers(0, len(segments)), max_size=6)))
    fields = draw(st.lists(names, min_size=len(cuts), max_size=len(cuts), unique=True))
    variables = tuple(
        Variable(field, start, end, end - start > 1 or start == deep_at)
        for field, start, end in zip(fields, cuts, cuts[1:], strict=False)
        if draw(st.booleans())
    )
    return Template(tuple(segments), variables, draw(st.just("") | literal_texts))


@given(templates())
def test_a_printed_template_parses_to_itself(template: Template) -> None:
    assert parse_template(str(template)) == template


@given(st.text() | st.text("/*{}=.:ab%2F_", max_size=20))
def test_any_text_is_a_template_or_refused_with_a_column(text: str) -> None:
    outcome: Template | TemplateError
    try:
        outcome = parse_template(text)
    except TemplateError as error:
        outcome = error
    if isinstance(outcome, TemplateError):
        assert ", column " in str(outcome)
        assert str(outcome).isprintable()
    else:
        assert parse_template(str(outcome)) == outcome
        assert str(outcome).isascii()

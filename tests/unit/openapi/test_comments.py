"""Comments become texts without what is for authors and tools."""

import pytest

from gateway.openapi.comments import Texts, clean


@pytest.mark.parametrize(
    ("comment", "text"),
    [
        (" One.\n Two.\n", "One.\nTwo."),
        (" A [Book][a.b.Book] and [Shelf][].\n", "A Book and Shelf."),
        (" One. (-- not\n for you --)\n", "One."),
        (" buf:lint:ignore X\n One.\n @exclude y\n", "One."),
        ("   code\n", "code"),
        (" a\n   - b\n", "a\n  - b"),
        (" a\n\n buf:lint:ignore X\n\n b\n", "a\n\n\nb"),
        ("   * a\n   * b\n     c\n", "* a\n* b\n  c"),
        (" a  \n \n \t\n b\r\n c\n", "a\n\n\nb\nc"),
    ],
)
def test_a_comment_is_cleaned(comment: str, text: str) -> None:
    assert clean(comment) == text


def test_a_list_after_the_summary_stays_a_list() -> None:
    part = Texts({"s.Get": " Gets:\n\n   * a\n   * b\n     - c\n"}).summarize({}, "s.Get")
    assert part == {"summary": "Gets:", "description": "* a\n* b\n  - c"}


def test_a_summary_has_no_marks_of_code() -> None:
    part = Texts({"p.S.Get": "Gets `a`.\n\nNot `b`."}).summarize({}, "p.S.Get")
    assert part == {"summary": "Gets a.", "description": "Not `b`."}


def test_a_long_first_paragraph_is_no_summary() -> None:
    part = Texts({"s.Get": " " + "word " * 40}).summarize({}, "s.Get")
    assert part["summary"] == "Get"
    assert str(part["description"]).startswith("word word")


def test_an_element_without_a_comment_has_no_text() -> None:
    assert Texts({}).describe({}, "m") == {}

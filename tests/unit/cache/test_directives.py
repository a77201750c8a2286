"""Cache-Control as it is read, also where it is malformed."""

import pytest

from gateway.cache.directives import MOST_S, parse_directives, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        (" , ,", {}),
        ("no-store", {"no-store": ""}),
        ("Public, MAX-AGE=5", {"public": "", "max-age": "5"}),
        ('max-age="5" , private="a, b"', {"max-age": "5", "private": "a, b"}),
        (r'x="a\"b", no-cache', {"x": 'a"b', "no-cache": ""}),
        ("max-age=1, max-age=1", {"max-age": "1"}),
        ("max-age=1, max-age=2", {"max-age": "0"}),
        ('max-age=60, "', {"max-age": "60", "no-store": ""}),
        ('x="unclosed', {"x": "", "no-store": ""}),
        ("max-age=60 junk, public", {"max-age": "60", "public": ""}),
        ("x" * 9000, {"no-store": ""}),
    ],
)
def test_directives(text: str, expected: dict[str, str]) -> None:
    assert parse_directives([text]) == expected


def test_lines_are_one_list() -> None:
    assert parse_directives(["max-age=1", "no-store"]) == {"max-age": "1", "no-store": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max-age=007", 7),
        ("max-age=99999999999999999999", MOST_S),
        ("max-age=-1", 0),
        ("max-age=1.5", 0),
        ("max-age=", 0),
        ("max-age", 0),
        ("max-age=\u0663", 0),
        ("public", None),
    ],
)
def test_seconds(text: str, expected: int | None) -> None:
    assert seconds(parse_directives([text]), "max-age") == expected

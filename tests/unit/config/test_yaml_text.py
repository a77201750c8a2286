"""YAML as settings are read from it: 1.2's words, each key once, bounded, with lines."""

from typing import Any

import pytest

from gateway.config.yaml_text import MAX_LEVELS, YamlError, read_yaml, resolved


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("off", "off"),
        ("on", "on"),
        ("yes", "yes"),
        ("no", "no"),
        ("y", "y"),
        ("12:30", "12:30"),
        ("2001-01-01", "2001-01-01"),
        ("1_000", "1_000"),
        ("~", None),
        ("", None),
        ("null", None),
        ("true", True),
        ("FALSE", False),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("-7", -7),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("'true'", "true"),
        ('"7"', "7"),
        ("!!str 7", "7"),
        ("!!int 7", 7),
        ("[a, ~]", ["a", None]),
        ("{on: 1, 7: off}", {"on": 1, "7": "off"}),
        ("{a: &a {b: 1, c: 2}, d: {<<: *a, c: 3}}", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    found = resolved(read_yaml(text).value)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        pytest.param("a: 1\nb: 2\na: 3", 3, "a appears twice, first in line 1", id="twice"),
        pytest.param("x:\n  a: 1\n  'a': 3", 3, "a appears twice", id="twice, below"),
        pytest.param("\n!!int x", 2, "the tag !!int does not fit", id="not of its tag"),
        pytest.param("a: !!binary eA==", 1, "is not supported here", id="a tag"),
        pytest.param("a: !!python/name:os.system x", 1, "is not supported here", id="code"),
        pytest.param("[" * 20_000, 1, f"deeper than {MAX_LEVELS}", id="deep lists"),
        pytest.param("- " * 3_000 + "a", 1, f"deeper than {MAX_LEVELS}", id="deep blocks"),
        pytest.param("{a: " * 3_000, 1, f"deeper than {MAX_LEVELS}", id="deep maps"),
        pytest.param("a: &a [*a]", 1, "inside its own anchor", id="an alias of itself"),
        pytest.param("a: &a {<<: *a}", 1, "inside its own anchor", id="merged into itself"),
        pytest.param("? [a]\n: b", 1, "a key must be text", id="a list as key"),
        pytest.param('a: "\\0"', 1, "an invalid character", id="NUL"),
        pytest.param('a:\n  "\\ud800": 1', 2, "an invalid character", id="half a character"),
        pytest.param(
            "a: 1\n\x01", 2, "a character that YAML does not allow", id="control character"
        ),
        pytest.param("a: 1\n---\nb: 2", 2, "a second document", id="two documents"),
        pytest.param("listen: [::1]:80", 1, "in quotes", id="an address in brackets"),
        pytest.param("services: *", 1, "put text that begins with * in quotes", id="star"),
        pytest.param("a: 1\n\tb: 2", 2, "use spaces for indentation", id="tab"),
        pytest.param("a: b: c", 1, "contains a colon and a space", id="two colons"),
        pytest.param("a: 'b", 1, "does not end", id="open quotes"),
    ],
)
def test_what_is_not_read_is_refused_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(YamlError) as raised:
        read_yaml(text)
    assert raised.value.line == line
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_aliases_that_multiply_are_bounded() -> None:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    with pytest.raises(YamlError, match="more than 100000 values"):
        read_yaml("a0: &a0 x\n" + levels)
    chain = "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 3000))
    with pytest.raises(YamlError, match=f"deeper than {MAX_LEVELS}"):
        read_yaml("a0: &a0 x\n" + chain)


def test_each_value_has_the_line_of_its_key() -> None:
    places = read_yaml("a:\n  b:\n  - c\n  - d: 1\n").places
    assert places["a", "b"].line == 2
    assert places["a", "b", 1, "d"].line == 4

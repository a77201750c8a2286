"""The code does the same with each version of Python that the gateway runs on."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

from gateway.transcoding import repeats

ROOT = Path(__file__).parents[2]
BY_VERSION = {"_PATH", "_PLAIN_PATH", "_TO_BRACKET", "_WHOLE"}
"""Made by `repeated`, which knows the versions."""


def has_nested(parsed: Any, *, within: bool = False) -> bool:
    """True if a possessive group of more than one character is within another one."""
    for operator, argument in parsed:
        is_group = operator is _constants.POSSESSIVE_REPEAT and not is_single(argument[2])
        if is_group and within:
            return True
        for part in parts(argument):
            if has_nested(part, within=within or is_group):
                return True
    return False


def is_single(parsed: Any) -> bool:
    singles = (_constants.LITERAL, _constants.NOT_LITERAL, _constants.IN, _constants.ANY)
    return len(parsed) == 1 and parsed[0][0] in singles


def parts(argument: Any) -> Iterator[Any]:
    """The patterns within the argument of an operator."""
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, tuple | list):
        for one in argument:
            yield from parts(one)


def patterns() -> Iterator[tuple[str, "re.Pattern[str] | re.Pattern[bytes]"]]:
    for file in sorted((ROOT / "gateway").rglob("*.py")):
        if "re.compile(" in file.read_text() and "new_project" not in file.parts:
            module = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
            for name, value in vars(module).items():
                if isinstance(value, re.Pattern):
                    yield name, value


def test_possessive_groups_within_possessive_groups_know_the_version() -> None:
    found = dict(patterns())
    assert found.keys() >= BY_VERSION
    nested = {
        name for name, one in found.items() if has_nested(_parser.parse(one.pattern, one.flags))
    }
    assert nested <= BY_VERSION
    assert has_nested(_parser.parse(r"(?:a(?:bc)*+)*+"))


def test_repeated_groups_match_the_same_in_all_versions() -> None:
    pattern = re.compile(repeats.repeated(rf'[^"]++|"{repeats.repeated("bc")}"') + '"?')
    assert [one.end() for one in map(pattern.match, ('a"bcbc"', 'a"bc', '""a')) if one] == [7, 2, 3]


def test_nothing_is_raised_where_a_group_is_handled() -> None:
    """Python 3.11.2 raises a group instead of an exception that an `except*` raises."""
    raising = [
        f"{file}:{handled.lineno}"
        for file in sorted((ROOT / "gateway").rglob("*.py"))
        for handled in ast.walk(ast.parse(file.read_text()))
        if isinstance(handled, ast.TryStar)
        for handler in handled.handlers
        if any(isinstance(node, ast.Raise) for node in ast.walk(handler))
    ]
    assert not raising

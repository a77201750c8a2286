"""What a check of a JSON tree reports: each bad value with its path, in our words."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.status import FieldViolation, invalid_fields
from gateway.transcoding.json.text import Number, Tree
from gateway.transcoding.text_values import shown

MAX_VIOLATIONS = 20

At: TypeAlias = "tuple[At, str | int | tuple[str]] | None"
"""Where a value stands: the way to its parent, then a member, an index, or (a map's key,)."""


class _EnoughError(Exception):
    """So many violations that more would help nobody."""


@dataclass(slots=True)
class Report:
    """What a check found: violations, and whether the tree it returns is another than given."""

    violations: list[FieldViolation] = field(default_factory=list)
    changed: bool = False

    def add(self, at: At, description: str) -> None:
        """One more violation."""
        self.violations.append(FieldViolation(path_text(at), description))
        if len(self.violations) >= MAX_VIOLATIONS:
            raise _EnoughError


Check: TypeAlias = Callable[[Tree, At, Report], Tree]
"""Takes a value and where it stands, reports what is wrong with it, returns it with its repairs."""


def run(check: Check, tree: Tree, at: At = None) -> tuple[Tree, bool]:
    """The tree as the message wants it, and whether that is another than was given.

    Raises:
        StatusError: INVALID_ARGUMENT naming every bad field, up to a bound.
    """
    report = Report()
    with suppress(_EnoughError):
        tree = check(tree, at, report)
    if report.violations:
        raise invalid_fields(report.violations)
    return tree, report.changed


def path_text(at: At) -> str:
    """As people write it: `book.authors[2].birthYear`, `labels["k"]`."""
    steps: list[str] = []
    while at is not None:
        at, step = at
        if isinstance(step, str):
            steps += (_cut(step), "." if at else "")
        else:
            steps.append(f"[{step}]" if isinstance(step, int) else f"[{shown(step[0])}]")
    return "".join(reversed(steps))


def _cut(name: str) -> str:
    """A member's name, bare if it can be a field's, else quoted so that it can do no harm."""
    return name if re.fullmatch(r"[\w.\[\]@-]{1,64}", name) else shown(name)


def kind_of(tree: Tree) -> str:
    """What a value is, as an error may say it."""
    if isinstance(tree, tuple):
        return "an object"
    if isinstance(tree, list):
        return "an array"
    if type(tree) in (int, Number):
        return shown(str(tree))[1:-1]
    return shown(tree) if isinstance(tree, str) else json.dumps(tree)


def expect(what: str, tree: Tree, at: At, report: Report) -> Tree:
    """Reports that something else was expected than `tree`, and returns it all the same."""
    report.add(at, f"expected {what}, got {kind_of(tree)}")
    return tree

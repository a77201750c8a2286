"""Collects the errors of a check of a JSON tree: each invalid value with its path."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.status import FieldViolation, invalid_fields
from gateway.transcoding.json.text import Number, Tree
from gateway.transcoding.text_forms import shown

MAX_VIOLATIONS = 20

At: TypeAlias = "tuple[At, str | int | tuple[str]] | None"
"""The path to a value: the path of its parent, then a member, an index, or (a map's key,)."""


class _EnoughError(Exception):
    """The report has enough violations; more would not help."""


@dataclass(slots=True)
class Report:
    """The result of a check: the violations, and whether the check changed the tree."""

    violations: list[FieldViolation] = field(default_factory=list)
    changed: bool = False

    def add(self, at: At, description: str) -> None:
        """Adds a violation."""
        self.violations.append(FieldViolation(path_text(at), description))
        if len(self.violations) >= MAX_VIOLATIONS:
            raise _EnoughError


Check: TypeAlias = Callable[[Tree, At, Report], Tree]
"""Checks the value at a path, reports its errors, and returns it, rewritten if necessary."""


def run(check: Check, tree: Tree, at: At = None) -> tuple[Tree, bool]:
    """Runs a check; returns the rewritten tree, and whether it differs from the given one.

    Raises:
        StatusError: INVALID_ARGUMENT that names every invalid field, up to `MAX_VIOLATIONS`.
    """
    report = Report()
    with suppress(_EnoughError):
        tree = check(tree, at, report)
    if report.violations:
        raise invalid_fields(report.violations)
    return tree, report.changed


def path_text(at: At) -> str:
    """Formats a path for people: `book.authors[2].birthYear`, `labels["k"]`."""
    steps: list[str] = []
    while at is not None:
        at, step = at
        if isinstance(step, str):
            steps += (_safe_name(step), "." if at else "")
        else:
            steps.append(f"[{step}]" if isinstance(step, int) else f"[{shown(step[0])}]")
    return "".join(reversed(steps))


def _safe_name(name: str) -> str:
    """Formats a member's name: bare if it can be a field's, else quoted and made safe."""
    return name if re.fullmatch(r"[\w.\[\]@-]{1,64}", name) else shown(name)


def kind_of(tree: Tree) -> str:
    """Describes a value for an error message."""
    if isinstance(tree, tuple):
        return "an object"
    if isinstance(tree, list):
        return "an array"
    if type(tree) in (int, Number):
        return shown(str(tree))[1:-1]
    return shown(tree) if isinstance(tree, str) else json.dumps(tree)


def expect(what: str, tree: Tree, at: At, report: Report) -> Tree:
    """Reports that `what` was expected and not `tree`, and returns `tree`."""
    report.add(at, f"expected {what}, got {kind_of(tree)}")
    return tree

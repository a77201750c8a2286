"""OpenTelemetry's registry of semantic conventions, read from its own package."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from opentelemetry import semconv

_PLACES = ("_incubating/attributes", "_incubating/metrics", "attributes", "metrics")
"""Stable ones last: among the others they are only named again."""


@dataclass(frozen=True)
class Defined:
    """A name of the registry."""

    is_deprecated: bool
    instrument: str
    """`counter`, `gauge`, `histogram` or `updowncounter`; empty for an attribute."""
    unit: str


@cache
def registry() -> dict[str, Defined]:
    """All attributes and metrics by name."""
    (folder,) = semconv.__path__
    files = [file for place in _PLACES for file in sorted(Path(folder, place).glob("[a-z]*.py"))]
    return {name: defined for file in files for name, defined in _defined(file)}


def _defined(file: Path) -> Iterator[tuple[str, Defined]]:
    """The constants of a module with the texts that follow them; also those in a class."""
    body = ast.parse(file.read_text()).body
    classes = [one.body for one in body if isinstance(one, ast.ClassDef)]
    for statements in (body, *classes):
        for one, after in pairwise(statements):
            if not isinstance(one, ast.AnnAssign | ast.Assign):
                continue
            if isinstance(one.value, ast.Constant) and isinstance(after, ast.Expr):
                text = ast.literal_eval(after.value)
                yield (
                    str(one.value.value),
                    Defined("Deprecated:" in text, _said("Instrument", text), _said("Unit", text)),
                )


def _said(what: str, text: str) -> str:
    found = re.search(rf"^{what}: (.*)$", text, re.MULTILINE)
    return found[1].strip() if found else ""

"""Gives each setting its docstring as the description in schemas and pages.

A gateway that only starts does without: to find docstrings, sources are read, which takes a quarter
of the time in which the settings are imported.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from gateway.config.sections import Section, sections


@cache
def describe_settings() -> None:
    """Sets the descriptions of all sections that are imported."""
    for section in sections():
        for name, text in _docstrings(section):
            field = section.model_fields.get(name)
            if field is not None and field.description is None:
                field.description = text
    for section in sections():  # those that others consist of come first
        section.model_rebuild(force=True)


def _docstrings(section: type[Section]) -> Iterator[tuple[str, str]]:
    """Yields the name and the docstring of each field, those of the bases last."""
    for base in section.__mro__:
        if not issubclass(base, Section):
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        body = definition.body if isinstance(definition, ast.ClassDef) else []
        for field, after in pairwise(body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                yield field.target.id, inspect.cleandoc(after.value.value)

"""Words errors in settings: the place, the expected value, and an example."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.config.kinds import (
    Found,
    Kind,
    choices,
    example,
    expected,
    find,
    keys,
    paths_named,
    shown,
)
from gateway.config.similar import nearest
from gateway.config.yaml_text import Place, Steps

ENVIRONMENT, FLAGS = "environment", "flags"
PREFIX = "GATEWAY_"
_MAX_QUOTED = 40
"""The longest wrong value that is quoted: enough to find it."""
_FLAGS: Mapping[str, str] = {
    "modules": "--module",
    "upstreams": "--upstream",
    "services": "--service",
    "auth.store": "--store",
    "routing.on_conflict": "--on-conflict",
}
"""The flags whose names differ from those of their settings."""


@dataclass(frozen=True, slots=True)
class Layer:
    """The settings of one source."""

    name: str
    """The path of a file, `environment`, or `flags`."""
    values: Mapping[str, Any]
    places: Mapping[Steps, Place] = field(default_factory=dict)

    def reach(self, steps: Steps) -> int:
        """The number of steps of a path that this source has."""
        here: Any = self.values
        for number, step in enumerate(steps):
            try:
                here = here[step]
            except (KeyError, IndexError, TypeError):
                return number
        return len(steps)

    def where(self, steps: Steps) -> str:
        """The source, with the line if it has one."""
        for end in range(len(steps), 0, -1):
            place = self.places.get(steps[:end])
            if place is not None:
                return f"{self.name}: line {place.line}"
        return self.name


def error_lines(layers: Sequence[Layer], error: ValidationError) -> Iterator[str]:
    """Yields one line per error, with the source that has the invalid value."""
    found = [(find(problem["loc"]), problem) for problem in error.errors(include_url=False)]
    reported: set[str] = set()
    for at, problem in found:
        # Keep the deepest error: the validator reports every alternative of a value.
        if any(_is_deeper(other.steps, at.steps) for other, _ in found):
            continue
        line = _line(layers, at, problem)
        if at.steps and shown(at.steps) in reported:
            continue
        reported.add(shown(at.steps))
        yield line


def variable(steps: Steps) -> str:
    """Returns the environment variable of a setting; items of lists have that of the list."""
    names: list[str] = []
    for step in steps:
        if isinstance(step, int):
            break
        names.append(step.upper())
    return PREFIX + "__".join(names)


def _is_deeper(steps: Steps, than: Steps) -> bool:
    return len(steps) > len(than) and steps[: len(than)] == than


def _line(layers: Sequence[Layer], at: Found, problem: ErrorDetails) -> str:
    layer = _source(layers, at.steps)
    path = f"{shown(at.steps)}: " if at.steps else ""
    return f"{layer.where(at.steps)}: {path}{_reason(layer, at, problem)}"


def _source(layers: Sequence[Layer], steps: Steps) -> Layer:
    """Returns the last source that sets a path, or a part of it."""
    best, depth = Layer("settings", {}), 0
    for layer in layers:
        reached = layer.reach(steps)
        if (reached or not steps) and reached >= depth and layer.values:
            best, depth = layer, reached
    return best if steps else Layer("settings", {})


def _reason(layer: Layer, at: Found, problem: ErrorDetails) -> str:
    kind = problem["type"]
    if kind == "extra_forbidden":
        return _unknown_key(layer, at)
    if kind == "value_error":
        return str(problem.get("ctx", {}).get("error", "cannot be used"))
    hint = f"such as {_example(layer, at)}"
    if kind == "missing":
        return f"is missing: expected {expected(at.kind)}, {hint}"
    if at.is_key:
        return f"as a key, expected {expected(at.kind)}, such as {example(at.kind)}"
    if kind == "too_short":
        return f"expected one or more, {hint}"
    return f"expected {expected(at.kind)}, {hint}{_quoted(at.kind, problem['input'])}"


def _example(layer: Layer, at: Found) -> str:
    """Formats an example in the syntax of this source."""
    text = example(at.kind)
    has_index = any(isinstance(step, int) for step in at.steps)
    if layer.name == ENVIRONMENT and not has_index:
        quoted = f"'{text}'" if set(text) & set(" []{}*$&|;<>'\"") else text
        return f"{variable(at.steps)}={quoted}"
    if layer.name == FLAGS and not has_index:
        path = str(at.steps[0]) if at.steps[0] == "upstreams" else shown(at.steps)
        text = "library=localhost:50051" if path == "upstreams" else text
        return f"{_FLAGS.get(path, '--' + path.replace('_', '-'))} {text}"
    return text


def _quoted(kind: Kind, value: object) -> str:
    """Quotes the wrong value if it is short and cannot be a secret."""
    words = choices(kind)
    if value is None:
        return "; not null"
    if not isinstance(value, str | int | float):
        return ""
    near = nearest(str(value), words)
    if near:
        return f"; did you mean {near}?"
    is_number = any(one.annotation in (int, float, bool) for one in kind.alternatives)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"; not {text}" if (is_number or words) and len(text) <= _MAX_QUOTED else ""


def _unknown_key(layer: Layer, at: Found) -> str:
    key = str(at.steps[-1])
    hint = _suggestion(key, at.section)
    near = nearest(key, keys(at.section))
    if near and layer.name == ENVIRONMENT:
        hint += f" ({variable((*at.steps[:-1], near))})"
    return f"unknown key; {hint}"


def _suggestion(key: str, section: type[BaseModel]) -> str:
    known = keys(section)
    near = nearest(key, known)
    if near:
        return f"did you mean {near}?"
    other = next(paths_named(key), "")
    if other:
        return f"did you mean {other}?"
    return f"known here: {', '.join(known)}"

"""What is wrong with settings, in words: where it stands, what is right there, and an example."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.config.kinds import (
    Found,
    Kind,
    choices,
    elsewhere,
    example,
    expected,
    find,
    keys,
    shown,
)
from gateway.config.yaml_text import Place, Steps

ENVIRONMENT, FLAGS = "environment", "flags"
PREFIX = "GATEWAY_"
_MOST_SHOWN = 40
"""How much of a wrong value is shown: as much as one needs to find it."""
_FLAGS: Mapping[str, str] = {
    "modules": "--module",
    "upstreams": "--upstream",
    "services": "--service",
    "auth.store": "--store",
    "routing.on_conflict": "--on-conflict",
}
"""The flags that are not called as their settings."""


@dataclass(frozen=True, slots=True)
class Layer:
    """The settings of one source."""

    name: str
    """The path of a file, `environment`, or `flags`."""
    values: Mapping[str, Any]
    places: Mapping[Steps, Place] = field(default_factory=dict)

    def reach(self, steps: Steps) -> int:
        """How much of a path this source has."""
        here: Any = self.values
        for number, step in enumerate(steps):
            try:
                here = here[step]
            except (KeyError, IndexError, TypeError):
                return number
        return len(steps)

    def where(self, steps: Steps) -> str:
        """The source, and the line where it has one."""
        for end in range(len(steps), 0, -1):
            place = self.places.get(steps[:end])
            if place is not None:
                return f"{self.name}: line {place.line}"
        return self.name


def reasons(layers: Sequence[Layer], error: ValidationError) -> Iterator[str]:
    """A line for each thing that is wrong, by the source that says it."""
    found = [(find(problem["loc"]), problem) for problem in error.errors(include_url=False)]
    said: set[str] = set()
    for at, problem in found:
        # Of a value with alternatives each is complained of: the one that got furthest knows why.
        if any(_is_deeper(other.steps, at.steps) for other, _ in found):
            continue
        line = _line(layers, at, problem)
        if at.steps and shown(at.steps) in said:
            continue
        said.add(shown(at.steps))
        yield line


def variable(steps: Steps) -> str:
    """The environment variable of a setting: lists and what is in them have that of the list."""
    names: list[str] = []
    for step in steps:
        if isinstance(step, int):
            break
        names.append(step.upper())
    return PREFIX + "__".join(names)


def _is_deeper(steps: Steps, than: Steps) -> bool:
    return len(steps) > len(than) and steps[: len(than)] == than


def _line(layers: Sequence[Layer], at: Found, problem: ErrorDetails) -> str:
    layer = _origin(layers, at.steps)
    path = f"{shown(at.steps)}: " if at.steps else ""
    return f"{layer.where(at.steps)}: {path}{_reason(layer, at, problem)}"


def _origin(layers: Sequence[Layer], steps: Steps) -> Layer:
    """The last source that says something at a path, or on the way there."""
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
    such = f"such as {_written(layer, at)}"
    if kind == "missing":
        return f"is missing: expected {expected(at.kind)}, {such}"
    if at.is_key:
        return f"as a key, expected {expected(at.kind)}, such as {example(at.kind)}"
    if kind == "too_short":
        return f"expected one or more, {such}"
    return f"expected {expected(at.kind)}, {such}{_got(at.kind, problem['input'])}"


def _written(layer: Layer, at: Found) -> str:
    """An example as it is written in this source."""
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


def _got(kind: Kind, value: object) -> str:
    """The wrong value, where it is short and can be no secret."""
    words = choices(kind)
    if value is None:
        return "; not null"
    if not isinstance(value, str | int | float):
        return ""
    near = get_close_matches(str(value), words, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    is_number = any(one.annotation in (int, float, bool) for one in kind.alternatives)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"; not {text}" if (is_number or words) and len(text) <= _MOST_SHOWN else ""


def _unknown_key(layer: Layer, at: Found) -> str:
    key = str(at.steps[-1])
    hint = _meant(key, at.section)
    near = get_close_matches(key, keys(at.section), n=1)
    if near and layer.name == ENVIRONMENT:
        hint += f" ({variable((*at.steps[:-1], near[0]))})"
    return f"unknown key; {hint}"


def _meant(key: str, section: type[BaseModel]) -> str:
    known = keys(section)
    near = get_close_matches(key, known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    other = next(elsewhere(key), "")
    if other:
        return f"did you mean {other}?"
    return f"known here: {', '.join(known)}"

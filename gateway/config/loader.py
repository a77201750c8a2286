"""Settings from a YAML file, then the environment, then flags: the later one counts.

An environment variable names a setting by its path, in capitals, two underscores for a dot:
`GATEWAY_JSON__EMIT_UNSET=false`. Its value is read as YAML, so lists and maps can be written too.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.config.model import Config
from gateway.status import StartUpError

DEFAULT_FILE = Path("gateway.yaml")
PREFIX = "GATEWAY_"

Settings = dict[str, Any]


class ConfigError(StartUpError):
    """The configuration cannot be used; the text has a line for each reason."""


def load_config(
    file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]
) -> Config:
    """The configuration from `file` (or gateway.yaml if that exists), environment and flags.

    Raises:
        ConfigError: a key is unknown, a value is not of its type, or the file cannot be read.
    """
    file = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    layers: dict[str, Mapping[str, Any]] = {} if file is None else {str(file): _read_yaml(file)}
    layers |= {"environment": _from_environment(environment), "flags": flags}
    settings: Settings = {}
    for layer in layers.values():
        settings = _merge(settings, layer)
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(layers, error))) from None


def _read_yaml(file: Path) -> Settings:
    try:
        loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: is not UTF-8 text") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: is not YAML: {_yaml_problem(error)}") from None
    except RecursionError:
        raise ConfigError(f"{file}: is nested too deep") from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigError(f"{file}: expected settings by name at the top level")
    return loaded


def _yaml_problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return "it cannot be parsed"


def _from_environment(environment: Mapping[str, str]) -> Settings:
    settings: Settings = {}
    for name in sorted(environment):
        if not name.startswith(PREFIX):
            continue
        *parents, leaf = name.removeprefix(PREFIX).lower().split("__")
        section = settings
        for parent in parents:
            section = section.setdefault(parent, {})
            if not isinstance(section, dict):
                raise ConfigError(f"{name}: {parent} is set as a whole by another variable")
        section[leaf] = _environment_value(name, environment[name])
    return settings


def _environment_value(name: str, text: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: is not a YAML value: {_yaml_problem(error)}") from None
    except RecursionError:
        raise ConfigError(f"{name}: is nested too deep") from None


def _merge(below: Settings, above: Mapping[str, Any]) -> Settings:
    """`above` laid over `below`: sections are joined, everything else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, Mapping)
        merged[key] = _merge(old, value) if both and old is not None else value
    return merged


def _explain(layers: Mapping[str, Mapping[str, Any]], error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_context=True):
        path = ".".join(str(step) for step in problem["loc"])
        yield f"{_origin(layers, problem['loc'])}: {path}: {_reason(problem)}"


def _origin(layers: Mapping[str, Mapping[str, Any]], path: tuple[int | str, ...]) -> str:
    """The last source that says something at `path`, or on the way there."""
    best, depth = "settings", -1
    for name, layer in layers.items():
        reached, here = 0, layer
        for step in path:
            if not isinstance(here, Mapping) or step not in here:
                break
            reached, here = reached + 1, here[str(step)]
        if reached and reached >= depth:
            best, depth = name, reached
    return best


def _reason(problem: ErrorDetails) -> str:
    if problem["type"] != "extra_forbidden":
        text = problem["msg"]
        return text[:1].lower() + text[1:]
    *parents, key = [str(step) for step in problem["loc"]]
    known = _keys_at(parents)
    near = get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
    return f"unknown key; {hint}"


def _keys_at(path: list[str]) -> list[str]:
    """The setting names that exist in the section at `path`."""
    section: type[BaseModel] = Config
    for step in path:
        field = next(
            (f for name, f in section.model_fields.items() if step in (name, f.alias)), None
        )
        models = [] if field is None else list(_models(field.annotation))
        if models:
            section = models[0]
    return sorted(field.alias or name for name, field in section.model_fields.items())


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """The sections an annotation mentions: itself, or inside a union, tuple or dict."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)

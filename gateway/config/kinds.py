"""Describes settings: finds the setting at a path, its type, and words and examples for it.

The only source of text about the values of settings: the validator's text never reaches users.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from gateway.config.model import Config
from gateway.config.sections import Words
from gateway.config.yaml_text import Plain, Steps, core_value, resolved

# The words that YAML 1.1 reads as booleans (yaml.org/type/bool.html), in lower case.
_OFF = frozenset({"n", "no", "false", "off"})
_ON = frozenset({"y", "yes", "true", "on"})
_KEY = "[key]"
"""The validator's last step of a path that means the key of a map."""


@dataclass(frozen=True, slots=True)
class Kind:
    """The kind of a setting: its type, its limits, and its default."""

    annotation: Any
    metadata: Sequence[Any] = ()
    default: object = None

    @property
    def alternatives(self) -> list["Kind"]:
        """The possible types of a value, without null."""
        return list(_alternatives(self.annotation, self.metadata, self.default))

    @property
    def takes_text(self) -> bool:
        """True if text is accepted, so that `off` is text."""
        return any(map(_is_text, self.alternatives))

    @property
    def takes_text_alone(self) -> bool:
        """True if only text is accepted, and neither lists nor maps."""
        return all(map(_is_text, self.alternatives))


@dataclass(frozen=True, slots=True)
class Found:
    """A setting found in the model."""

    steps: Steps
    """The path, without the steps that the validator adds."""
    kind: Kind
    section: type[BaseModel]
    """The innermost section on the path."""
    is_key: bool = False
    """True if it is the key of a map, not the value."""


TOP = Kind(Config)


def find(path: Iterable[str | int]) -> Found:
    """Finds the setting at a path, or the nearest one on the way."""
    kind, outer, steps = TOP, TOP, list[str | int]()
    section: type[BaseModel] = Config
    for step in path:
        if step == _KEY:
            return Found(tuple(steps), _below(outer, _KEY) or kind, section, is_key=True)
        inner = _below(kind, step)
        if inner is None and _has_names(kind):
            return Found((*steps, step), kind, section)
        if inner is not None:
            kind, outer = inner, kind
            steps.append(step)
            section = next(_sections(kind), section)
        # Else skip the step: the validator adds the alternative that it tried.
    return Found(tuple(steps), kind, section)


def converted(kind: Kind, value: object) -> object:
    """Converts each plain scalar in a value to the type expected there: text, number, or null."""
    if isinstance(value, Plain):
        return _converted_scalar(kind, value)
    if isinstance(value, Mapping):
        return {key: _converted_at(kind, key, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_converted_at(kind, number, inner) for number, inner in enumerate(value)]
    return value


def expected(kind: Kind) -> str:
    """Describes the valid values of a setting: `a whole number greater than 0`."""
    for words in _words(kind.metadata):
        return words.expected
    return (
        " or ".join(dict.fromkeys(_words_for(one).expected for one in kind.alternatives))
        or "a value"
    )


def example(kind: Kind) -> str:
    """Returns a valid value, written in YAML."""
    for words in _words(kind.metadata):
        return words.example
    default = kind.default
    if isinstance(default, Enum):
        return str(default.value)
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, str | int | float) and default != "":
        return f"{default:g}" if isinstance(default, float) else str(default)
    return next((_words_for(one).example for one in kind.alternatives), "")


def choices(kind: Kind) -> list[str]:
    """The possible values of a setting that is one of several words."""
    found: list[str] = []
    for one in kind.alternatives:
        if get_origin(one.annotation) is Literal:
            found += map(str, get_args(one.annotation))
        elif _is(one.annotation, Enum):
            found += [str(member.value) for member in one.annotation]
    return found


def keys(section: type[BaseModel]) -> list[str]:
    """The names of the settings in a section."""
    return sorted(field.alias or name for name, field in section.model_fields.items())


def paths_named(name: str, section: type[BaseModel] = Config, prefix: str = "") -> Iterator[str]:
    """Yields the paths of the settings with this name; lists have `[]`."""
    for own, field in section.model_fields.items():
        path = f"{prefix}{field.alias or own}"
        if name == (field.alias or own):
            yield path
        kind = Kind(field.annotation)
        shapes = {dict: ".<name>", tuple: "[]"}
        shape = next((shapes.get(get_origin(a.annotation), "") for a in kind.alternatives), "")
        for inner in _sections(kind):
            yield from paths_named(name, inner, f"{path}{shape}.")


def shown(path: Iterable[str | int]) -> str:
    """Formats a path for people: `policies[0].selector`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def _alternatives(annotation: Any, metadata: Sequence[Any], default: object) -> Iterator[Kind]:
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        flat = [m for one in more for m in (getattr(one, "metadata", None) or [one])]
        yield from _alternatives(inner, [*metadata, *flat], default)
    elif origin in (Union, UnionType):
        for one in get_args(annotation):
            if one is not NoneType:
                yield from _alternatives(one, metadata, default)
    else:
        yield Kind(annotation, metadata, default)


def _below(kind: Kind, step: str | int) -> Kind | None:
    for one in kind.alternatives:
        origin, arguments = get_origin(one.annotation), get_args(one.annotation)
        if _is(one.annotation, BaseModel):
            for name, field in one.annotation.model_fields.items():
                if step in (field.alias or name, name):
                    default = None if field.is_required() else field.default
                    return Kind(field.annotation, field.metadata, default)
        elif origin is dict:
            return Kind(arguments[0] if step == _KEY else arguments[1])
        elif origin is tuple and isinstance(step, int):
            return Kind(arguments[0])
        elif one.annotation is Any:
            return one
    return None


def _has_names(kind: Kind) -> bool:
    return any(_is(one.annotation, BaseModel) for one in kind.alternatives)


def _sections(kind: Kind) -> Iterator[type[BaseModel]]:
    """Yields the sections of a kind: itself, or those in a list or map."""
    for one in kind.alternatives:
        if _is(one.annotation, BaseModel):
            yield one.annotation
        elif get_origin(one.annotation) in (dict, tuple):
            for argument in get_args(one.annotation):
                if argument is not Ellipsis:
                    yield from _sections(Kind(argument))


def _converted_at(kind: Kind, step: str | int, value: object) -> object:
    inner = _below(kind, step)
    # An unknown setting is rejected by its name, so its content does not matter.
    return resolved(value) if inner is None else converted(inner, value)


def _converted_scalar(kind: Kind, text: Plain) -> object:
    value = core_value(text)
    if value is None:
        return None
    if "off" in choices(kind) and text.lower() in _OFF | _ON:
        # Programs that rewrite YAML 1.1 turn `off` into `false`: never take it for a file's name.
        return "off" if text.lower() in _OFF else True
    if kind.takes_text or any(one.annotation is bool for one in kind.alternatives):
        # Keep text: the validator reads true and false, and also yes, no, on and off, as YAML 1.1.
        return str(text)
    return value if isinstance(value, int | float | bool) else str(text)


def _is(annotation: Any, kind: type) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, kind)


def _is_text(kind: Kind) -> bool:
    annotation = kind.annotation
    return annotation in (str, Path) or _is(annotation, Enum) or get_origin(annotation) is Literal


def _words(metadata: Iterable[Any]) -> Iterator[Words]:
    return (one for one in metadata if isinstance(one, Words))


def _words_for(kind: Kind) -> Words:
    """Describes the values of a kind with one alternative."""
    for words in _words(kind.metadata):
        return words
    annotation, arguments = kind.annotation, get_args(kind.annotation)
    origin = get_origin(annotation)
    if origin is tuple:
        item = Kind(arguments[0])
        return Words(f"a list, each {expected(item)}", f"[{example(item)}]")
    if origin is dict:
        item = Kind(arguments[1])
        return Words(f"a map, each value {expected(item)}", f"{{name: {example(item)}}}")
    if origin is Literal or _is(annotation, Enum):
        return Words(f"one of {', '.join(choices(kind))}", choices(kind)[0])
    if _is(annotation, BaseModel):
        return Words("a section of settings", _section_example(annotation))
    if annotation in (int, float):
        number = "a whole number" if annotation is int else "a number"
        least = [one.ge for one in kind.metadata if getattr(one, "ge", None)]
        return Words(f"{number}{_bounds(kind.metadata)}", str(max([1, *least])))
    return _SIMPLE.get(annotation, Words("a value", "some-text"))


_SIMPLE: Final = {
    bool: Words("true or false", "true"),
    str: Words("text", "some-text"),
    Path: Words("a file", "/etc/gateway/file.pem"),
}


def _bounds(metadata: Iterable[Any]) -> str:
    limits = {
        name: getattr(one, name)
        for one in metadata
        for name in ("gt", "ge", "lt", "le")
        if getattr(one, name, None) is not None
    }
    words = []
    if "gt" in limits:
        words.append(f"greater than {limits['gt']}")
    if "ge" in limits:
        words.append(f"of {limits['ge']} or more")
    if "lt" in limits:
        words.append(f"less than {limits['lt']}")
    if "le" in limits:
        words.append(f"at most {limits['le']}")
    return f" {' and '.join(words)}" if words else ""


def _section_example(section: type[BaseModel]) -> str:
    fields = section.model_fields.items()
    needed = [pair for pair in fields if pair[1].is_required()] or list(fields)[:1]
    pairs = [(f.alias or name, Kind(f.annotation, f.metadata, f.default)) for name, f in needed]
    return f"{{{', '.join(f'{name}: {example(inner)}' for name, inner in pairs)}}}"

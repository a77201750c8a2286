"""Path templates as OpenAPI writes them, where each parameter is one segment.

A variable with a pattern becomes one parameter for each wildcard: `{name=shelves/*/books/*}` is
`/shelves/{shelf}/books/{book}`. The names are those of a resource with this pattern
(`google.api.resource`, AIP-123), else the singular of the literal before.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from google.api import resource_pb2
from google.protobuf.descriptor import FileDescriptor

from gateway.schema.field_behavior import behavior
from gateway.transcoding.binding import Binding, FieldPath, Method
from gateway.transcoding.routing.template import DeepWildcard, Literal, Segment, Variable

_RESOURCE: Final[Any] = resource_pb2.resource
_PATTERN_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*")

ResourceNames = Mapping[str, Sequence[str]]
"""The names of the wildcards in a pattern, by the pattern: `shelves/*/books/*`."""


@dataclass(frozen=True, slots=True)
class PathParameter:
    """One wildcard of a template."""

    name: str
    field: FieldPath | None
    """The field that it sets alone; None if it is a part of a variable, or of none."""
    of: str
    """The variable that it is a part of, with its pattern; empty for none."""
    is_deep: bool
    """True for `**`, which matches any number of segments."""
    example: str = ""
    """The part of the field's example that it captures, or one made from its name; empty for
    none."""


@dataclass(frozen=True, slots=True)
class OpenApiPath:
    """A template in OpenAPI's form."""

    text: str
    parameters: tuple[PathParameter, ...]
    shape: str
    """The path without the names of parameters: two paths of one shape are the same."""


def resource_names(methods: Iterable[Method]) -> ResourceNames:
    """Collects the patterns of resources in the files of the methods' types, and their parents."""
    files: dict[str, FileDescriptor] = {}
    for method in methods:
        for message in (method.input, method.output):
            files.setdefault(message.file.name, message.file)
    found: dict[str, Sequence[str]] = {}
    for file in files.values():
        for pattern in _patterns(file):
            segments = pattern.split("/")
            names: list[str] = []
            for end, segment in enumerate(segments, 1):
                variable = _PATTERN_VARIABLE.fullmatch(segment)
                if variable is not None:
                    names.append(variable[1])
                    shape = "/".join(_PATTERN_VARIABLE.sub("*", one) for one in segments[:end])
                    found.setdefault(shape, tuple(names))
    return found


def _patterns(file: FileDescriptor) -> Iterator[str]:
    for message in file.message_types_by_name.values():
        if message.has_options:
            options: Any = message.GetOptions()
            yield from options.Extensions[_RESOURCE].pattern


def openapi_path(binding: Binding, names: ResourceNames) -> OpenApiPath:
    """Writes the template of a binding in OpenAPI's form."""
    template = binding.template
    parts: list[str] = []
    shape: list[str] = []
    found: list[PathParameter] = []
    taken: set[str] = set()
    position = 0

    def add(segments: Sequence[Segment], variable: Variable | None, field: FieldPath) -> None:
        texts = [_text(segment) for segment in segments]
        pattern = "/".join(texts)
        wanted = _wildcard_names(segments, variable, names.get(pattern))
        examples = _example_parts(segments, field)
        if pattern in names and not any(examples):
            # As a resource of this pattern could be called: shelves/shelf-1.
            examples = _made_parts(segments, wanted)
        for segment, text, example in zip(segments, texts, examples, strict=True):
            if isinstance(segment, Literal):
                parts.append(text)
                shape.append(text)
                continue
            name = _free(wanted.pop(0), taken)
            parts.append(f"{{{name}}}")
            shape.append("{}")
            is_whole = variable is not None and len(segments) == 1
            of = f"{variable.field_path}={pattern}" if variable and not is_whole else ""
            is_deep = isinstance(segment, DeepWildcard)
            found.append(PathParameter(name, field if is_whole else None, of, is_deep, example))

    for variable, field in zip(template.variables, binding.variables, strict=True):
        add(template.segments[position : variable.start], None, field)
        add(template.segments[variable.start : variable.end], variable, field)
        position = variable.end
    if position < len(template.segments):
        add(template.segments[position:], None, FieldPath(()))
    verb = f":{Literal(template.verb)}" if template.verb else ""
    text = f"/{'/'.join(parts)}{verb}"
    return OpenApiPath(text, tuple(found), f"/{'/'.join(shape)}{verb}")


# Few literals are in most of the paths of an API.
_text = lru_cache(maxsize=4096)(str)


def _example_parts(segments: Sequence[Segment], field: FieldPath) -> list[str]:
    """The part of the field's example for each segment; all empty if it does not fit them."""
    example = behavior(field.leaf).example if field.fields else ""
    parts = example.split("/", len(segments) - 1) if example else []
    if len(parts) != len(segments):
        return [""] * len(segments)
    for segment, part in zip(segments, parts, strict=True):
        is_same = part == segment.text if isinstance(segment, Literal) else part
        if not is_same or ("/" in part and not isinstance(segment, DeepWildcard)):
            return [""] * len(segments)
    return parts


def _made_parts(segments: Sequence[Segment], names: Sequence[str]) -> list[str]:
    """An example for each segment that is a wildcard, made from its name."""
    left = iter(names)
    return ["" if isinstance(one, Literal) else f"{next(left)}-1" for one in segments]


def _wildcard_names(
    segments: Sequence[Segment], variable: Variable | None, known: Sequence[str] | None
) -> list[str]:
    """The names of the wildcards among `segments`; `known` are those of a resource like them."""
    if variable is not None and len(segments) == 1:
        # Some tools, Spectral among them, see no parameter whose name has a dot.
        return [variable.field_path.replace(".", "_")]
    if known is not None:
        return list(known)
    other = "segment" if variable is None else variable.field_path.rpartition(".")[2]
    found: list[str] = []
    before: Segment | None = None
    for segment in segments:
        if not isinstance(segment, Literal):
            is_word = isinstance(before, Literal) and _WORD.fullmatch(before.text)
            found.append(_singular(before.text) if is_word and before else other)  # type: ignore[union-attr]
        before = segment
    return found


def _singular(plural: str) -> str:
    """The singular of an English plural, for the usual endings."""
    for ending, singular in (("ies", "y"), ("lves", "lf"), ("sses", "ss"), ("xes", "x")):
        if plural.endswith(ending) and len(plural) > len(ending) + 1:
            return plural.removesuffix(ending) + singular
    is_plural = plural.endswith("s") and not plural.endswith(("ss", "us", "is"))
    return plural[:-1] if is_plural and len(plural) > 1 else plural


def _free(wanted: str, taken: set[str]) -> str:
    number, name = 2, wanted
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    taken.add(name)
    return name

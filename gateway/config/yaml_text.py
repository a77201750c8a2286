"""Reads YAML: keeps scalars as written, rejects repeated keys, and records the line of each value.

The meaning of a plain scalar depends on its setting: `off` is text where text is expected. So it
stays text here (`Plain`), and `core_value` converts it by the core schema of YAML 1.2.2 (section
10.3).
"""

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

MAX_LEVELS = 50
"""The nesting limit of lists and maps: settings need ten, and reading is recursive."""
MAX_VALUES = 100_000
"""The limit of values in a text, with repetitions by aliases: few lines can name millions."""

Steps = tuple[str | int, ...]
"""The path to a value: keys of maps and indices of lists."""

_PLAIN = "plain"
_TAG = "tag:yaml.org,2002:"
_MERGE = "<<"
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL, _HEXADECIMAL = re.compile(r"0o[0-7]+"), re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
# Below the limit of int() (sys.get_int_max_str_digits), and far above any setting.
_MAX_DIGITS = 400
_EXPLANATIONS: Mapping[str, str] = {
    "mapping values are not allowed": "put text that contains a colon and a space in quotes",
    "cannot start any token": "use spaces for indentation, and put text that begins with "
    "one of @ ` % in quotes",
    "undefined alias": "no anchor has this name; put text that begins with * in quotes",
    "while scanning an alias": "put text that begins with * in quotes",
    "while scanning an anchor": "put text that begins with & in quotes",
    "could not find expected ':'": "a key without a colon after it",
    "expected <block end>": "it does not belong to the value before it: check the indentation, "
    "and put text that begins with [ or { in quotes",
    "expected ',' or ']'": "a list that begins with [ does not end with ]",
    "expected ',' or '}'": "a map that begins with { does not end with }",
    "expected the node content": "a value is missing, or a list or map before it does not end; "
    "put text that begins with [ or { in quotes",
    "single document": "a second document begins: a file can have only one, so remove --- and ...",
    "quoted scalar": "the text in quotes does not end, or has an escape that YAML does not have",
}


class Plain(str):
    """A scalar without quotes, as written."""

    __slots__ = ()


class YamlError(Exception):
    """A text is not valid YAML, or not accepted; the message has the line and the reason."""

    def __init__(self, problem: str, line: int, column: int = 0, *, syntax: bool = True) -> None:
        where = f"line {line}, column {column}" if column else f"line {line}"
        super().__init__(f"{where}: {problem}")
        self.problem = problem
        self.line = line
        self.syntax = syntax
        """True if it is not valid YAML."""


class Place(NamedTuple):
    """The place of a value."""

    line: int
    """The line of its key, or of its beginning if it has no key."""


@dataclass(frozen=True, slots=True)
class Document:
    """The content of a text: dicts, lists, `Plain`, and str for text in quotes."""

    value: object
    places: Mapping[Steps, Place]


def read_yaml(text: str) -> Document:
    """Reads one document.

    Raises:
        YamlError: it cannot be read, nests too deep, repeats a key, or has a tag.
    """
    try:
        node = _Composer(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        raise YamlError(_explanation(error), line, column) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError("a character that YAML does not allow", line) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise YamlError("it cannot be read", 1) from None
    if node is None:
        return Document(None, {})
    builder = _Builder()
    return Document(builder.value(node, (), node.start_mark.line + 1), builder.places)


def core_value(text: str) -> bool | int | float | str | None:
    """Converts a plain scalar by the core schema of YAML 1.2.2."""
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if len(text) <= _MAX_DIGITS:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _OCTAL.fullmatch(text) or _HEXADECIMAL.fullmatch(text):
            return int(text, 0)
        if _FLOAT.fullmatch(text):
            return float(text)
        if _INFINITE.fullmatch(text):
            return float(text.replace(".", ""))
    return str(text)  # no longer `Plain`


def resolved(value: object) -> Any:
    """Converts each plain scalar in a value by the core schema."""
    if isinstance(value, dict):
        return {key: resolved(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolved(inner) for inner in value]
    return core_value(value) if isinstance(value, Plain) else value


class _Composer(yaml.BaseLoader):
    """Composes nodes; marks plain scalars, and limits the nesting."""

    levels = 0

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """Returns the tag of a node without one."""
        if kind is yaml.ScalarNode and implicit[0]:
            return _PLAIN
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Composes a node and all nodes below it."""
        if self.levels == MAX_LEVELS:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise YamlError(
                f"nested deeper than {MAX_LEVELS} levels", mark.line + 1, mark.column + 1
            )
        self.levels += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.levels -= 1


@dataclass(slots=True)
class _Builder:
    """Converts nodes to values."""

    places: dict[Steps, Place] = field(default_factory=dict)
    _open: set[int] = field(default_factory=set)
    _count: int = 0

    def value(self, node: yaml.Node, at: Steps, line: int) -> object:
        """Converts the node at the path `at`, whose key is in `line`."""
        self._count += 1
        if self._count > MAX_VALUES:
            raise _refused(node, f"more than {MAX_VALUES} values, with aliases expanded")
        if len(self._open) > MAX_LEVELS:  # by aliases
            raise _refused(node, f"nested deeper than {MAX_LEVELS} levels")
        if id(node) in self._open:
            raise _refused(node, "an alias is inside its own anchor")
        self.places[at] = Place(line)
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        self._open.add(id(node))
        try:
            return (
                self._map(node, at) if isinstance(node, yaml.MappingNode) else self._list(node, at)
            )
        finally:
            self._open.discard(id(node))

    def _list(self, node: yaml.Node, at: Steps) -> list[object]:
        _refuse_tag(node, "seq")
        return [
            self.value(item, (*at, number), item.start_mark.line + 1)
            for number, item in enumerate(node.value)
        ]

    def _map(self, node: yaml.MappingNode, at: Steps) -> dict[str, object]:
        _refuse_tag(node, "map")
        found: dict[str, object] = {}
        lines: dict[Hashable, int] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _refused(key_node, "a key must be text, not a list or map")
            key, line = str(_scalar(key_node, is_key=True)), key_node.start_mark.line + 1
            if key in lines:
                raise _refused(key_node, f"{key} appears twice, first in line {lines[key]}")
            lines[key] = line
            if key == _MERGE and key_node.tag == _PLAIN:
                merged += _merged(value_node)
            else:
                found[key] = self.value(value_node, (*at, key), line)
        for one in merged:
            for key, inner in self._merge(one, at).items():
                found.setdefault(key, inner)
        return found

    def _merge(self, node: yaml.Node, at: Steps) -> dict[str, object]:
        """Returns the members of a map that is merged with `<<` (yaml.org/type/merge.html)."""
        below = _Builder(_open=self._open, _count=self._count)
        value = below.value(node, at, node.start_mark.line + 1)
        self._count = below._count
        for steps, place in below.places.items():
            self.places.setdefault(steps, place)
        assert isinstance(value, dict)  # noqa: S101 - `_merged` gives maps alone
        return value


def _merged(node: yaml.Node) -> list[yaml.Node]:
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    for one in nodes:
        if not isinstance(one, yaml.MappingNode):
            raise _refused(one, "<< takes a map, or a list of maps")
    return list(nodes)


def _scalar(node: yaml.ScalarNode, *, is_key: bool = False) -> str:
    text = str(node.value)
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise _refused(node, "text with an invalid character (NUL, or half of a surrogate pair)")
    if node.tag == _PLAIN:
        return Plain(text)
    kind = node.tag.removeprefix(_TAG)
    if kind == "str":
        return text
    is_right = {
        "null": lambda value: value is None,
        "bool": lambda value: isinstance(value, bool),
        "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
        "float": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    }.get(kind)
    if is_key or is_right is None:
        raise _refused(node, _unsupported_tag(node))
    if not is_right(core_value(text)):
        raise _refused(node, f"the tag {_shown(node)} does not fit its value")
    return Plain(text)


def _refuse_tag(node: yaml.Node, only: str) -> None:
    if node.tag != _TAG + only:
        raise _refused(node, _unsupported_tag(node))


def _unsupported_tag(node: yaml.Node) -> str:
    return f"the tag {_shown(node)} is not supported here: write the value without it"


def _shown(node: yaml.Node) -> str:
    return ascii(str(node.tag).replace(_TAG, "!!"))[1:41].rstrip("'")


def _refused(node: yaml.Node, problem: str) -> YamlError:
    mark = node.start_mark
    return YamlError(problem, mark.line + 1, syntax=False)


def _explanation(error: yaml.MarkedYAMLError) -> str:
    text = f"{error.context or ''} {error.problem or ''}"
    default = "it ends the value before it, or should be in quotes"
    return next(
        (text_for_users for pattern, text_for_users in _EXPLANATIONS.items() if pattern in text),
        default,
    )

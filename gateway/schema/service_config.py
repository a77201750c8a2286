"""google.api.Service YAML: HTTP rules outside the protos, which override annotations.

Only the HTTP part is read: `http.rules` and `http.fully_decode_reserved_expansion`
(google/api/service.proto, http.proto). Other sections of a service config are ignored.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from google.api import http_pb2
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.schema.catalog import HttpRule, SchemaError, Source, flatten


class _LineLoader(yaml.SafeLoader):
    """A safe loader that records the line of each mapping and rejects repeated keys."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
        """The value of a node. Rejects a value that does not match the type of its tag or form."""
        try:
            return super().construct_object(node, deep)
        except (AttributeError, KeyError, ValueError):
            raise yaml.MarkedYAMLError(
                problem="the value does not match its type; put text in quotes",
                problem_mark=node.start_mark,
            ) from None


_LINE = "__line__"
_ANYWHERE = Source("")
_FULLY_DECODE = "fully_decode_reserved_expansion"
_METHOD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)+")


def _mapping(loader: _LineLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    _refuse_repeated(node)
    mapping: dict[Any, Any] = loader.construct_mapping(node, deep=True)
    mapping[_LINE] = node.start_mark.line + 1
    return mapping


def _refuse_repeated(node: yaml.MappingNode) -> None:
    # Reject repeated keys: additional_bindings repeats in proto text, but in YAML only the last
    # one would count.
    seen: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value} appears twice", problem_mark=key.start_mark
                )
            seen.add(key.value)


_LineLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_service_config(path: Path) -> dict[str, tuple[HttpRule, ...]]:
    """The rules of a service-config file by selected method; the last rule of a method counts.

    Raises:
        SchemaError: the file is not such YAML, or a rule has keys that HttpRule does not have.
    """
    config = _load(path)
    http = config.get("http") or {}
    if not isinstance(http, dict) or not isinstance(http.get("rules") or [], list):
        raise SchemaError(f"{path}: http must be a mapping with a list of rules")
    for key in http:
        if key not in ("rules", _FULLY_DECODE, _LINE):
            raise SchemaError(f"{path}:{http[_LINE]}: http.{key}: unknown key")
    fully_decode = http.get(_FULLY_DECODE, False)
    if not isinstance(fully_decode, bool):
        raise SchemaError(f"{path}:{http[_LINE]}: http.{_FULLY_DECODE} must be true or false")
    rules: dict[str, tuple[HttpRule, ...]] = {}
    for number, rule in enumerate(http.get("rules") or []):
        selector, alternatives = _rule(path, number, rule, fully_decode=fully_decode)
        rules[selector] = alternatives
    return rules


def read_service_configs(paths: Iterable[Path]) -> dict[str, tuple[HttpRule, ...]]:
    """The rules of all these files by selected method.

    Files add up: a method that several files select has the bindings of each. A binding that is
    the same in two files counts once.

    Raises:
        SchemaError: as `read_service_config`.
    """
    rules: dict[str, dict[HttpRule, HttpRule]] = {}
    for path in paths:
        for selector, alternatives in read_service_config(path).items():
            of_method = rules.setdefault(selector, {})
            for rule in alternatives:
                of_method.setdefault(replace(rule, source=_ANYWHERE), rule)
    return {selector: tuple(of_method.values()) for selector, of_method in rules.items()}


def _load(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.load(path.read_text(encoding="utf-8"), _LineLoader)  # noqa: S506 - a safe one
    except OSError as error:
        raise SchemaError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        why = f": {problem}" if problem else ""
        raise SchemaError(f"{path}{line}: is not YAML{why}") from None
    if not isinstance(loaded, dict) or loaded.get("type") != "google.api.Service":
        raise SchemaError(f"{path}: expected `type: google.api.Service` at the top")
    return loaded


def _rule(
    path: Path, number: int, rule: object, *, fully_decode: bool
) -> tuple[str, tuple[HttpRule, ...]]:
    where = f"http.rules[{number}]"
    mapping = _checked(rule, http_pb2.HttpRule.DESCRIPTOR, Source(str(path)), where)
    source = Source(str(path), mapping[_LINE])
    message = http_pb2.HttpRule()
    try:
        json_format.ParseDict(_without_lines(mapping), message)
    except json_format.ParseError as error:
        raise SchemaError(f"{source}: {where}: {error}") from None
    if not _METHOD_NAME.fullmatch(message.selector):
        raise SchemaError(f"{source}: {where}.selector must be the full name of one method")
    return message.selector, tuple(flatten(message, source, fully_decode=fully_decode))


def _checked(value: object, message: Descriptor, outer: Source, where: str) -> dict[Any, Any]:
    """Returns `value` as a mapping whose keys are fields of `message` with matching values."""
    if not isinstance(value, dict):
        raise SchemaError(f"{outer}: {where} must be a mapping")
    source = Source(outer.file, value[_LINE])
    known = {name: f for f in message.fields for name in (f.name, f.json_name)}
    given = [key for key in value if key != _LINE and value[key] is not None]
    for key in given:
        if key not in known:
            raise SchemaError(f"{source}: {where}.{key}: unknown key")
        _check_field(value[key], known[key], source, f"{where}.{key}")
    patterns = [key for key in given if known[key].containing_oneof is not None]
    if len(patterns) > 1:
        raise SchemaError(f"{source}: {where}: give one of {' and '.join(patterns)}, not both")
    return value


def _check_field(value: object, field: FieldDescriptor, source: Source, where: str) -> None:
    """Rejects a value that does not fit a field; HttpRule has only texts and messages of texts."""
    message = field.message_type
    if message is None:
        if not isinstance(value, str):
            raise SchemaError(f"{source}: {where} must be text")
    elif not field.is_repeated:
        _checked(value, message, source, where)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _checked(item, message, source, f"{where}[{number}]")
    else:
        raise SchemaError(f"{source}: {where} must be a list")


def _without_lines(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_lines(inner) for key, inner in value.items() if key != _LINE}
    return [_without_lines(inner) for inner in value] if isinstance(value, list) else value

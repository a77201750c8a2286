"""google.api.Service YAML: HTTP rules and system parameters outside the protos.

Read are `http.rules`, which override annotations, `http.fully_decode_reserved_expansion`, and
`system_parameters.rules` (google/api/service.proto, http.proto, system_parameter.proto). Other
sections of a service config are ignored.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from google.api import http_pb2, system_parameter_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from gateway.config.grammar import is_token
from gateway.schema.catalog import HttpRule, SchemaError, Source, flatten
from gateway.schema.system_parameters import SystemParameter, SystemParameterRule


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
_SYSTEM_PARAMETERS = ("system_parameters", "systemParameters")
"""Both spellings of the key, as in JSON."""
_NOT_FOR_PARAMETERS = frozenset({"authorization", "cookie", "host"})
"""Headers that have a meaning for every request."""
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


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """The rules of service configs."""

    http: dict[str, tuple[HttpRule, ...]]
    """The HTTP rules by selected method."""
    system_parameters: tuple[SystemParameterRule, ...]
    """In order: the last one that selects a method counts."""


def read_service_config(path: Path) -> ServiceConfig:
    """Reads a service-config file; the last HTTP rule of a method counts.

    Raises:
        SchemaError: the file is not such YAML, or a rule has keys that its message does not have.
    """
    config = _load(path)
    http = _section(path, config, "http", ("rules", _FULLY_DECODE))
    fully_decode = http.get(_FULLY_DECODE, False)
    if not isinstance(fully_decode, bool):
        raise SchemaError(f"{path}:{http[_LINE]}: http.{_FULLY_DECODE} must be true or false")
    rules: dict[str, tuple[HttpRule, ...]] = {}
    for number, rule in enumerate(http.get("rules") or []):
        selector, alternatives = _rule(path, number, rule, fully_decode=fully_decode)
        rules[selector] = alternatives
    parameters: list[SystemParameterRule] = []
    for name in _SYSTEM_PARAMETERS:
        section = _section(path, config, name, ("rules",))
        for number, rule in enumerate(section.get("rules") or []):
            parameters += _parameter_rules(path, f"{name}.rules[{number}]", rule)
    return ServiceConfig(rules, tuple(parameters))


def read_service_configs(paths: Iterable[Path]) -> ServiceConfig:
    """Reads all these files.

    Files add up: a method that several files select has the bindings of each. A binding that is
    the same in two files counts once. The rules for system parameters are in the order of the
    files.

    Raises:
        SchemaError: as `read_service_config`.
    """
    rules: dict[str, dict[HttpRule, HttpRule]] = {}
    parameters: list[SystemParameterRule] = []
    for path in paths:
        config = read_service_config(path)
        parameters += config.system_parameters
        for selector, alternatives in config.http.items():
            of_method = rules.setdefault(selector, {})
            for rule in alternatives:
                of_method.setdefault(replace(rule, source=_ANYWHERE), rule)
    http = {selector: tuple(of_method.values()) for selector, of_method in rules.items()}
    return ServiceConfig(http, tuple(parameters))


def _section(path: Path, config: dict[str, Any], name: str, keys: Iterable[str]) -> dict[Any, Any]:
    """Returns a section of a service config that has a list of rules, or nothing."""
    section = config.get(name) or {}
    if not isinstance(section, dict) or not isinstance(section.get("rules") or [], list):
        raise SchemaError(f"{path}: {name} must be a mapping with a list of rules")
    for key in section:
        if key not in (*keys, _LINE):
            raise SchemaError(f"{path}:{section[_LINE]}: {name}.{key}: unknown key")
    return section


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
    _fill(message, mapping, source, where)
    if not _METHOD_NAME.fullmatch(message.selector):
        raise SchemaError(f"{source}: {where}.selector must be the full name of one method")
    return message.selector, tuple(flatten(message, source, fully_decode=fully_decode))


def _parameter_rules(path: Path, where: str, rule: object) -> Iterator[SystemParameterRule]:
    """Yields a rule once for each selector: there may be several, separated by commas."""
    outer = Source(str(path))
    mapping = _checked(rule, system_parameter_pb2.SystemParameterRule.DESCRIPTOR, outer, where)
    source = Source(str(path), mapping[_LINE])
    message = system_parameter_pb2.SystemParameterRule()
    _fill(message, mapping, source, where)
    if not message.selector:
        raise SchemaError(f"{source}: {where}.selector must be a method, a prefix.*, or *")
    found = tuple(
        _parameter(one, source, f"{where}.parameters[{number}]")
        for number, one in enumerate(message.parameters)
    )
    _refuse_two_meanings(found, source, where)
    for selector in message.selector.split(","):  # documentation.proto, DocumentationRule.selector
        yield SystemParameterRule(selector.strip(), found, str(path), mapping[_LINE])


def _parameter(
    message: system_parameter_pb2.SystemParameter, source: Source, where: str
) -> SystemParameter:
    name, header = message.name.removeprefix("$"), message.http_header
    if not name:
        raise SchemaError(f"{source}: {where}.name must be that of a parameter, such as api_key")
    if not header and not message.url_query_parameter:
        raise SchemaError(f"{source}: {where}: give http_header, url_query_parameter, or both")
    if header and (not is_token(header) or header.lower() in _NOT_FOR_PARAMETERS):
        raise SchemaError(
            f"{source}: {where}.http_header must be a header that nothing else uses, "
            "such as X-Api-Key"
        )
    return SystemParameter(name, header, message.url_query_parameter)


def _refuse_two_meanings(parameters: Iterable[SystemParameter], source: Source, where: str) -> None:
    """Rejects one name for two parameters: it could not be read."""
    meanings: dict[tuple[str, str], str] = {}
    for one in parameters:
        places = (
            ("url_query_parameter", one.url_query_parameter),
            ("http_header", one.http_header),
        )
        for place, text in places:
            key = place, text.lower() if place == "http_header" else text
            if text and meanings.setdefault(key, one.name) != one.name:
                raise SchemaError(
                    f"{source}: {where}: the {place} {text} is given to {meanings[key]} and to "
                    f"{one.name}; give each its own"
                )


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


def _fill(message: Message, mapping: dict[Any, Any], source: Source, where: str) -> None:
    from google.protobuf import json_format  # noqa: PLC0415 - only for such files

    try:
        json_format.ParseDict(_without_lines(mapping), message)
    except json_format.ParseError as error:
        raise SchemaError(f"{source}: {where}: {error}") from None


def _check_field(value: object, field: FieldDescriptor, source: Source, where: str) -> None:
    """Rejects a value that does not fit a field; the rules have only texts and messages."""
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

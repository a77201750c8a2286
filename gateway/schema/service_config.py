"""google.api.Service YAML: HTTP rules that stand outside the protos and override annotations.

Only what concerns HTTP is read: `http.rules` and `http.fully_decode_reserved_expansion`
(google/api/service.proto, http.proto). Other sections of a service config are left alone.
"""

from pathlib import Path
from typing import Any

import yaml
from google.api import http_pb2
from google.protobuf import json_format

from gateway.schema.catalog import HttpRule, SchemaError, Source, flatten


class _LineLoader(yaml.SafeLoader):
    """A safe loader that notes the line of each mapping."""


_LINE = "__line__"


def _mapping(loader: _LineLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    mapping: dict[Any, Any] = loader.construct_mapping(node, deep=True)
    mapping[_LINE] = node.start_mark.line + 1
    return mapping


_LineLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_service_config(path: Path) -> dict[str, tuple[HttpRule, ...]]:
    """The rules of a service-config file by the method each selects; the last for one counts.

    Raises:
        SchemaError: the file is no such YAML, or a rule has keys that an HttpRule has not.
    """
    config = _load(path)
    http = config.get("http") or {}
    if not isinstance(http, dict) or not isinstance(http.get("rules", []), list):
        raise SchemaError(f"{path}: http must be a mapping with a list of rules")
    unknown = set(http) - {"rules", "fully_decode_reserved_expansion", _LINE}
    if unknown:
        raise SchemaError(f"{path}: http.{min(unknown)}: unknown key")
    fully_decode = http.get("fully_decode_reserved_expansion", False)
    if not isinstance(fully_decode, bool):
        raise SchemaError(f"{path}: http.fully_decode_reserved_expansion must be true or false")
    rules: dict[str, tuple[HttpRule, ...]] = {}
    for number, rule in enumerate(http.get("rules") or []):
        selector, alternatives = _rule(path, number, rule, fully_decode=fully_decode)
        rules[selector] = alternatives
    return rules


def _load(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.load(path.read_text(encoding="utf-8"), _LineLoader)  # noqa: S506 - a safe one
    except OSError as error:
        raise SchemaError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise SchemaError(f"{path}{line}: is not YAML") from None
    if not isinstance(loaded, dict) or loaded.get("type") != "google.api.Service":
        raise SchemaError(f"{path}: expected `type: google.api.Service` at the top")
    return loaded


def _rule(
    path: Path, number: int, rule: object, *, fully_decode: bool
) -> tuple[str, tuple[HttpRule, ...]]:
    where = f"http.rules[{number}]"
    if not isinstance(rule, dict):
        raise SchemaError(f"{path}: {where} must be a mapping")
    source = Source(str(path), rule.get(_LINE))
    message = http_pb2.HttpRule()
    try:
        json_format.ParseDict(_without_lines(rule), message)
    except json_format.ParseError as error:
        reason = str(error).split(" Available Fields")[0]
        raise SchemaError(f"{source}: {where}: {reason}") from None
    selector = message.selector
    if not selector or "*" in selector:
        raise SchemaError(f"{source}: {where}.selector must be the full name of one method")
    return selector, tuple(flatten(message, source, fully_decode=fully_decode))


def _without_lines(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_lines(inner) for key, inner in value.items() if key != _LINE}
    return [_without_lines(inner) for inner in value] if isinstance(value, list) else value

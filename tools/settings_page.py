"""Writes docs/configuration.md from the settings' docstrings: `python -m tools.settings_page`."""

import argparse
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gateway.config.descriptions import describe_settings
from gateway.config.model import Config

PAGE = Path("docs/configuration.md")

HEAD = """# Configuration

Settings come from `gateway.yaml` in the working directory (or `--config FILE`), then from the
environment, then from flags; later ones override earlier ones. The name of an environment variable
is the path of the setting, in capitals, with two underscores for a dot:
`GATEWAY_JSON__EMIT_UNSET=false`. Its value is parsed as YAML, so
`GATEWAY_SERVICES='[library.v1.*]'` is a list.

`policies[].selector` below is the `selector` of each item of the list `policies`. A variable sets a
list as a whole: `GATEWAY_POLICIES='[{selector: "library.v1.*", anonymous: true}]'`.

Files are YAML 1.2: `off` and `12:30` are strings where a string is expected. A key that is unknown
or repeated is an error; the message states its line and the most similar known key.
Variables that Kubernetes sets for a Service named `gateway`, such as `GATEWAY_PORT=tcp://…` and
`GATEWAY_SERVICE_HOST`, and those that Docker sets for a linked container, such as
`GATEWAY_NAME=/web/gateway` and `GATEWAY_ENV_LANG`, are not settings, and are ignored with one
warning.
`gateway config` prints the settings in force, `gateway config --schema` the JSON Schema of all.
With the schema in a file, this first line of `gateway.yaml` lets editors complete and check it:

```yaml
# yaml-language-server: $schema=gateway.schema.json
```

This page is generated from the settings' docstrings by `python -m tools.settings_page`.

## Selectors

All settings name methods and services in the same way: `library.v1.LibraryService.GetBook` is a
method, `library.v1.LibraryService.*` all methods of a service, `library.v1.*` a package with all
packages below it, `*` everything. Settings for services (`services`, `upstreams.<name>.services`)
also accept the full name of one: `library.v1.LibraryService`. The part before `.*` consists of
whole names: `library.v1.Lib*` is an error. If a selector selects nothing, the gateway does not
start, and the message states the most similar name.

"""


def page() -> str:
    """The text of the whole page."""
    describe_settings()
    return HEAD + "\n".join(_lines(Config, "Top level", "")) + "\n"


def _lines(section: type[BaseModel], title: str, prefix: str) -> Iterator[str]:
    yield f"## {title}\n"
    if prefix:
        yield f"{section.__doc__}\n"
    yield "| setting | values | default | meaning |"
    yield "|---|---|---|---|"
    below: list[tuple[type[BaseModel], str, str]] = []
    for name, field in section.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        inner = next(_sections(field.annotation), None)
        if inner is None:
            said = " ".join((field.description or "").split())  # a row is one line
            yield f"| `{path}` | {_values(field)} | {_default(field)} | {said} |"
        else:
            shape = _shape(field.annotation)
            below.append((inner, f"`{path}`", f"{path}{shape}."))
            meaning = " ".join((field.description or inner.__doc__ or "").split())
            yield f"| `{path}{shape}` | section, below | | {meaning} |"
    yield ""
    for inner, inner_title, inner_prefix in below:
        yield from _lines(inner, inner_title, inner_prefix)


def _sections(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections(argument)


def _shape(annotation: object) -> str:
    """The way a section repeats: by name, in a list, or not at all."""
    shapes: dict[Any, str] = {dict: ".<name>", tuple: "[]"}
    return shapes.get(get_origin(annotation), "")


def _values(field: FieldInfo) -> str:
    return _names(field.annotation)


def _names(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return ", or ".join(_names(a) for a in arguments if a is not NoneType)
    if origin is Literal:
        return ", ".join(map(str, arguments))
    if origin is tuple:
        return f"list of {_names(arguments[0])}"
    if origin is dict and arguments[1] is Any:
        return "map"
    if origin is dict:
        return f"{_names(arguments[0])} to {_names(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(str(member.value) for member in annotation)
    if origin is not None and arguments:
        return _names(arguments[0])
    words = {str: "text", bool: "true, false", int: "number", float: "number", Path: "file"}
    return words.get(annotation, str(annotation))


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if field.is_required():
        return "required"
    if value is None or value in ((), {}):
        return ""
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    if isinstance(value, Enum):
        return f"`{value.value}`"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


def main() -> int:
    """Writes the page; with --check, exits with 1 if it is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 if stale")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        print(f"{PAGE} is stale: run python -m tools.settings_page", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

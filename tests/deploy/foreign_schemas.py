"""What files of other projects may hold, from the Go modules in which they publish it."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped] # it has no types
import pytest
import yaml

_GATEWAY_API = "sigs.k8s.io/gateway-api@v1.4.1"
_COMPOSE = "github.com/compose-spec/compose-go/v2@v2.4.9"
_MONITORING = "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring@v0.92.1"
_STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r'^\s+(?:\w+\s+)?([\w.*\[\]]+)\s+`json:"([^",]*)', re.MULTILINE)


def validate_route(manifest: dict[str, Any]) -> None:
    """Raises if a manifest is no resource of the Gateway API."""
    file = f"gateway.networking.k8s.io_{manifest['kind'].lower()}s.yaml"
    crd = yaml.safe_load((_module(_GATEWAY_API) / "config/crd/standard" / file).read_text())
    group, _, version = manifest["apiVersion"].partition("/")
    assert crd["spec"]["group"] == group
    (schema,) = [
        one["schema"]["openAPIV3Schema"]
        for one in crd["spec"]["versions"]
        if one["name"] == version and one["served"]
    ]
    jsonschema.validate(manifest, _closed(schema))


def validate_compose(document: dict[str, Any]) -> None:
    """Raises if a document is no file of Docker Compose."""
    schema = json.loads((_module(_COMPOSE) / "schema/compose-spec.json").read_text())
    jsonschema.Draft7Validator(schema).validate(document)


def unknown_fields(manifest: dict[str, Any]) -> list[str]:
    """The fields of a resource of the Prometheus Operator that its types do not have."""
    assert manifest["apiVersion"] == "monitoring.coreos.com/v1"
    files = (_module(_MONITORING) / "v1").glob("*.go")
    structs = dict(found for file in files for found in _STRUCT.findall(file.read_text()))
    return _unknown(structs, f"{manifest['kind']}Spec", manifest["spec"], "spec")


def _unknown(structs: dict[str, str], kind: str, value: Any, at: str) -> list[str]:
    if isinstance(value, list):
        return [
            one
            for number, item in enumerate(value)
            for one in _unknown(structs, kind, item, f"{at}[{number}]")
        ]
    if kind not in structs:  # a text, or a type of Kubernetes itself
        return []
    known, found = _fields(structs, kind), []
    for name, item in value.items():
        place = f"{at}.{name}"
        found += _unknown(structs, known[name], item, place) if name in known else [place]
    return found


def _fields(structs: dict[str, str], kind: str) -> dict[str, str]:
    """The type of each field, by its name in JSON; those of embedded structs too."""
    found: dict[str, str] = {}
    for go_type, name in _FIELD.findall(structs.get(kind, "")):
        plain = go_type.replace("[]", "").replace("*", "")
        found |= {name: plain} if name else _fields(structs, plain)
    return found


def _closed(schema: Any) -> Any:
    """The schema, so that it refuses unknown fields, as the API does with `--validate=strict`."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(value) for name, value in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        closed["additionalProperties"] = False
    return closed


def _module(name: str) -> Path:
    """The folder of a Go module that has been downloaded."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("needs go: apt-get install golang-go")
    done = subprocess.run(
        [go, "env", "GOMODCACHE"], check=True, capture_output=True, text=True, timeout=60
    )
    folder = Path(done.stdout.strip()) / name
    if not folder.is_dir():
        pytest.skip(f"needs a Go module: go mod download {name}")
    return folder

"""Annotations as their own projects publish them: grpc-gateway's examples, and gnostic's protos."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.api import annotations_pb2
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.cli.documents import document_of
from gateway.config.model import Config
from tests.interop.servers import go_tool
from tests.interop.test_grpc_gateway import MODULE

GNOSTIC = "github.com/google/gnostic-models@v0.6.9"
EXAMPLE = "examples/internal/proto/examplepb/a_bit_of_everything.proto"
OURS = """
syntax = "proto3";
package a.v1;
import "google/api/annotations.proto";
import "openapiv3/annotations.proto";
option (openapi.v3.document) = {info {title: "Things" license {name: "MIT"}}};
service Things {
  rpc Get(Thing) returns (Thing) {
    option (google.api.http) = {get: "/v1/{name}"};
    option (openapi.v3.operation) = {
      summary: "Gets a thing"
      responses {response_or_reference {name: "410" value {response {description: "Gone."}}}}
      specification_extension {name: "x-level" value {yaml: "{stable: true}"}}
    };
  }
}
message Thing {
  string name = 1 [(openapi.v3.property) = {description: "Its name." example {yaml: "'a'"} max_length: 7}];
}
"""  # noqa: E501 - one option

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def module(name: str, cache: Path) -> Path:
    """The folder of a Go module, fetched if it is not there."""
    command = [go_tool(), "mod", "download", "-json", name]
    done = subprocess.run(command, cwd=cache, check=True, stdout=subprocess.PIPE)
    return Path(json.loads(done.stdout)["Dir"])


def document(root: Path, file: str, place: Path) -> dict[str, Any]:
    """The document of a proto that is compiled with the protos of a module."""
    out = place / "set.binpb"
    common = Path(annotations_pb2.__file__).parents[2]
    includes = [f"-I{place}", f"-I{root}", f"-I{common}"]
    options = ["--include_imports", "--include_source_info", f"--descriptor_set_out={out}"]
    command = [sys.executable, "-m", "grpc_tools.protoc", *includes, *options, file]
    subprocess.run(command, check=True)
    settings = {"descriptors": [out], "compat": "grpc-gateway"}
    found: dict[str, Any] = json.loads(json.dumps(document_of(Config.model_validate(settings))))
    return found


async def test_grpc_gateways_example_reads_as_its_authors_wrote(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    cache: Path = request.config.cache.mkdir("interop")
    root = await asyncio.to_thread(module, MODULE, cache)
    found = await asyncio.to_thread(document, root, EXAMPLE, tmp_path)
    assert list(OpenAPIV31SpecValidator(found).iter_errors()) == []
    theirs = json.loads((root / EXAMPLE).with_suffix(".swagger.json").read_text(encoding="utf-8"))
    for word in ("title", "version", "contact", "license", "x-something-something"):
        assert found["info"][word] == theirs["info"][word]
    assert found["x-grpc-gateway-baz-list"] == theirs["x-grpc-gateway-baz-list"]
    assert found["externalDocs"] == theirs["externalDocs"]
    path = "/v1/example/a_bit_of_everything/echo/{value}"
    ours, other = found["paths"][path]["get"], theirs["paths"][path]["get"]
    for word in ("summary", "description", "tags", "externalDocs"):
        assert ours[word] == other[word]
    example = other["responses"]["200"]["examples"]["application/json"]
    assert ours["responses"]["200"]["content"]["application/json"]["example"] == example
    for status in ("404", "503"):
        text = other["responses"][status]["description"]
        assert ours["responses"][status]["description"] == text
    schemas = found["components"]["schemas"]
    name = "grpc.gateway.examples.internal.proto.examplepb.ABitOfEverythingInput"
    everything = schemas[name]
    assert everything["examples"] == [{"doubleValue": 12.3, "int64Value": "12"}]
    assert {"uuid", "int64Value", "doubleValue", "floatValue"} <= set(everything["required"])
    assert everything["properties"]["uuid"]["format"] == "uuid"


async def test_gnostics_protos_are_read(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    cache: Path = request.config.cache.mkdir("interop")
    root = await asyncio.to_thread(module, GNOSTIC, cache)
    (tmp_path / "a.proto").write_text(OURS, encoding="utf-8")
    found = await asyncio.to_thread(document, root, "a.proto", tmp_path)
    assert list(OpenAPIV31SpecValidator(found).iter_errors()) == []
    assert found["info"] == {"title": "Things", "version": "v1", "license": {"name": "MIT"}}
    get = found["paths"]["/v1/{name}"]["get"]
    assert get["summary"] == "Gets a thing"
    assert get["x-level"] == {"stable": True}
    assert get["responses"]["410"] == {"description": "Gone."}
    assert get["parameters"][0]["description"] == "Its name."
    assert get["parameters"][0]["schema"] == {"type": "string", "maxLength": 7}

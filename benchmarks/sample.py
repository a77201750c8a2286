"""The schema and messages that the benchmarks use."""

import json
from functools import cache
from importlib.resources import files as package_files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import google.api
from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message_factory import GetMessageClass
from grpc_tools import protoc

from gateway.schema.catalog import Schema, build_schema

HERE = Path(__file__).parent

ITEM: dict[str, Any] = {
    "name": "shelves/7/items/42",
    "title": "A brass sextant",
    "serial": "9007199254740993",
    "weight": 1.25,
    "tags": ["brass", "naval"],
    "labels": {"room": "north"},
    "created": "2024-05-06T07:08:09Z",
    "state": "ACTIVE",
    "size": {"width": 30, "height": 40},
    "fragile": True,
    "digest": "3q2+7w==",
}


def include_options() -> list[str]:
    """The protoc options with the folders of Google's protos."""
    api = Path(next(iter(google.api.__path__))).parents[1]
    return [f"-I{HERE}", f"-I{package_files('grpc_tools').joinpath('_proto')}", f"-I{api}"]


@cache
def descriptor_set() -> FileDescriptorSet:
    """bench.proto and all its imports."""
    with TemporaryDirectory() as place:
        out = Path(place, "set.binpb")
        arguments = [*include_options(), "--include_imports", f"--descriptor_set_out={out}"]
        if protoc.main(["protoc", *arguments, "bench.proto"]):
            raise SystemExit("protoc rejected bench.proto")
        return FileDescriptorSet.FromString(out.read_bytes())


@cache
def schema() -> Schema:
    """The schema of bench.proto."""
    return build_schema(descriptor_set())


@cache
def message_class(name: str) -> Any:
    """The class of a message, by its name in bench.proto or its full name."""
    full_name = name if "." in name else f"bench.v1.{name}"
    return GetMessageClass(schema().pool.FindMessageTypeByName(full_name))


def message(name: str, document: object) -> bytes:
    """The wire bytes of a message of bench.proto, given as JSON."""
    parsed = json_format.Parse(
        json.dumps(document), message_class(name)(), descriptor_pool=schema().pool
    )
    return bytes(parsed.SerializeToString())


def item_of_1_kb() -> bytes:
    """A JSON body of about a kilobyte; a benchmark replaces `{item}` in it."""
    return json.dumps(ITEM | {"title": "Item {item}", "description": "x" * 700}).encode()

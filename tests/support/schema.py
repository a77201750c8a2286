"""Descriptor sets from a few lines of proto text."""

import tempfile
from functools import cache
from importlib.resources import files as package_files
from pathlib import Path

import google
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_tools import protoc

import gatewayapi


def descriptor_set(**files: str) -> FileDescriptorSet:
    """The files and all they import; each keyword is a file's name without `.proto`.

    google/api, google/rpc, google/type, google/protobuf and gatewayapi/v1 can be imported. A name
    with slashes goes in with `**{"library/v1/books": "..."}`.
    """
    return FileDescriptorSet.FromString(_compiled(tuple(sorted(files.items()))))


def descriptor_pool(files: FileDescriptorSet) -> DescriptorPool:
    """A pool of its own that holds just these files."""
    pool = DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool


@cache
def _compiled(files: tuple[tuple[str, str], ...]) -> bytes:
    with tempfile.TemporaryDirectory() as place:
        for name, text in files:
            path = Path(place, f"{name}.proto")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        out = Path(place, "set.pb")
        includes = [
            place,
            str(package_files("grpc_tools").joinpath("_proto")),
            *(str(part.parent) for part in map(Path, google.__path__)),
            *(str(part.parent) for part in map(Path, gatewayapi.__path__)),
        ]
        options = [f"-I{include}" for include in includes]
        names = [f"{name}.proto" for name, _ in files]
        arguments = ["protoc", *options, "--include_imports", "--include_source_info"]
        if protoc.main([*arguments, f"--descriptor_set_out={out}", *names]):
            raise ValueError(f"protoc refused {', '.join(names)}; its words are above")
        return out.read_bytes()

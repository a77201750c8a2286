"""Measures the loading of schemas: time and memory for 10, 1,000 and 10,000 bindings.

Each size runs in its own process: `python -m benchmarks.schema_load N` prints one line.
"""

import os
import subprocess
import sys
from time import process_time

from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorSet

from benchmarks.load import peak_mb, resident_mb
from benchmarks.pure import measure
from gateway.config.model import Config
from gateway.schema.catalog import build_schema
from gateway.schema.sources import DescriptorFiles
from gateway.transcoding.transcoder import build_transcoder

SIZES = (10, 1_000, 10_000)
_METHODS_A_FILE = 50


def synthetic(bindings: int) -> FileDescriptorSet:
    """An API with this many bindings: fifty methods per file, two messages per method."""
    files = DescriptorFiles()
    files.add_module("google.api.annotations_pb2")
    result = files.complete()
    for start in range(0, bindings, _METHODS_A_FILE):
        file = result.file.add(name=f"s{start}.proto", package=f"s{start}.v1", syntax="proto3")
        file.dependency.append("google/api/annotations.proto")
        service = file.service.add(name="Service")
        for number in range(start, min(start + _METHODS_A_FILE, bindings)):
            file.message_type.append(_message(f"Request{number}"))
            file.message_type.append(_message(f"Reply{number}"))
            method = service.method.add(name=f"Get{number}")
            method.input_type = f".s{start}.v1.Request{number}"
            method.output_type = f".s{start}.v1.Reply{number}"
            rule = method.options.Extensions[annotations_pb2.http]
            rule.get = f"/v1/kind{number % 100}/{{name=things/*}}/part{number}/{{text}}"
    return result


def _message(name: str) -> DescriptorProto:
    message = DescriptorProto(name=name)
    for number, field in enumerate(("name", "text", "count", "note"), 1):
        kind = (
            FieldDescriptorProto.TYPE_INT32
            if field == "count"
            else FieldDescriptorProto.TYPE_STRING
        )
        message.field.add(
            name=field, json_name=field, number=number, type=kind,
            label=FieldDescriptorProto.LABEL_OPTIONAL,
        )  # fmt: skip
    return message


def line(bindings: int) -> str:
    """Seconds and megabytes of loading, and microseconds of one look-up."""
    files = synthetic(bindings)
    before_mb = resident_mb(os.getpid())
    started = process_time()
    transcoder = build_transcoder(Config(), build_schema(files))
    seconds = process_time() - started
    last = bindings - 1
    path = f"/v1/kind{last % 100}/things/1/part{last}/x"
    look_up = measure(lambda: transcoder.match("GET", path))
    peak = peak_mb(os.getpid())
    return f"{bindings} {seconds:.3f} {peak - before_mb:.1f} {peak:.1f} {look_up:.2f}"


def run() -> list[list[str]]:
    """A row for each size: bindings, seconds, MB gained, total MB, microseconds per look-up."""
    rows = []
    for size in SIZES:
        command = [sys.executable, "-m", "benchmarks.schema_load", str(size)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
        rows.append(done.stdout.split())
    return rows


if __name__ == "__main__":
    print(line(int(sys.argv[1])))

"""`gateway protos`: the .proto files for a user's own annotated API."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.protos import show
from gateway.status import StartUpError
from tests.support.command_line import run

GREETER = """
syntax = "proto3";
package my.api.v1;
import "gatewayapi/v1/policy.proto";
import "google/api/annotations.proto";
message Name { string name = 1; }
service Greeter {
  rpc Greet(Name) returns (Name) {
    option (google.api.http) = {get: "/v1/greetings/{name}"};
    option (gatewayapi.v1.policy) = {anonymous: true};
  }
}
"""


def test_protoc_finds_the_annotations_from_an_empty_folder(tmp_path: Path) -> None:
    folder = tmp_path / "my/api/v1"
    folder.mkdir(parents=True)
    (folder / "greeter.proto").write_text(GREETER)
    include = run("protos", "--path").stdout.strip()
    # The line of README.md, with this interpreter's protoc.
    compiled = subprocess.run(
        [
            sys.executable, "-m", "grpc_tools.protoc", "-I.", f"-I{include}", "--include_imports",
            "--include_source_info", "--descriptor_set_out=api.binpb", "my/api/v1/greeter.proto",
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert compiled.returncode == 0, compiled.stderr
    routes = run("routes", "--descriptors", str(tmp_path / "api.binpb"))
    assert "/v1/greetings/{name}" in routes.stdout
    assert "anonymous" in routes.stdout


def test_the_list_names_files_as_protos_import_them() -> None:
    listed = run("protos").stdout.splitlines()
    assert "google/api/annotations.proto" in listed
    assert "gatewayapi/v1/policy.proto" in listed
    assert "gatewayapi/v1/auth.proto" in listed


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.protos.find_spec", lambda name: None)
    with pytest.raises(StartUpError, match="googleapis-common-protos"):
        show(path=True)

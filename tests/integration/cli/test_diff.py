"""`gateway diff` as its users type it: what it reads, what it prints, how it exits."""

import json
from pathlib import Path

import pytest

from tests.support.command_line import run
from tests.support.schema import descriptor_set

PROTO = """syntax = "proto3";
package a.v1;
import "google/api/annotations.proto";
service Things {
  rpc Get(Request) returns (Thing) { option (google.api.http) = {get: "/v1/things"}; }
}
message Request {}
enum Color { NONE = 0; }
message Thing {
  string name = 1;
  Color color = 2;
}
"""
REMOVED = PROTO.replace("  string name = 1;\n", "")
ADDED = PROTO.replace("Color color = 2;", "Color color = 2; string more = 3;")
WARNED = PROTO.replace("NONE = 0;", "NONE = 0; RED = 1;")


def folder(place: Path, name: str, text: str) -> str:
    """A folder with a .proto file below it."""
    file = place / name / "a/v1/things.proto"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return str(place / name)


def binary(place: Path, name: str, text: str) -> str:
    """A descriptor set."""
    file = place / f"{name}.binpb"
    file.write_bytes(descriptor_set(**{"a/v1/things": text}).SerializeToString())
    return str(file)


def settings(place: Path, name: str, text: str) -> str:
    """Settings that name a descriptor set."""
    file = place / f"{name}.yaml"
    file.write_text(f"descriptors: [{binary(place, name, text)}]\n")
    return str(file)


def document(place: Path, name: str, text: str) -> str:
    """A document that `gateway openapi` has printed."""
    file = place / f"{name}.json"
    made = run("openapi", "--descriptors", binary(place, f"{name}-set", text))
    assert made.returncode == 0, made.stderr
    file.write_text(made.stdout)
    return str(file)


def test_a_released_document_is_compared_with_protos(tmp_path: Path) -> None:
    old, new = document(tmp_path, "old", PROTO), folder(tmp_path, "new", REMOVED)
    done = run("diff", old, new)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith(
        f"breaking response-property-removed: {new}: a.v1.Thing.name in GET /v1/things: removed"
    )
    assert run("diff", old, folder(tmp_path, "same", PROTO)).stdout == ""
    assert run("diff", old, old).stdout == ""


@pytest.mark.parametrize("make", [folder, binary, settings])
def test_a_removed_field_breaks_clients(tmp_path: Path, make: type) -> None:
    old, new = make(tmp_path, "old", PROTO), make(tmp_path, "new", REMOVED)
    done = run("diff", old, new)
    assert done.returncode == 1
    assert done.stdout == (
        f"breaking response-property-removed: a/v1/things.proto:10 of {old}: "
        "a.v1.Thing.name in GET /v1/things: removed: "
        "clients that read it no longer find it\n"
    )


def test_the_same_api_has_no_changes(tmp_path: Path) -> None:
    done = run("diff", binary(tmp_path, "old", PROTO), folder(tmp_path, "new", PROTO))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_added_field_is_listed_and_breaks_nobody(tmp_path: Path) -> None:
    old, new = binary(tmp_path, "old", PROTO), binary(tmp_path, "new", ADDED)
    done = run("diff", old, new)
    assert done.returncode == 0
    assert done.stdout.startswith(
        f"compatible response-property-added: a/v1/things.proto:11 of {new}: a.v1.Thing.more"
    )


@pytest.mark.parametrize(
    ("text", "level", "code"),
    [
        (WARNED, "breaking", 0),
        (WARNED, "warning", 1),
        (ADDED, "warning", 0),
        (REMOVED, "warning", 1),
        (REMOVED, "never", 0),
    ],
)
def test_the_level_that_fails_can_be_chosen(
    tmp_path: Path, text: str, level: str, code: int
) -> None:
    old, new = binary(tmp_path, "old", PROTO), binary(tmp_path, "new", text)
    assert run("diff", old, new, "--fail-on", level).returncode == code


def test_findings_as_json(tmp_path: Path) -> None:
    old, new = binary(tmp_path, "old", PROTO), binary(tmp_path, "new", REMOVED)
    (line,) = run("diff", old, new, "--json").stdout.splitlines()
    assert json.loads(line) == {
        "level": "breaking",
        "rule": "response-property-removed",
        "place": f"a/v1/things.proto:10 of {old}",
        "change": "a.v1.Thing.name in GET /v1/things: removed",
        "why": "clients that read it no longer find it",
    }


def test_settings_decide_what_clients_see(tmp_path: Path) -> None:
    renamed = PROTO.replace("string name = 1;", 'string name = 1 [json_name = "title"];')
    old, new = binary(tmp_path, "old", PROTO), binary(tmp_path, "new", renamed)
    names = tmp_path / "names.yaml"
    names.write_text("json: {proto_names: true}\n")
    assert run("diff", old, new).returncode == 1
    assert run("diff", old, new, "--config", str(names)).returncode == 0


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing", None, "missing: cannot be read: No such file or directory"),
        ("text.binpb", "text", "text.binpb: is not a descriptor set"),
        ("bad.yaml", "no_such: 1\n", "no_such"),
        ("a/b.proto", "syntax = 'proto3'; message A {", "b.proto:1:"),
        ("empty/readme.txt", "", "empty: holds no .proto files"),
        ("text.json", "text", "text.json: is not an OpenAPI document"),
        ("deep.json", "[" * 100_000, "deep.json: is not an OpenAPI document"),
        ("list.json", "[]", "list.json: is not an OpenAPI document"),
        ("old.json", '{"openapi": "2.0", "paths": {}}', "old.json: is not an OpenAPI document"),
        ("odd.json", '{"openapi": "3.1.1", "paths": {"/": []}}', "odd.json: has another form"),
        ("alone.yaml", "listen: 127.0.0.1:1\n", "there is no schema"),
    ],
)
def test_unusable_input_has_an_exit_code_of_its_own(
    tmp_path: Path, name: str, content: str | None, reason: str
) -> None:
    old, new = binary(tmp_path, "old", PROTO), tmp_path / name
    if content is not None:
        new.parent.mkdir(exist_ok=True)
        new.write_text(content)
    given = str(new if "/" not in name else new.parent)
    done = run("diff", old, given)
    assert done.returncode == 2
    assert done.stdout == ""
    assert reason in done.stderr
    assert "Traceback" not in done.stderr

"""The corpus tool finds what is refused and what goes astray."""

from pathlib import Path

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from gateway.config.routing import OnConflict
from gateway.schema.catalog import build_schema
from gateway.transcoding.binding import bind, build_router
from gateway.transcoding.routing.template import parse_template
from tests.support.schema import descriptor_set
from tools.corpus import Outcome, check, compile_protos, main, make_path, report, route_all

ANNOTATED = """
syntax = "proto3";
package corpus;
import "google/api/annotations.proto";
message M {{ string a = 1; }}
service S {{ {methods} }}
"""


def rpc(name: str, template: str) -> str:
    rule = f'option (google.api.http) = {{get: "{template}"}};'
    return f"rpc {name}(M) returns (M) {{ {rule} }}"


def test_every_route_of_the_sample_apis_is_reached() -> None:
    files = FileDescriptorSet.FromString(Path("gen/descriptors.binpb").read_bytes())
    outcome = check(files)
    assert outcome.errors == []
    assert outcome.astray == []
    assert outcome.routed["to its own method"] == outcome.bindings > 20
    assert f"{outcome.bindings}" in report(outcome)


def test_methods_on_one_route_share_it() -> None:
    methods = rpc("A", "/v1/{a}") + rpc("B", "/v1/{a=*}")
    outcome = check(descriptor_set(corpus=ANNOTATED.format(methods=methods)))
    assert outcome.warnings["the same route as another method"] == 1
    assert outcome.routed["to one that shares the route"] == 1
    assert outcome.astray == []


def test_a_refused_rule_is_an_error() -> None:
    outcome = check(descriptor_set(corpus=ANNOTATED.format(methods=rpc("A", "/v1/{nope}"))))
    assert len(outcome.errors) == 1
    assert "corpus.M has no field nope" in outcome.errors[0]


def test_a_path_is_made_up_for_any_template() -> None:
    assert make_path(parse_template("/v1/{a=s/*/**}/{b}:go")) == "/v1/s/zz2/zz3a/zz3b/zz4:go"


def test_what_a_shorter_template_leaves_to_a_longer_one_is_shared() -> None:
    methods = rpc("Get", "/v1/{a=docs/**}") + rpc("List", "/v1/{a=docs/**}/*")
    outcome = check(descriptor_set(corpus=ANNOTATED.format(methods=methods)))
    assert outcome.warnings["the same route as another method"] == 0
    assert outcome.routed["to its own method"] == 1
    assert outcome.routed["to one that shares the route"] == 1
    assert outcome.astray == []


def test_a_request_for_the_longer_template_must_not_go_to_the_shorter() -> None:
    methods = rpc("Get", "/v1/{a=docs/**}") + rpc("List", "/v1/{a=docs/**}/*")
    bindings, _ = bind(build_schema(descriptor_set(corpus=ANNOTATED.format(methods=methods))))
    router, _ = build_router(bindings[:1], on_conflict=OnConflict.REFUSE)
    outcome = Outcome()
    route_all(outcome, router, bindings)
    assert len(outcome.astray) == outcome.routed["astray"] == 1
    assert "corpus.S.List> went to <Binding GET /v1/{a=docs/**} corpus.S.Get>" in outcome.astray[0]


def write_api(folder: Path, name: str, methods: str) -> None:
    (folder / name).mkdir()
    text = ANNOTATED.format(methods=methods).replace("package corpus", f"package {name}")
    (folder / name / "api.proto").write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    google_api = tmp_path / "google" / "api"
    google_api.mkdir(parents=True)
    for name in ("annotations", "http"):
        (google_api / f"{name}.proto").write_bytes(Path(f"{PROTOS}/{name}.proto").read_bytes())
    write_api(tmp_path, "good", rpc("A", "/v1/{a}"))
    return tmp_path


PROTOS = Path(annotations_pb2.__file__).parent


def test_an_api_that_does_not_compile_takes_no_other_with_it(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_api(folder, "bad", rpc("A", "/v1/{a}") + "}")
    write_api(folder, "ugly", f'import "google/api/http.proto"; {rpc("A", "/v1/{a}")}')
    files, skipped = compile_protos(folder)
    assert skipped == 2
    assert "good/api.proto" in [file.name for file in files.file]
    complaints = capfd.readouterr().err
    assert "bad/api.proto" in complaints
    assert "good/api.proto" not in complaints


def test_warnings_of_protoc_are_kept_back(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = (folder / "good" / "api.proto").read_text()
    imported = 'import "google/protobuf/empty.proto"; message M'
    (folder / "good" / "api.proto").write_text(text.replace("message M", imported))
    assert compile_protos(folder)[1] == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("template", "status"), [("/v2/{a}", 0), ("/v2/{nope}", 1)])
def test_the_status_tells_whether_all_was_well(
    folder: Path, capsys: pytest.CaptureFixture[str], template: str, status: int
) -> None:
    write_api(folder, "other", rpc("A", template))
    assert main([str(folder)]) == status
    assert ("has no field nope" in capsys.readouterr().out) == bool(status)

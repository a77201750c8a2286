"""Several service-config files add up; what two of them say alike counts once."""

from pathlib import Path

import pytest

from gateway.config.model import Config
from gateway.schema.catalog import SchemaError, build_schema
from gateway.schema.service_config import read_service_configs
from gateway.transcoding.transcoder import RulesError, build_transcoder
from tests.support.schema import descriptor_set

HEAD = "type: google.api.Service\nhttp:\n  rules:\n"
PROTO = """
syntax = "proto3"; package a; message M { string id = 1; }
service S { rpc Get(M) returns (M); rpc Put(M) returns (M); }
"""


def written(place: Path, *texts: str) -> list[Path]:
    paths = [place / f"{number}.yaml" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(HEAD + text)
    return paths


def test_a_method_has_the_bindings_of_every_file(tmp_path: Path) -> None:
    paths = written(
        tmp_path,
        "  - {selector: a.S.Get, get: '/v1/{id}'}\n",
        "  - {selector: a.S.Put, put: '/v1/{id}'}\n"
        "  - selector: a.S.Get\n    additional_bindings: [{get: '/v2/{id}'}, {get: '/v1/{id}'}]\n",
    )
    rules = read_service_configs(paths).http
    found = {
        name: [(rule.template, Path(rule.source.file).name) for rule in of_method]
        for name, of_method in rules.items()
    }
    assert found == {
        "a.S.Get": [("/v1/{id}", "0.yaml"), ("/v2/{id}", "1.yaml")],
        "a.S.Put": [("/v1/{id}", "1.yaml")],
    }
    transcoder = build_transcoder(Config(), build_schema(descriptor_set(a=PROTO), overrides=rules))
    assert len(transcoder.bindings) == 3


def test_files_that_differ_on_one_route_are_refused_not_lost(tmp_path: Path) -> None:
    paths = written(
        tmp_path,
        "  - {selector: a.S.Put, put: '/v1/{id}'}\n",
        "  - {selector: a.S.Put, put: '/v1/{id}', body: '*'}\n",
    )
    schema = build_schema(descriptor_set(a=PROTO), overrides=read_service_configs(paths).http)
    with pytest.raises(RulesError, match=r"1\.yaml:4: error: .* the same route as a\.S\.Put"):
        build_transcoder(Config(), schema)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"none\.yaml: cannot be read"):
        read_service_configs([*written(tmp_path, ""), tmp_path / "none.yaml"])

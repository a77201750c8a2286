"""The tool that lints the OpenAPI documents of a large API set, package by package."""

import json
import sys
from pathlib import Path

import pytest

from tests.tools.test_corpus import folder, rpc, write_api
from tools.openapi_corpus import lint, write_documents

__all__ = ["folder"]


@pytest.fixture
def documents(folder: Path, tmp_path: Path) -> list[Path]:
    write_api(folder, "more", rpc("A", "/v1/{a}") + rpc("B", "/v1/b/{a}"))
    return write_documents(folder, tmp_path / "documents")


def test_each_package_has_a_document(documents: list[Path]) -> None:
    paths = {one.stem: list(json.loads(one.read_bytes())["paths"]) for one in documents}
    assert paths == {"good": ["/v1/{a}"], "more": ["/v1/{a}", "/v1/b/{a}"]}


def test_the_document_with_an_error_is_named(documents: list[Path]) -> None:
    finds = "import sys; more = [one for one in sys.argv[1:] if 'more' in one]; sys.exit(*more)"
    said = {one.stem: text for one, text in lint([sys.executable, "-c", finds], documents)}
    assert said["good"] == ""
    assert said["more"].endswith("more.json")

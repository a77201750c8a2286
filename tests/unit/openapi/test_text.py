"""Both forms of a document hold the same."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.openapi.text import compact_json, to_json, to_yaml, yaml_pieces

TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["yes", "No", "null", "1", "1e3", "~", "- a", "a: b", "#", "a #b", "a\nb", "\n", " a\nb", "a\n"]
)
DOCUMENTS: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(TEXTS, DOCUMENTS, max_size=4))
def test_both_forms_are_read_as_what_was_written(document: object) -> None:
    assert json.loads(to_json(document)) == document
    assert yaml.safe_load(to_yaml(document)) == document


@given(st.dictionaries(TEXTS, DOCUMENTS, max_size=4))
def test_compact_json_is_read_as_what_was_written(document: dict[str, object]) -> None:
    assert json.loads(b"".join(compact_json(copy.deepcopy(document)))) == document


@given(st.dictionaries(TEXTS, DOCUMENTS, max_size=4))
def test_yaml_in_pieces_is_the_same(document: dict[str, object]) -> None:
    assert b"".join(yaml_pieces(copy.deepcopy(document))).decode() == to_yaml(document)


@pytest.mark.parametrize("write", [compact_json, yaml_pieces])
def test_a_document_is_taken_apart_piece_by_piece(
    write: Callable[[dict[str, object]], Iterator[bytes]],
) -> None:
    paths = {f"/{number}": {"get": {"tags": [1, 2]}} for number in range(1000)}
    document: dict[str, object] = {"paths": paths, "components": {"schemas": dict(paths)}}
    # The writer of JSON takes a few schemas at once.
    assert max(map(len, write(document))) < 16 * 60
    assert not document
    assert not paths


@pytest.mark.parametrize("text", ["a\nb", "a\n\n  b\n", "a\n\n", "\n a", "a \nb", "\ta\n"])
def test_lines_stay_lines(text: str) -> None:
    assert yaml.safe_load(to_yaml({"a": [text, {"b": text}]})) == {"a": [text, {"b": text}]}


def test_yaml_is_written_for_people() -> None:
    document = {"a": [{"b": 1, "c": "x y"}, [2]], "d": "one\ntwo"}
    assert to_yaml(document) == "a:\n  - b: 1\n    c: x y\n  - - 2\nd: |-\n  one\n  two\n"

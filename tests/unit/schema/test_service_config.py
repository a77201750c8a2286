"""Rules outside the protos: google.api.Service YAML."""

from pathlib import Path

import pytest

from gateway.schema.catalog import SchemaError
from gateway.schema.service_config import read_service_config

HEAD = "type: google.api.Service\nconfig_version: 3\nname: x\n"


def read(place: Path, text: str) -> dict[str, list[tuple[str, str, str]]]:
    path = place / "service.yaml"
    path.write_text(text)
    found = read_service_config(path)
    return {
        name: [(r.http_method, r.template, r.body) for r in rules] for name, rules in found.items()
    }


def test_rules_are_read_with_their_additional_bindings_and_places(tmp_path: Path) -> None:
    text = (
        HEAD
        + "http:\n  rules:\n  - selector: a.S.Get\n    get: /v1/{x}\n"
        + "    additional_bindings:\n    - post: /v1:get\n      body: '*'\n"
        + "  - selector: a.S.Any\n    custom: {kind: '*', path: /any}\n"
    )
    assert read(tmp_path, text) == {
        "a.S.Get": [("GET", "/v1/{x}", ""), ("POST", "/v1:get", "*")],
        "a.S.Any": [("*", "/any", "")],
    }
    rule = read_service_config(tmp_path / "service.yaml")["a.S.Get"][0]
    assert (rule.source.file, rule.source.line) == (str(tmp_path / "service.yaml"), 6)


def test_of_two_rules_for_a_method_the_last_counts(tmp_path: Path) -> None:
    text = HEAD + "http: {rules: [{selector: a.S.M, get: /1}, {selector: a.S.M, get: /2}]}"
    assert read(tmp_path, text) == {"a.S.M": [("GET", "/2", "")]}


def test_full_decoding_holds_for_every_rule_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        HEAD + "http: {fully_decode_reserved_expansion: true, "
        "rules: [{selector: a.S.M, get: '/{x=**}'}]}"
    )
    assert read_service_config(path)["a.S.M"][0].fully_decode


def test_sections_that_do_not_concern_http_are_left_alone(tmp_path: Path) -> None:
    assert read(tmp_path, HEAD + "documentation: {summary: x}\n") == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("http: {}", "expected `type: google.api.Service`"),
        ("- a", "expected `type: google.api.Service`"),
        (HEAD + "http: [", ": is not YAML"),
        (HEAD + "http: {rulez: []}", "http.rulez: unknown key"),
        (
            HEAD + "http: {rules: [{selector: a.S.M, gett: /x}]}",
            ":4: http.rules[0].gett: unknown key",
        ),
        (HEAD + "http: {rules: [{get: /x}]}", "http.rules[0].selector must be the full name"),
        (HEAD + "http: {rules: [{selector: 'a.*', get: /x}]}", "must be the full name"),
        (HEAD + "http: {rules: [x]}", "http.rules[0] must be a mapping"),
        (HEAD + "http: {fully_decode_reserved_expansion: 1}", "must be true or false"),
    ],
)
def test_a_bad_config_is_refused_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SchemaError) as raised:
        read(tmp_path, text)
    assert str(raised.value).startswith(str(tmp_path / "service.yaml"))
    assert says in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="cannot be read"):
        read_service_config(tmp_path / "none.yaml")

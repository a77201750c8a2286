"""Rules outside the protos: google.api.Service YAML."""

from pathlib import Path

import pytest

from gateway.schema.catalog import SchemaError
from gateway.schema.service_config import read_service_config

HEAD = "type: google.api.Service\nconfig_version: 3\nname: x\n"


def read(place: Path, text: str) -> dict[str, list[tuple[str, str, str]]]:
    path = place / "service.yaml"
    path.write_text(text)
    found = read_service_config(path).http
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
    rule = read_service_config(tmp_path / "service.yaml").http["a.S.Get"][0]
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
    assert read_service_config(path).http["a.S.M"][0].fully_decode


def test_both_spellings_and_unset_values_are_read_as_in_json(tmp_path: Path) -> None:
    text = (
        HEAD + "http:\n  rules:\n  - {selector: a.S.M, post: /x, responseBody: b, body: null, "
        "additionalBindings: [{get: /y, response_body: c}]}"
    )
    read(tmp_path, text)
    first, second = read_service_config(tmp_path / "service.yaml").http["a.S.M"]
    assert (first.response_body, first.body, second.response_body) == ("b", "", "c")


@pytest.mark.parametrize("http", ["http:", "http: {}", "http: {rules: }", "http: {rules: []}"])
def test_a_section_left_empty_has_no_rules(tmp_path: Path, http: str) -> None:
    assert read(tmp_path, HEAD + http) == {}


def test_bindings_too_deep_are_kept_to_be_refused_with_their_rule(tmp_path: Path) -> None:
    deep = "{get: /y, additional_bindings: [{get: /z}]}"
    read(tmp_path, HEAD + f"http: {{rules: [{{selector: a.S.M, additional_bindings: [{deep}]}}]}}")
    rules = read_service_config(tmp_path / "service.yaml").http["a.S.M"]
    assert [(rule.template, rule.nested) for rule in rules] == [
        ("/y", False),
        ("/z", True),
    ]


def test_a_merge_key_is_no_repetition(tmp_path: Path) -> None:
    text = (
        HEAD + "x: &all {selector: a.S.M, get: /x}\n"
        "http: {rules: [{<<: *all, get: /y}, {<<: *all, selector: a.S.N}]}"
    )
    assert read(tmp_path, text) == {"a.S.M": [("GET", "/y", "")], "a.S.N": [("GET", "/x", "")]}


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
        (HEAD + "http: 5", ": http must be a mapping with a list of rules"),
        (HEAD + "http: {rules: {selector: a.S.M}}", ": http must be a mapping with a list of rule"),
        (HEAD + "http: {on: 1, rulez: 2}", ":4: http.True: unknown key"),
        (HEAD + "http: {rules: [{1: x}]}", ":4: http.rules[0].1: unknown key"),
        (HEAD + "http: {rules: [{selector: 5}]}", ":4: http.rules[0].selector must be text"),
        (HEAD + "http: {rules: [{selector: a.S.M, get: 2024-01-01}]}", "rules[0].get must be text"),
        (HEAD + "http: {rules: [{get: /x, put: /x}]}", "rules[0]: give one of get and put, not bo"),
        (HEAD + "http: {rules: [{custom: x}]}", ":4: http.rules[0].custom must be a mapping"),
        (HEAD + "http: {rules: [{custom: {kid: x}}]}", ":4: http.rules[0].custom.kid: unknown key"),
        (HEAD + "http: {rules: [{additional_bindings: {}}]}", "additional_bindings must be a list"),
        (HEAD + "http: {rules: [{additional_bindings: [5]}]}", "_bindings[0] must be a mapping"),
        (
            HEAD + "http:\n rules:\n - additional_bindings:\n   - get: /x\n   - gett: /y",
            ":8: http.rules[0].additional_bindings[1].gett: unknown key",
        ),
        (HEAD + "http: {rules: [{selector: ' a.S.M'}]}", "must be the full name of one method"),
        (HEAD + "http: {rules: [{selector: M}]}", "must be the full name of one method"),
        (HEAD + 'http: {rules: [{get: "\\ud800"}]}', ":4: http.rules[0]: Unpaired surrogate"),
        (HEAD + "http:\n  rules: []\n  rules: []", ":6: is not YAML: rules appears twice"),
        (HEAD + "http: &a {rules: [*a]}", ":4: is not YAML: "),
        (HEAD + "http: !!python/name:os.system", ":4: is not YAML: "),
        (HEAD + "---\n" + HEAD, ":4: is not YAML: "),
        ("[" * 1_000, ": is not YAML"),
        ("\0", ": is not YAML"),
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

"""System parameters of google.api.Service YAML: which names a method gets, and what is refused."""

from pathlib import Path

import pytest

from gateway.schema.catalog import Schema, SchemaError, build_schema
from gateway.schema.service_config import read_service_configs
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package a;
message M { string id = 1; }
service S { rpc One(M) returns (M); rpc Two(M) returns (M); }
service T { rpc One(M) returns (M); }
"""
HEAD = "type: google.api.Service\n"
TWICE = "[{name: a, http_header: X}, {name: b, http_header: x}]"


def schema_of(place: Path, *texts: str, skip: bool = False) -> Schema:
    paths = [place / f"{number}.yaml" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(HEAD + text)
    rules = read_service_configs(paths).system_parameters
    return build_schema(descriptor_set(a=PROTO), system_parameters=rules, skip_unmatched=skip)


def rule(selector: str, query: str) -> str:
    parameter = f"{{name: alt, url_query_parameter: {query}}}"
    return f"{{selector: '{selector}', parameters: [{parameter}]}}"


def names(schema: Schema) -> dict[str, list[str]]:
    return {
        name: [one.url_query_parameter for one in method.system_parameters]
        for name, method in schema.methods.items()
    }


def test_the_last_rule_that_selects_a_method_counts(tmp_path: Path) -> None:
    first = f"system_parameters: {{rules: [{rule('*', 'x')}, {rule('a.S.*', 'y')}]}}"
    assert names(schema_of(tmp_path, first)) == {
        "a.S.One": ["y"],
        "a.S.Two": ["y"],
        "a.T.One": ["x"],
    }
    second = f"system_parameters: {{rules: [{rule('a.S.Two, a.T.One', 'z')}]}}"
    found = names(schema_of(tmp_path, first, second))
    assert found == {"a.S.One": ["y"], "a.S.Two": ["z"], "a.T.One": ["z"]}
    assert names(schema_of(tmp_path, second, first))["a.S.Two"] == ["y"]


def test_both_spellings_are_read_and_the_sign_is_no_part_of_a_name(tmp_path: Path) -> None:
    text = (
        "systemParameters: {rules: [{selector: a.S.One, parameters: "
        "[{name: $alt, urlQueryParameter: format, httpHeader: X-Format}]}]}"
    )
    (found,) = schema_of(tmp_path, text).methods["a.S.One"].system_parameters
    assert (found.name, found.url_query_parameter, found.http_header) == (
        *("alt", "format"),
        "X-Format",
    )


@pytest.mark.parametrize("text", ["", "system_parameters:", "system_parameters: {rules: }"])
def test_an_empty_section_has_no_rules(tmp_path: Path, text: str) -> None:
    assert set(map(tuple, names(schema_of(tmp_path, text)).values())) == {()}


def test_a_rule_without_parameters_takes_those_of_an_earlier_one_away(tmp_path: Path) -> None:
    text = f"system_parameters: {{rules: [{rule('*', 'x')}, {{selector: a.T.One}}]}}"
    assert names(schema_of(tmp_path, text))["a.T.One"] == []


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("5", ": system_parameters must be a mapping with a list of rules"),
        ("{rulez: []}", ":2: system_parameters.rulez: unknown key"),
        ("{rules: [5]}", "system_parameters.rules[0] must be a mapping"),
        ("{rules: [{selector: a.S.One, parameter: []}]}", ":2: system_parameters.rules[0].para"),
        ("{rules: [{selector: 5}]}", "rules[0].selector must be text"),
        ("{rules: [{parameters: []}]}", "rules[0].selector must be a method, a prefix.*, or *"),
        ("{rules: [{selector: '*', parameters: {}}]}", "rules[0].parameters must be a list"),
        ("{rules: [{selector: '*', parameters: [x]}]}", "parameters[0] must be a mapping"),
        ("{rules: [{selector: '*', parameters: [{nam: x}]}]}", "parameters[0].nam: unknown key"),
        ("{rules: [{selector: '*', parameters: [{name: 1}]}]}", "parameters[0].name must be text"),
        ("{rules: [{selector: '*', parameters: [{http_header: X}]}]}", "[0].name must be that of"),
        (
            "{rules: [{selector: '*', parameters: [{name: alt}]}]}",
            "rules[0].parameters[0]: give http_header, url_query_parameter, or both",
        ),
        (
            "{rules: [{selector: '*', parameters: [{name: alt, http_header: 'X Y'}]}]}",
            "parameters[0].http_header must be a header that nothing else uses",
        ),
        (
            "{rules: [{selector: '*', parameters: [{name: api_key, http_header: Cookie}]}]}",
            "parameters[0].http_header must be a header that nothing else uses",
        ),
        (
            f"{{rules: [{{selector: '*', parameters: {TWICE}}}]}}",
            "rules[0]: the http_header x is given to a and to b; give each its own",
        ),
        (
            '{rules: [{selector: "*", parameters: [{name: "\\ud800", http_header: X}]}]}',
            ": Unpaired surrogate",
        ),
    ],
)
def test_a_bad_rule_is_refused_with_its_place(tmp_path: Path, section: str, says: str) -> None:
    with pytest.raises(SchemaError) as raised:
        schema_of(tmp_path, f"system_parameters: {section}")
    assert str(raised.value).startswith(str(tmp_path / "0.yaml"))
    assert says in str(raised.value)


@pytest.mark.parametrize("selector", ["a.S.Nope", "b.*", "a.S", "a.*.One"])
def test_a_selector_that_selects_nothing_is_refused_or_reported(
    tmp_path: Path, selector: str
) -> None:
    text = f"system_parameters:\n rules:\n - {rule(selector, 'x')}"
    with pytest.raises(SchemaError, match=r"0\.yaml:4: no method is called"):
        schema_of(tmp_path, text)
    schema = schema_of(tmp_path, text, skip=True)
    assert list(schema.unmatched) == [selector]

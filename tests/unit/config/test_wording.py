"""What is wrong with a setting is said in the gateway's own words, with its line and an example."""

import re
from pathlib import Path
from typing import Any

import pytest

from gateway.config.kinds import Kind, converted, example, expected
from gateway.config.loader import ConfigError, load_config
from gateway.config.model import Config
from gateway.config.sections import Section
from gateway.config.yaml_text import read_yaml

_INTERNALS = re.compile(
    r"lax-or-strict|valid |instance of|nput should|[Vv]alue error|function-|tuple\[|pydantic"
)


def refused(text: str, tmp_path: Path) -> str:
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_config(file, {}, {})
    return str(raised.value)


@pytest.mark.parametrize("word", ["off", "stdout", "on.log", "12:30", "2001-01-01", "1.2"])
def test_a_word_is_a_word_where_one_is_meant(tmp_path: Path, word: str) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(f"log: {{access: {word}}}\nauth: {{jwt: {{issuers: [&i {{issuer: {word}, "
                    "audiences: [on, no], keys_file: x}]}}\n")  # fmt: skip
    config = load_config(file, {}, {})
    assert str(config.log.access) == word
    assert config.auth.jwt.issuers[0].issuer == word
    assert config.auth.jwt.issuers[0].audiences == ("on", "no")
    assert str(load_config(None, {"GATEWAY_LOG__EVENTS": word}, {}).log.events) == word


_YAML_1_1_FALSE = ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"]


@pytest.mark.parametrize("word", _YAML_1_1_FALSE)
@pytest.mark.parametrize("setting", ["access", "events", "audit"])
def test_each_word_for_false_means_off_where_off_is_a_value(
    tmp_path: Path, setting: str, word: str
) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(f"log: {{{setting}: {word}}}\n")
    assert getattr(load_config(file, {}, {}).log, setting) == "off"
    environment = {f"GATEWAY_LOG__{setting.upper()}": word}
    assert getattr(load_config(None, environment, {}).log, setting) == "off"
    nested = {"GATEWAY_LOG": f"{{{setting}: {word}}}"}
    assert getattr(load_config(None, nested, {}).log, setting) == "off"


@pytest.mark.parametrize("word", ["y", "yes", "true", "True", "on", "ON"])
def test_a_word_for_true_is_no_file_where_off_is_a_value(tmp_path: Path, word: str) -> None:
    says = "log.access: expected one of off, stdout, stderr or a file, such as stdout; not true"
    assert says in refused(f"log: {{access: {word}}}", tmp_path)
    with pytest.raises(ConfigError, match="such as GATEWAY_LOG__ACCESS=stdout; not true"):
        load_config(None, {"GATEWAY_LOG__ACCESS": word}, {})


def test_a_file_with_such_a_name_is_written_in_quotes(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("log: {access: 'no', events: ./off}\n")
    config = load_config(file, {}, {})
    assert config.log.access == Path("no")
    assert config.log.events == Path("off")


def test_yes_and_no_are_still_taken_for_switches() -> None:
    environment = {"GATEWAY_REFLECT": "on", "GATEWAY_JSON__EMIT_UNSET": "no"}
    config = load_config(None, environment, {})
    assert config.reflect
    assert not config.json_.emit_unset


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("log: {access: ~}", "line 1: log.access: expected one of off, stdout, stderr or a file"),
        (
            "log:\n  level: wran",
            "expected one of debug, info, warn, error, such as info; did you mean warn?",
        ),
        (
            "limits:\n  body_bytes: lots",
            "body_bytes: expected a whole number greater than 0, such as 4194304; not lots",
        ),
        (
            "workers: " + "9" * 5_000,
            "line 1: workers: expected a whole number of 0 or more and at most 1024, such as 1",
        ),
        (
            "upstreams: [a]",
            "a section of settings, such as {name: {target: localhost:50051}}",
        ),
        (
            "upstreams: {a: b}",
            "upstreams.a: expected a section of settings, such as {target: localhost:50051}",
        ),
        ("upstreams: {a: {}}", "upstreams.a: expected target: HOST:PORT, or targets: ["),
        ("query: {unknown: [a, {b: 1}]}", "query.unknown[1]: expected text"),
        ("filters: {a: 1}", "filters: expected a list, each a section of settings"),
        (
            "filters:\n- name: x\n  require_headers: {'a b': x}",
            "require_headers.a b: as a key, expected the name of a header, such as X-Tenant",
        ),
        (
            "policies:\n- selector: '*'\n  rate_limits: [{limit: x}]",
            "line 3: policies[0].rate_limits[0].limit: expected a whole number",
        ),
        ("reflect: perhaps", "reflect: expected true or false, such as false; not perhaps"),
        ("json:", "json: expected a section of settings"),
        ("true: 2", "line 1: true: unknown key; known here: "),
        ("body_bytes: 1", "body_bytes: unknown key; did you mean limits.body_bytes?"),
        ("forwarded: {trusted_proxies: [x]}", "expected an address, or a network such as"),
        (
            "filters: []\nlisten: a\nfilters: []",
            "line 3: filters appears twice, first in line 1",
        ),
        ("auth: {tokens: {auth_upstream: x}}", "line 1: auth: tokens.auth_upstream needs a store"),
    ],
)
def test_each_is_one_line_in_our_own_words(tmp_path: Path, text: str, says: str) -> None:
    said = refused(text, tmp_path)
    assert says in said
    assert "\n" not in said
    assert not _INTERNALS.search(said)
    assert len(said) < 700


def settings(section: type[Section], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, field in section.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            found += settings(field.annotation, f"{path}.")
        else:
            found.append((path, field))
    return found


@pytest.mark.parametrize("wrong", ["[[[]]]", "{a: {b: {c: {}}}}", "!x", "-1e999", "~"])
def test_whatever_is_wrong_with_any_setting_is_worded(tmp_path: Path, wrong: str) -> None:
    file = tmp_path / "gateway.yaml"
    for path, _ in settings(Config):
        *parents, leaf = path.split(".")
        text = "".join(f"{'  ' * depth}{name}:\n" for depth, name in enumerate(parents))
        file.write_text(f"{text}{'  ' * len(parents)}{leaf}: {wrong}\n")
        said = problem(file)
        assert not _INTERNALS.search(said)
        assert all(line.startswith(f"{file}: line ") for line in said.splitlines())


def problem(file: Path) -> str:
    """What is wrong with a file; nothing, if all is well."""
    try:
        load_config(file, {}, {})
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("path", "field"), settings(Config))
def test_the_example_of_each_setting_is_right(path: str, field: Any) -> None:
    kind = Kind(field.annotation, field.metadata, None if field.is_required() else field.default)
    assert expected(kind) != "a value"
    value = converted(kind, read_yaml(example(kind)).value)
    *parents, leaf = path.split(".")
    tree: dict[str, Any] = {leaf: value}
    for parent in reversed(parents):
        tree = {parent: tree}
    if path in _NEEDS_OTHERS:
        return
    Config.model_validate(tree)


_NEEDS_OTHERS = {
    "faults.rules",
    "mirrors",
    "splits",
    "tls",
    "auth.tokens.auth_upstream",
    "auth.certificates",
    "filters",
    "auth.jwt.issuers",
}
"""Settings that are right only beside others."""
